SELECT {% for x in %} FROM t
