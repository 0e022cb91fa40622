"""Pull a base image by digest from a registry.

Source: OCI Distribution Specification 1.1: manifests, blobs, and the token flow of Docker's registries.
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from genaiops.errors import GenaiopsError, InputError
from genaiops.packaging._layout import (
    DOCKER_INDEX_TYPE,
    DOCKER_MANIFEST_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
    Layout,
    choose_platform,
)
from genaiops.packaging._sign_in import SignIn, find_sign_in

_TIMEOUT_S = 60
_REFUSED = frozenset({401, 403})
_REFERENCE = re.compile(r"(?P<registry>[^/@]+)/(?P<name>[^@]+)@(?P<digest>sha256:[0-9a-f]{64})")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def pull_image(reference: str, layout: Layout, architecture: str, environ: Mapping[str, str]) -> str:
    """Bring manifest, configuration and layers into the layout, each proved by its digest.

    Args:
        reference: `REGISTRY/NAME@sha256:…`; a name without a registry is Docker Hub's.
        layout: Where it is brought.
        architecture: In OCI's words.
        environ: Where it says how to sign in, should the registry want that.

    Returns:
        The digest of the manifest for this architecture.

    Raises:
        InputError: The reference has another form, or the image is not for this architecture.
        GenaiopsError: The registry cannot be reached or says no.
    """
    registry, name, digest = parse_reference(reference)
    client = _Registry(registry, name, environ)
    manifest_bytes = client.get(f"manifests/{digest}")
    _prove(manifest_bytes, digest, reference)
    manifest = json.loads(manifest_bytes)
    if manifest.get("mediaType") in (INDEX_TYPE, DOCKER_INDEX_TYPE) or "manifests" in manifest:
        chosen = choose_platform(manifest["manifests"], architecture, reference)
        digest = str(chosen["digest"])
        manifest_bytes = client.get(f"manifests/{digest}")
        _prove(manifest_bytes, digest, reference)
        manifest = json.loads(manifest_bytes)
    _write(layout, digest, manifest_bytes)
    for descriptor in (manifest["config"], *manifest["layers"]):
        if not (layout.blobs / descriptor["digest"].partition(":")[2]).exists():
            content = client.get(f"blobs/{descriptor['digest']}")
            _prove(content, descriptor["digest"], reference)
            _write(layout, descriptor["digest"], content)
    return digest


def parse_reference(reference: str) -> tuple[str, str, str]:
    """Registry, name and digest of `REGISTRY/NAME@sha256:…`.

    Raises:
        InputError: It has another form.
    """
    first = reference.partition("/")[0]
    if "/" not in reference.partition("@")[0] or not (set(".:") & set(first) or first == "localhost"):
        name = reference if "/" in reference.partition("@")[0] else f"library/{reference}"
        reference = f"registry-1.docker.io/{name}"
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise InputError(f"Expected REGISTRY/NAME@sha256:DIGEST, found {reference!r}.")
    return match["registry"], re.sub(r":[^/:]*$", "", match["name"]), match["digest"]


class _Registry:
    def __init__(self, registry: str, name: str, environ: Mapping[str, str]) -> None:
        scheme = "http" if registry.rpartition(":")[0] in _LOOPBACK or registry in _LOOPBACK else "https"
        self._base = f"{scheme}://{registry}/v2/{name}"
        self._registry, self._name, self._environ = registry, name, environ
        self._authorization: str | None = None
        self._sign_in: SignIn | None = None

    def get(self, path: str) -> bytes:
        url = f"{self._base}/{path}"
        try:
            try:
                return self._request(url)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code != 401 or self._authorization is not None:
                    raise
                self._authorization = self._authorize(error.headers.get("WWW-Authenticate", ""))
            return self._request(url)
        except urllib.error.HTTPError as error:
            error.close()
            raise GenaiopsError(
                f"The registry answered {error.code} for {error.url.partition('?')[0]}.", hint=self._hint(error.code)
            ) from error
        except OSError as error:
            raise GenaiopsError(f"The registry {self._base} cannot be reached: {error}.") from error

    def _hint(self, status: int) -> str:
        if status not in _REFUSED:
            return "Is the name right, and does the image exist under this digest?"
        if self._sign_in is None:
            return f"It may want a sign-in: docker login {self._registry}, or podman login {self._registry}."
        return f"It does not accept the sign-in from {self._sign_in.place}."

    def _request(self, url: str, *, form: Mapping[str, str] | None = None, authorization: str | None = None) -> bytes:
        accept = ", ".join((MANIFEST_TYPE, INDEX_TYPE, DOCKER_MANIFEST_TYPE, DOCKER_INDEX_TYPE, "*/*"))
        data = urlencode(form).encode("ascii") if form is not None else None
        request = urllib.request.Request(url, data, headers={"Accept": accept})
        authorization = authorization or self._authorization
        if authorization is not None:
            # Registries send on to a store of theirs, which refuses, and should never see, the token.
            request.add_unredirected_header("Authorization", authorization)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
            content: bytes = reply.read()
        return content

    def _authorize(self, challenge: str) -> str | None:
        """The header that the registry asks for: basic, or a token that its own service gives."""
        self._sign_in = find_sign_in(self._registry, self._environ)
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic":
            # Without a sign-in the next answer is the same, and says so.
            return self._sign_in.basic if self._sign_in is not None else None
        fields: Mapping[str, str] = dict(_CHALLENGE.findall(rest))
        realm = fields.get("realm", "")
        parts = urlsplit(realm)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"))
        if kind.lower() != "bearer" or not is_safe:
            raise GenaiopsError(f"The registry {self._base} asks for a sign-in of an unknown kind.")
        data: dict[str, Any] = json.loads(self._ask_for_token(realm, fields.get("service", "")))
        return f"Bearer {data.get('token') or data.get('access_token') or ''}"

    def _ask_for_token(self, realm: str, service: str) -> bytes:
        asked = {"service": service, "scope": f"repository:{self._name}:pull"}
        known = self._sign_in
        if known is not None and not known.user:
            # Source: Docker Registry v2 authentication using OAuth2, with an identity token.
            more = {"grant_type": "refresh_token", "client_id": "genaiops", "refresh_token": known.secret}
            return self._request(realm, form={**asked, **more})
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(asked, safe=':/')}"
        return self._request(url, authorization=known.basic if known is not None else None)


def _prove(content: bytes, digest: str, reference: str) -> None:
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != digest:
        raise GenaiopsError(f"The registry sent {found} for {reference}, where {digest} was asked for.")


def _write(layout: Layout, digest: str, content: bytes) -> None:
    (layout.blobs / digest.partition(":")[2]).write_bytes(content)
