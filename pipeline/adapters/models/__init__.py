"""Models: endpoints that speak OpenAI's protocol, each known to submitters by a profile's name.

Importing this package imports no SDK; only a call does.
"""

from pipeline.adapters.models.chat import Question, Reply, ask
from pipeline.adapters.models.errors import ModelAway, ModelBusy, Stopped
from pipeline.adapters.models.profiles import Profile, chosen, profiles

__all__ = [
    "ModelAway",
    "ModelBusy",
    "Profile",
    "Question",
    "Reply",
    "Stopped",
    "ask",
    "chosen",
    "profiles",
]
