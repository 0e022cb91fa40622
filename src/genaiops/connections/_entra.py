"""Keyless sign-in with Microsoft Entra ID, through azure-identity (extra `azure`)."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from genaiops.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRA_SCOPE = "https://cognitiveservices.azure.com/.default"


@cache
def _credential() -> Any:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError as error:
        raise _missing() from error
    return DefaultAzureCredential()


def require_entra() -> None:
    """Whether there will be something to sign in with.

    Raises:
        MissingExtraError: azure-identity is not installed.
    """
    try:
        found = find_spec("azure.identity")
    except ModuleNotFoundError:  # not even `azure`
        found = None
    if found is None:
        raise _missing()


def _missing() -> MissingExtraError:
    return MissingExtraError(
        "azure-identity",
        extra="azure",
        purpose="to sign in with Microsoft Entra ID (auth_mode: meid_token)",
        instead="give the connection or the model's configuration an api_key",
    )


def get_entra_token(scope: str = ENTRA_SCOPE) -> str:
    """A bearer token; the credential keeps it until shortly before it ends.

    Raises:
        MissingExtraError: azure-identity is not installed.
    """
    return str(_credential().get_token(scope).token)


def entra_token_provider(scope: str = ENTRA_SCOPE) -> Callable[[], Any]:
    """Asked for a token before each call; in a thread, because a fresh token is a network call."""
    credential = _credential()

    async def provide() -> str:
        import asyncio

        token = await asyncio.to_thread(credential.get_token, scope)
        return str(token.token)

    return provide
