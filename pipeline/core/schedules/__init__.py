"""What users want submitted at certain times: each time once, whatever schedulers run and die.

``spec``: what is asked for; ``rows`` and ``book``: it is kept, and changed; ``firing``: one look at
what is due; ``turn`` and ``lateness`` (pure): what becomes of a schedule's times; ``fires``: what
came of each.
"""
