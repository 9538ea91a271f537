"""The first token of an administrator, as the operator has told it in a setting."""

import logging
from dataclasses import dataclass

from pipeline.core import api_tokens
from pipeline.core.context import Context
from pipeline.core.upkeep.chore import Chore
from pipeline.errors import Refused

log = logging.getLogger(__name__)

NAME = "QUAYLINE_ADMIN_TOKEN"
OWNER = "admin"


@dataclass(slots=True)
class Initialized:
    """Tokens of administrators that are taken, and how many of them this made."""

    admin_tokens: int = 0
    created: int = 0


def initialize_users(context: Context, dry_run: bool = False) -> Initialized:
    """The token of QUAYLINE_ADMIN_TOKEN is known; one that was revoked stays revoked.

    Raises ``Refused`` where there would be no administrator.
    """
    secret = context.settings.admin_token.get_secret_value()
    told = Initialized(created=api_tokens.adopt(secret, OWNER, dry_run=dry_run) if secret else 0)
    told.admin_tokens = api_tokens.administrators() + (told.created if dry_run else 0)
    if not told.admin_tokens:
        raise Refused(
            f"There is no administrator: set {NAME}, or make a token by"
            " `quayline token create --role admin`."
        )
    return told


CHORE = Chore(
    "initialize_users",
    "migration",
    f"Make the administrator's token of {NAME} known.",
    initialize_users,
)
