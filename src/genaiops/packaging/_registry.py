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
from urllib.parse import urlsplit

from genaiops.errors import GenaiopsError, InputError
from genaiops.packaging._layout import (
    DOCKER_INDEX_TYPE,
    DOCKER_MANIFEST_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
    Layout,
    choose_platform,
)

_TIMEOUT_S = 60
_REFERENCE = re.compile(r"(?P<registry>[^/@]+)/(?P<name>[^@]+)@(?P<digest>sha256:[0-9a-f]{64})")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def pull_image(reference: str, layout: Layout, architecture: str) -> str:
    """Bring manifest, configuration and layers into the layout, each proved by its digest.

    Args:
        reference: `REGISTRY/NAME@sha256:…`; a name without a registry is Docker Hub's.

    Returns:
        The digest of the manifest for this architecture.

    Raises:
        InputError: The reference has another form, or the image is not for this architecture.
        GenaiopsError: The registry cannot be reached or says no.
    """
    registry, name, digest = parse_reference(reference)
    client = _Registry(registry, name)
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
    def __init__(self, registry: str, name: str) -> None:
        scheme = "http" if registry.rpartition(":")[0] in _LOOPBACK or registry in _LOOPBACK else "https"
        self._base = f"{scheme}://{registry}/v2/{name}"
        self._name = name
        self._token: str | None = None

    def get(self, path: str) -> bytes:
        url = f"{self._base}/{path}"
        try:
            try:
                return self._request(url)
            except urllib.error.HTTPError as error:
                if error.code != 401 or self._token is not None:
                    raise
                self._token = self._sign_in(error.headers.get("WWW-Authenticate", ""))
            return self._request(url)
        except urllib.error.HTTPError as error:
            raise GenaiopsError(
                f"The registry answered {error.code} for {url}.",
                hint="Is the name right, and does the image exist under this digest?",
            ) from error
        except OSError as error:
            raise GenaiopsError(f"The registry {self._base} cannot be reached: {error}.") from error

    def _request(self, url: str) -> bytes:
        accept = ", ".join((MANIFEST_TYPE, INDEX_TYPE, DOCKER_MANIFEST_TYPE, DOCKER_INDEX_TYPE, "*/*"))
        request = urllib.request.Request(url, headers={"Accept": accept})
        if self._token is not None:
            # Registries send on to a store of theirs, which refuses, and should never see, the token.
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
            content: bytes = reply.read()
        return content

    def _sign_in(self, challenge: str) -> str:
        fields: Mapping[str, str] = dict(_CHALLENGE.findall(challenge))
        realm = fields.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")):
            raise GenaiopsError(f"The registry {self._base} asks for a sign-in of an unknown kind.")
        query = f"?service={fields.get('service', '')}&scope=repository:{self._name}:pull"
        data: dict[str, Any] = json.loads(self._request(realm + query))
        return str(data.get("token") or data.get("access_token") or "")


def _prove(content: bytes, digest: str, reference: str) -> None:
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != digest:
        raise GenaiopsError(f"The registry sent {found} for {reference}, where {digest} was asked for.")


def _write(layout: Layout, digest: str, content: bytes) -> None:
    (layout.blobs / digest.partition(":")[2]).write_bytes(content)
