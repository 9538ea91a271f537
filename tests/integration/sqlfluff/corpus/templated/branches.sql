{% if schema == 'stage' %}select a FROM t{% else %}SELECT  b from u{% endif %}
