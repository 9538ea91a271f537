"""Templates: named job descriptions with variables, stored in versions that are never changed.

``spec`` and ``ref``: what is asked for; ``variables`` and ``filling`` (pure): values are checked
and put in; ``rows`` and ``book``: versions are kept, made and retired; ``submitting``: a job is
made of one.
"""
