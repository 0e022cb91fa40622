"""How to sign in to a registry: what `docker login`, `podman login` and credential helpers have left on this machine.

Source: containers-auth.json(5) and the `auths`, `credHelpers` and `credsStore` of Docker's config.json; the protocol of
docker-credential-helpers (`get`: the server's name on standard input, JSON on standard output).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from genaiops.errors import GenaiopsError, InputError
from genaiops.records import record

_HELPER_S = 30
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TOKEN_USER = "<token>"  # noqa: S105 - what helpers call an identity token's user
_DOCKER_HUB = "registry-1.docker.io"
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", _DOCKER_HUB})
_HUB_SERVER = "https://index.docker.io/v1/"


@record(frozen=True)
class SignIn:
    """Who we are to a registry.

    Args:
        user: The name.
        secret: A password; an identity token when there is no name.
        place: The file or helper it comes from, for messages.
    """

    user: str
    secret: str = field(repr=False)
    place: str

    @property
    def basic(self) -> str:
        """The header of basic authentication."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode("ascii")


def find_sign_in(registry: str, environ: Mapping[str, str]) -> SignIn | None:
    """What is known here for a registry; the first place that knows it wins.

    Raises:
        InputError: A place cannot be read.
        GenaiopsError: A credential helper is missing or failed.
    """
    for place, text in _configurations(environ):
        try:
            config = json.loads(text)
        except ValueError as error:
            # The text is not shown: it holds secrets.
            raise InputError(f"{place} is no JSON.", hint="docker login or podman login writes it.") from error
        found = _in_configuration(config if isinstance(config, dict) else {}, registry, place, environ)
        if found is not None:
            return found
    return None


def _configurations(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Places and their texts, nearest first."""
    if environ.get("DOCKER_AUTH_CONFIG"):
        yield "the variable DOCKER_AUTH_CONFIG", environ["DOCKER_AUTH_CONFIG"]
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home())
    files = [
        Path(environ["REGISTRY_AUTH_FILE"]) if environ.get("REGISTRY_AUTH_FILE") else None,
        Path(environ["XDG_RUNTIME_DIR"]) / "containers/auth.json" if environ.get("XDG_RUNTIME_DIR") else None,
        Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers/auth.json",
        Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json",
    ]
    for file in files:
        if file is not None and file.is_file():
            yield str(file), file.read_text(encoding="utf-8-sig")


def _in_configuration(
    config: Mapping[str, Any], registry: str, place: str, environ: Mapping[str, str]
) -> SignIn | None:
    helpers = {_host(name): helper for name, helper in _mapping(config.get("credHelpers")).items()}
    auths = {_host(name): _mapping(entry) for name, entry in _mapping(config.get("auths")).items()}
    if registry in helpers:
        return _ask_helper(str(helpers[registry]), registry, environ)
    entry = auths.get(registry)
    if entry and entry.get("identitytoken"):
        return SignIn("", str(entry["identitytoken"]), place)
    if entry and entry.get("auth"):
        return _decoded(str(entry["auth"]), registry, place)
    if config.get("credsStore"):
        return _ask_helper(str(config["credsStore"]), registry, environ)
    return None


def _decoded(text: str, registry: str, place: str) -> SignIn:
    try:
        user, colon, secret = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user = colon = secret = ""
    if not colon:
        raise InputError(f"The entry of {registry} in {place} is not base64 of USER:PASSWORD.", kind="SignInUnreadable")
    return SignIn(user, secret, place)


def _ask_helper(name: str, registry: str, environ: Mapping[str, str]) -> SignIn | None:
    """What a credential helper knows; None when it knows nothing of this registry."""
    program = f"docker-credential-{name}"
    found = shutil.which(program, path=environ.get("PATH")) if _HELPER.fullmatch(name) else None
    if found is None:
        raise GenaiopsError(f"The credential helper {program!r}, which {registry} wants, is not on the PATH.")
    server = _HUB_SERVER if registry == _DOCKER_HUB else registry
    try:
        asked = subprocess.run(
            [found, "get"], input=server, capture_output=True, text=True, check=False, timeout=_HELPER_S,
            env=dict(environ),
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise GenaiopsError(f"The credential helper {program!r} gave no answer within {_HELPER_S} s.") from error
    if asked.returncode:
        if "credentials not found" in asked.stdout + asked.stderr:
            return None
        raise GenaiopsError(f"The credential helper {program!r} failed for {registry} (exit code {asked.returncode}).")
    try:
        answer = json.loads(asked.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise GenaiopsError(f"The credential helper {program!r} gave no answer that can be read.") from error
    return SignIn("" if user == _TOKEN_USER else user, secret, program)


def _host(name: str) -> str:
    """`https://index.docker.io/v1/` and `registry.example:5000` as registries are called here; others as they are."""
    host, _, path = re.sub(r"^https?://", "", name).partition("/")
    if path.strip("/") not in ("", "v1", "v2"):
        return name  # of one repository only
    return _DOCKER_HUB if host in _HUB_NAMES else host


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
