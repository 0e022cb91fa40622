"""YAML 1.2 with the line of everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.errors import FlowDefinitionError
from genaiops.flows._yaml import load_yaml, parse_yaml


def test_scalars_are_typed_as_yaml_1_2_says() -> None:
    text = "a: yes\nb: 010\nc: 0o10\nd: TRUE\ne: 1:30\nf: 1e3\ng: ~\nh: .nan\ni: !!str 12\nj: &x off\nk: *x\n"

    data = parse_yaml(text, Path("f.yaml")).data

    assert {key: data[key] for key in "abcdefgijk"} == {
        "a": "yes", "b": 10, "c": 8, "d": True, "e": "1:30", "f": 1000.0, "g": None, "i": "12", "j": "off", "k": "off",
    }  # fmt: skip
    assert data["h"] != data["h"]
    assert all(type(value) in (str, int, bool, float, type(None)) for value in data.values())


def test_every_key_and_item_has_its_line() -> None:
    document = parse_yaml("a:\n  b: 1\n\nnodes:\n- name: x\n  inputs:\n    q: 2\n- name: y\n", Path("f.yaml"))

    assert document.line("a", "b") == 2
    assert document.line("nodes", 0, "inputs", "q") == 7
    assert document.line("nodes", 1) == 8
    assert document.line("nodes", 1, "nothing", "there") == 8


def test_a_duplicate_key_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("inputs:\n  a: 1\n  b: 2\n  a: 3\n", encoding="utf-8")

    with pytest.raises(FlowDefinitionError, match="twice") as caught:
        load_yaml(path)

    assert (caught.value.file, caught.value.line) == (str(path), 4)


@pytest.mark.parametrize("text", ["a: [1", "a: 'x", "\tb: 1", "a: b: c", "- a\nb: 1"])
def test_broken_yaml_names_file_and_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(FlowDefinitionError) as caught:
        load_yaml(path)

    assert caught.value.kind == "YamlParseError"
    assert caught.value.file == str(path)
    assert caught.value.line is not None


@pytest.mark.parametrize(
    ("text", "has_hint"),
    [
        ("inputs: {a: ${inputs.a}}\n", True),
        ("- {name: x,\n   inputs: {a: ${inputs.a}}}\n", True),
        ("outputs:\n  a: {type: string, reference: ${x.output}}\n", True),
        ("a: {b: 1\nc: 2\n", False),
        ("a: 'x\n", False),
    ],
)
def test_a_reference_without_quotes_inside_braces_is_told_as_such(tmp_path: Path, text: str, has_hint: bool) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(FlowDefinitionError) as caught:
        load_yaml(path)

    assert ("in quotes" in (caught.value.hint or "")) is has_hint


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9\n")

    assert load_yaml(path).data == {"a": "é"}


def test_data_of_one_reader_is_not_that_of_the_next() -> None:
    text = "a: {b: [1, 2]}\n"

    first = parse_yaml(text, Path("f.yaml"))
    first.data["a"]["b"].append(3)
    second = parse_yaml(text, Path("g.yaml"))

    assert (second.data, second.path) == ({"a": {"b": [1, 2]}}, Path("g.yaml"))
