"""Whether a model can be asked through a connection as it is: known before the first call, and no matter of retries."""

from __future__ import annotations

import re

from genaiops.connections._base import Connection
from genaiops.connections._calls import model_endpoint
from genaiops.connections._entra import require_entra
from genaiops.connections._types import AUTH_ENTRA
from genaiops.errors import ConnectionSettingsError

_LEFT_OPEN = re.compile(r"\$\{\s*(?:env:)?\s*([^}\s]+)\s*\}", re.IGNORECASE)


def require_address(connection: Connection) -> str:
    """The address that model calls go to.

    Raises:
        ConnectionSettingsError: It still names a variable, or this type of connection does not lead to a model.
    """
    address = model_endpoint(connection)
    names = ", ".join(dict.fromkeys(_LEFT_OPEN.findall(address))) if "${" in address else ""
    if names:
        who = f"connection {connection.name!r}" if connection.name else "the model's connection"
        raise ConnectionSettingsError(
            f"The address {address!r} of {who} names a variable that is not set: {names}.",
            hint="Set it in the environment or in .env.",
            kind="MissingConnectionValues",
        )
    return address


def require_ready(connection: Connection) -> None:
    """Look at what every call would need.

    Raises:
        ConnectionSettingsError: As `require_address`.
        MissingExtraError: It signs in with Microsoft Entra ID, and azure-identity is not installed.
    """
    require_address(connection)
    if connection.get("auth_mode") == AUTH_ENTRA:
        require_entra()
