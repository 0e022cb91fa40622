"""The environment wins over .env files, and .env files are read as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.errors import SettingsError
from genaiops.settings import load_settings, read_dotenv


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_dotenv_understands_what_people_write(tmp_path: Path) -> None:
    path = write(
        tmp_path / ".env",
        "# comment\n\nexport A=1\nB = two words # note\nC='lit $eral \\n'\nD=\"line one\nline two\"\n"
        'E="a\\nb"\nF=key==\nG=\nH=a#b\nI="x" # after\n',
    )

    assert read_dotenv(path) == {
        "A": "1",
        "B": "two words",
        "C": "lit $eral \\n",
        "D": "line one\nline two",
        "E": "a\nb",
        "F": "key==",
        "G": "",
        "H": "a#b",
        "I": "x",
    }


@pytest.mark.parametrize(("text", "line"), [("A=1\nnonsense\n", 2), ('A="never closed\n', 1), ("=x\n", 1)])
def test_a_line_that_means_nothing_is_named_by_number_and_its_text_is_not_shown(
    tmp_path: Path, text: str, line: int
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_dotenv(write(tmp_path / ".env", text))

    assert caught.value.line == line
    assert "nonsense" not in str(caught.value)


@given(value=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="'\r"), max_size=50))
def test_any_text_survives_single_quotes(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path = tmp_path_factory.mktemp("dotenv") / ".env"
    path.write_bytes(f"KEY='{value}'\nNEXT=1\n".encode())

    assert read_dotenv(path) == {"KEY": value, "NEXT": "1"}


def test_the_process_wins_over_dotenv_and_the_source_is_known(tmp_path: Path) -> None:
    write(tmp_path / ".env", "A=file\nB=file\n")

    settings = load_settings(cwd=tmp_path, environ={"A": "process"})

    assert (settings.environ["A"], settings.environ["B"]) == ("process", "file")
    assert settings.sources == {"A": "environment", "B": f"{tmp_path / '.env'}:2"}


def test_the_project_is_the_nearest_ancestor_with_a_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)

    assert load_settings(cwd=inner, environ={}).state == tmp_path / ".genaiops"
    assert load_settings(cwd=inner, environ={"GENAIOPS_HOME": str(inner)}).state == inner


def test_a_named_dotenv_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(cwd=tmp_path, environ={}, dotenv=tmp_path / "missing.env")


def test_settings_never_show_the_environment(tmp_path: Path) -> None:
    settings = load_settings(cwd=tmp_path, environ={"API_KEY": "s3cret"})

    assert "s3cret" not in repr(settings)
