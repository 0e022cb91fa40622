"""python-dotenv's functions, and the hits of an index search, for flows that rely on prompt flow to bring them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genaiops.compat._dotenv import dotenv_values, find_dotenv, get_key, load_dotenv
from genaiops.compat._vector_results import SearchResultEntity


def test_a_file_fills_gaps_and_overrides_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET_BEFORE", "process")
    monkeypatch.setenv("NEW_ONE", "x")
    monkeypatch.delenv("NEW_ONE")
    file = tmp_path / "my.env"
    file.write_text(
        'SET_BEFORE=file\nexport NEW_ONE="two words" # why\nURL=${NEW_ONE}/${NOPE:-here}\n', encoding="utf-8"
    )

    assert dotenv_values(file) == {"SET_BEFORE": "file", "NEW_ONE": "two words", "URL": "two words/here"}
    assert get_key(file, "SET_BEFORE") == "file"
    assert load_dotenv(dotenv_path=file)
    assert (os.environ["SET_BEFORE"], os.environ["NEW_ONE"]) == ("process", "two words")
    assert load_dotenv(file, override=True)
    assert os.environ["SET_BEFORE"] == "file"
    monkeypatch.delenv("URL")


def test_without_a_file_there_is_nothing_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert find_dotenv("no-such.env", usecwd=True) == ""
    assert not load_dotenv(tmp_path / "no-such.env")
    assert dotenv_values(stream=io.StringIO("A=1\n")) == {"A": "1"}
    with pytest.raises(OSError, match="File not found"):
        find_dotenv("no-such.env", raise_error_if_not_found=True)


def test_the_file_is_looked_for_from_the_callers_folder_upwards(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FROM_ABOVE=yes\n", encoding="utf-8")
    script = tmp_path / "inner" / "tool.py"
    script.parent.mkdir()
    script.write_text(
        "import sys\n"
        "sys.modules.pop('dotenv', None)\n"
        "from genaiops.compat import install_import_layer\n"
        "install_import_layer()\n"
        "served = [finder for finder in sys.meta_path if 'dotenv' in getattr(finder, 'roots', ())]\n"
        "sys.meta_path[:0] = served\n"
        "from dotenv import load_dotenv\n"
        "import dotenv.main, os\n"
        "print(load_dotenv(), os.environ.get('FROM_ABOVE'), load_dotenv.__module__)\n",
        encoding="utf-8",
    )

    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd="/", check=False)

    assert done.stdout.split() == ["True", "yes", "genaiops.compat._dotenv"], done.stderr


def test_a_search_hit_is_read_from_a_mapping() -> None:
    hit = SearchResultEntity.from_dict({"text": "t", "score": 0.5, "original_entity": {"url": "u"}, "other": 1})

    assert (hit.text, hit.score, hit.original_entity, hit.vector) == ("t", 0.5, {"url": "u"}, None)
    assert hit.as_dict()["text"] == "t"
