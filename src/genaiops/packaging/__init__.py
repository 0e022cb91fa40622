"""A flow and its surroundings as one checkable artefact, and as a container image that needs no Docker to build."""

from genaiops.packaging._base import THIS_PYTHON, load_base, this_architecture
from genaiops.packaging._build import BuildSpec, BuiltImage, build_image
from genaiops.packaging._engine import find_engine, run_and_test
from genaiops.packaging._files import PackagedFile, collect_files, content_digest
from genaiops.packaging._layout import BaseImage, Layout, read_layout
from genaiops.packaging._package import Package, describe_package, is_package, read_package

__all__ = [
    "THIS_PYTHON",
    "BaseImage",
    "BuildSpec",
    "BuiltImage",
    "Layout",
    "Package",
    "PackagedFile",
    "build_image",
    "collect_files",
    "content_digest",
    "describe_package",
    "find_engine",
    "is_package",
    "load_base",
    "read_layout",
    "read_package",
    "run_and_test",
    "this_architecture",
]
