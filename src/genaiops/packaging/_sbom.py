"""A bill of materials: what is inside, with versions and licences.

Source: CycloneDX 1.5, JSON. Without serial number and time, so that two builds give one file.
"""

from __future__ import annotations

import json
import re
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from genaiops.packaging._layout import BaseImage
from genaiops.packaging._package import Package


def bill_of_materials(package: Package, site: Path, base: BaseImage) -> str:
    """The CycloneDX document of an image.

    Args:
        package: What is shipped; the subject of the document.
        site: Where the packages were installed.
        base: What the image is built on.
    """
    components: list[dict[str, Any]] = [_base_component(base)]
    components += [_component(item) for item in sorted(distributions(path=[str(site)]), key=_name)]
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
    licence = item.metadata.json.get("license_expression")
    if licence:
        component["licenses"] = [{"expression": licence}]
    return component
