"""Engines that fail: a stand-in for `podman` that keeps its containers and images as files in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.errors import GenaiopsError
from genaiops.packaging import Engine

# As podman 4.3 does where it may not set limits: the container is made, and cannot be started.
CANNOT_START = """\
#!/bin/sh
case $1 in
  run)
    while [ $# -gt 1 ] && [ "$1" != --name ]; do shift; done
    touch "$STORE/${2:-made_up_by_the_engine}"
    echo "crun: setrlimit: Not permitted" >&2
    exit 126;;
  rm) shift; [ $1 = --force ] && shift; rm "$STORE/$1";;
esac
"""


def test_a_container_that_could_not_be_started_is_not_left_behind(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    program = tmp_path / "podman"
    program.write_text(CANNOT_START, encoding="utf-8")
    program.chmod(0o755)
    engine = Engine(str(program), {"STORE": str(store), "PATH": "/usr/bin:/bin"})

    with pytest.raises(GenaiopsError, match="setrlimit"), engine.started("localhost/some:1"):
        pass

    assert list(store.iterdir()) == []
