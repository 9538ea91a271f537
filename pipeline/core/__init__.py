"""The one Job/Task machine; it knows no kind."""
