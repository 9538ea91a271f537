"""Where what runs outside reaches this deployment: the address of the settings, or that of an API
which this process serves itself."""

from pipeline.settings import Settings

_own = ""


def serve(address: str) -> None:
    """This process answers there from now on; ``""``: no longer."""
    global _own
    _own = address


def address(settings: Settings) -> str:
    """Return the base URL of the API; ``""`` where nobody answers."""
    return settings.api_url or _own
