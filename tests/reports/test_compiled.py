"""The page's template, kept compiled as Python keeps modules."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import cache_from_source, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jinja2 import Environment

from genaiops.reports._compiled import load_template

TEXT = "{{ word|loud }} {{ 'constant'|loud }}"
FILTER = "def loud(text): return text.upper() + '{mark}'\n"


class Counting(Environment):
    """Counts what it compiles."""

    compiled = 0

    def compile(self, *words: Any, **options: Any) -> Any:
        self.compiled += 1
        return super().compile(*words, **options)


Render = Callable[..., tuple[str, int]]


@pytest.fixture
def render(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Render:
    """Draws as a fresh process would; returns the text, and how often it had to compile."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)

    def render(text: str = TEXT, mark: str = "!", **options: Any) -> tuple[str, int]:
        environment = Counting(**options)
        environment.filters["loud"] = _module(tmp_path, FILTER.format(mark=mark)).loud
        template = load_template(environment, str(tmp_path / "page.html.j2"), text)
        return template.render(word="a"), environment.compiled

    return render


@pytest.fixture
def kept(tmp_path: Path, render: Render) -> Path:
    """Where the compiled form is kept."""
    return Path(cache_from_source(str(tmp_path / "page.html.j2")))


def _module(folder: Path, source: str) -> ModuleType:
    file = folder / "our_filters.py"
    file.write_text(source, encoding="utf-8")
    spec = spec_from_file_location("our_filters", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    exec(compile(source, file, "exec"), vars(module))
    return module


def test_it_is_compiled_once_for_all_commands(render: Render, kept: Path) -> None:
    assert render() == ("A! CONSTANT!", 1)
    assert kept.is_file()
    assert render() == ("A! CONSTANT!", 0)


def test_another_text_or_filter_is_compiled_anew(render: Render) -> None:
    render()

    assert render(text=TEXT.replace("constant", "changed!")) == ("A! CHANGED!!", 1)  # of the same length
    assert render(text=TEXT.replace("constant", "changed!"), mark="?") == ("A? CHANGED!?", 1)
    assert render(text=TEXT.replace("constant", "changed!"), mark="?")[1] == 0


def test_another_jinja_compiles_anew(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    render()
    monkeypatch.setattr("jinja2.__version__", "99.0")

    assert render() == ("A! CONSTANT!", 1)


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: data[:9], lambda data: data[:16] + b"junk"])
def test_a_damaged_form_is_replaced(render: Render, kept: Path, damage: Callable[[bytes], bytes]) -> None:
    render()
    kept.write_bytes(damage(kept.read_bytes()))

    assert render() == ("A! CONSTANT!", 1)
    render()
    assert render() == ("A! CONSTANT!", 0)


def test_a_folder_that_cannot_be_written_is_no_obstacle(render: Render, kept: Path) -> None:
    kept.parent.mkdir(exist_ok=True)
    kept.mkdir()  # permissions would not stop a superuser

    assert render() == ("A! CONSTANT!", 1)
    assert render() == ("A! CONSTANT!", 1)


def test_nothing_is_written_where_python_writes_no_compiled_modules(
    render: Render, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    assert render() == ("A! CONSTANT!", 1)
    assert not kept.exists()


def test_it_is_where_compiled_modules_are(tmp_path: Path) -> None:
    code = "from genaiops.reports import get_ready; get_ready()"
    refusing = "import jinja2; jinja2.Environment.compile = lambda *_, **__: 1 / 0; "
    words = [sys.executable, "-X", f"pycache_prefix={tmp_path}", "-c"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}

    subprocess.run([*words, code], check=True, env=environment)
    subprocess.run([*words, refusing + code], check=True, env=environment)

    assert [file.name.split(".")[0] for file in tmp_path.rglob("report.html.*")] == ["report"]
