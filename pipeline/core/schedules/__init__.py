"""What users want submitted at certain times: each time once, whatever schedulers run and die.

``spec``: what is asked for; ``book``: the rows; ``turns``: what becomes of times that have come
(pure); ``firing``: one look at what is due; ``fires``: what came of each time.
"""
