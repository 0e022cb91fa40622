"""A bill of materials: what is inside, with versions and licences.

Source: CycloneDX 1.5, JSON. Without serial number and time, so that two builds give one file.
"""

from __future__ import annotations

import json
import re
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

import genaiops
from genaiops.packaging._layout import BaseImage, SystemPackage
from genaiops.packaging._package import Package

_LONGEST_NAME = 64


def bill_of_materials(package: Package, site: Path, base: BaseImage) -> str:
    """The CycloneDX document of an image.

    Args:
        package: What is shipped; the subject of the document.
        site: Where the packages were installed.
        base: What the image is built on.
    """
    components: list[dict[str, Any]] = [_base_component(base)]
    components += [_system_component(item) for item in base.packages]
    components += [_component(item) for item in sorted(distributions(path=[str(site)]), key=_name)]
    components.append(
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/genaiops@{genaiops.__version__}",
            "name": "genaiops",
            "version": genaiops.__version__,
            "purl": f"pkg:pypi/genaiops@{genaiops.__version__}",
            "licenses": [{"expression": "MIT"}],
        }
    )
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": package.digest,
                "name": package.name,
                "version": package.digest,
            }
        },
        "components": components,
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _base_component(base: BaseImage) -> dict[str, Any]:
    component: dict[str, Any] = {"type": "container", "bom-ref": f"base:{base.name}", "name": base.name}
    if base.digest is not None:
        component["version"] = base.digest
    return component


def _system_component(item: SystemPackage) -> dict[str, Any]:
    url = f"pkg:deb/{item.distribution}/{quote(item.name)}@{quote(item.version)}?arch={quote(item.architecture)}"
    return {"type": "library", "bom-ref": url, "name": item.name, "version": item.version, "purl": url}


def _name(item: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", item.metadata["Name"]).lower()


def _component(item: Distribution) -> dict[str, Any]:
    name = _name(item)
    url = f"pkg:pypi/{name}@{item.version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": url,
        "name": name,
        "version": item.version,
        "purl": url,
    }
    if licence := _licence(item):
        component["licenses"] = [licence]
    return component


def _licence(item: Distribution) -> dict[str, Any] | None:
    """An SPDX expression where the package gives one; else the words that it uses."""
    metadata = item.metadata.json
    if expression := metadata.get("license_expression"):
        return {"expression": expression}
    # Older packages put the whole text of their licence there.
    named = str(metadata.get("license") or "").strip()
    if not named or "\n" in named or len(named) > _LONGEST_NAME:
        classifiers = [str(text) for text in metadata.get("classifier", []) if str(text).startswith("License ::")]
        named = classifiers[0].rpartition(" :: ")[2] if classifiers else ""
    return {"license": {"name": named}} if named else None
