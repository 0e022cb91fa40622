"""A flow and its surroundings as one checkable artefact, and as a container image that needs no Docker to build."""

from genaiops.packaging._base import THIS_PYTHON, load_base, this_architecture
from genaiops.packaging._build import BuildSpec, BuiltImage, build_image, describe_build
from genaiops.packaging._engine import Engine, RunningImage, find_engine, image_name
from genaiops.packaging._files import PackagedFile, collect_files, content_digest
from genaiops.packaging._layout import BaseImage, Layout, read_layout
from genaiops.packaging._package import (
    OpenedPackage,
    Package,
    describe_package,
    fill_open_values,
    is_package,
    open_package,
    read_package,
)

__all__ = [
    "THIS_PYTHON",
    "BaseImage",
    "BuildSpec",
    "BuiltImage",
    "Engine",
    "Layout",
    "OpenedPackage",
    "Package",
    "PackagedFile",
    "RunningImage",
    "build_image",
    "collect_files",
    "content_digest",
    "describe_build",
    "describe_package",
    "fill_open_values",
    "find_engine",
    "image_name",
    "is_package",
    "load_base",
    "open_package",
    "read_layout",
    "read_package",
    "this_architecture",
]
