"""Records beside what the standard library makes of the same class."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.records import record

OPTIONS: list[dict[str, Any]] = [{}, {"kw_only": True}, {"slots": True}, {"slots": True, "kw_only": True}]
VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.tuples(st.integers()))


def make(decorator: Callable[..., Any], options: dict[str, Any]) -> Any:
    class Thing:
        """A thing."""

        name: Any
        size: int = 3
        parts: list[int] = field(default_factory=list)
        secret: str = field(default="", repr=False)
        place: str | None = field(default=None, compare=False)

        def doubled(self) -> int:
            return 2 * self.size

    return decorator(frozen=True, **options)(Thing)


def both(options: dict[str, Any]) -> tuple[Any, Any]:
    return make(record, options), make(dataclass, options)


@dataclasses.dataclass(frozen=True, slots=True)
class Expected:
    name: str
    size: int = 3


@record(frozen=True, slots=True)
class Slotted:
    name: str
    size: int = 3


@record(frozen=True, kw_only=True)
class Base:
    name: str
    size: int = 3


@record(frozen=True, kw_only=True)
class Derived(Base):
    color: str = "red"


@pytest.mark.parametrize("options", OPTIONS)
@given(name=VALUES, size=st.integers(), secret=st.text(max_size=3), place=st.none() | st.text(max_size=3))
def test_a_record_shows_itself_as_the_standard_dataclass_does(
    options: dict[str, Any], name: Any, size: int, secret: str, place: str | None
) -> None:
    ours, theirs = both(options)
    values = {"name": name, "size": size, "secret": secret, "place": place}
    assert repr(ours(**values)) == repr(theirs(**values))
    assert dataclasses.asdict(ours(**values)) == dataclasses.asdict(theirs(**values))


@pytest.mark.parametrize("options", OPTIONS)
@given(
    first=st.fixed_dictionaries({"name": VALUES, "size": st.integers(0, 1), "place": st.sampled_from(["a", "b"])}),
    second=st.fixed_dictionaries({"name": VALUES, "size": st.integers(0, 1), "place": st.sampled_from(["a", "b"])}),
)
def test_records_are_equal_when_the_standard_dataclasses_are(
    options: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    ours, theirs = both(options)
    assert (ours(**first) == ours(**second)) is (theirs(**first) == theirs(**second))
    assert ours(**first) != theirs(**first)


@pytest.mark.parametrize("options", OPTIONS)
def test_the_signature_the_fields_and_what_can_be_matched_are_those_of_the_standard_dataclass(
    options: dict[str, Any],
) -> None:
    ours, theirs = both(options)
    for mine, other in zip(
        inspect.signature(ours).parameters.values(), inspect.signature(theirs).parameters.values(), strict=True
    ):
        assert (mine.name, mine.kind, mine.annotation) == (other.name, other.kind, other.annotation)
        assert (mine.default is inspect.Parameter.empty) is (other.default is inspect.Parameter.empty)
    assert [f.name for f in dataclasses.fields(ours)] == [f.name for f in dataclasses.fields(theirs)]
    assert ours.__match_args__ == theirs.__match_args__
    assert ours.__doc__ == theirs.__doc__
    assert hasattr(ours(name=1), "__dict__") is hasattr(theirs(name=1), "__dict__")


@pytest.mark.parametrize("options", OPTIONS)
def test_nothing_of_a_record_can_be_changed(options: dict[str, Any]) -> None:
    thing = make(record, options)(name="a")
    for name in ("name", "other"):
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            setattr(thing, name, 1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="name"):
        del thing.name
    assert thing.name == "a"


def test_a_wrong_call_is_refused_with_the_name_of_what_is_missing() -> None:
    with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required .* 'name'"):
        make(record, {})()
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        make(record, {})("a", colour="red")
    with pytest.raises(TypeError, match="positional"):
        make(record, {"kw_only": True})("a")


def test_each_record_gets_a_default_of_its_own() -> None:
    thing = make(record, {})
    first, second = thing("a"), thing("b")
    assert first.parts == []
    assert first.parts is not second.parts


def test_records_with_hashable_fields_are_keys() -> None:
    assert {Slotted("a"): 1}[Slotted("a", 3)] == 1
    assert hash(Slotted("a")) == hash(Expected("a"))
    with pytest.raises(TypeError, match="unhashable"):
        hash(make(record, {})("a"))


def test_a_changed_copy_a_pickle_and_a_deep_copy_are_records_again() -> None:
    for thing in (Slotted("a", 4), Derived(name="a", color="blue")):
        assert dataclasses.replace(thing, size=5).size == 5
        assert pickle.loads(pickle.dumps(thing)) == thing
        assert copy.deepcopy(thing) == thing
        assert copy.copy(thing) == thing


def test_a_derived_record_has_the_fields_of_both() -> None:
    assert Derived(name="a") == Derived(name="a", size=3, color="red")
    assert Derived(name="a") != Base(name="a")
    assert repr(Derived(name="a")) == "Derived(name='a', size=3, color='red')"


def test_what_follows_the_making_runs_and_may_refuse() -> None:
    @record(frozen=True)
    class Positive:
        value: int

        def __post_init__(self) -> None:
            if self.value < 0:
                raise ValueError("negative")

    assert Positive(1).value == 1
    with pytest.raises(ValueError, match="negative"):
        Positive(-1)


def test_methods_of_the_class_itself_stay() -> None:
    @record(frozen=True)
    class Shy:
        value: int

        def __repr__(self) -> str:
            return "Shy"

        def __eq__(self, other: object) -> bool:
            return True

    assert repr(Shy(1)) == "Shy"
    assert Shy(1) == Shy(2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Shy(1))


@pytest.mark.parametrize("option", [{"init": False, "default": 1}, {"hash": False}])
def test_a_field_that_a_record_would_treat_otherwise_is_refused(option: dict[str, Any]) -> None:
    class Thing:
        size: int = field(**option)

    with pytest.raises(TypeError, match=r"Thing\.size"):
        record(frozen=True)(Thing)


def test_a_class_that_changes_is_no_record() -> None:
    with pytest.raises(TypeError, match=r"dataclasses\.dataclass"):
        make(lambda **options: record(**{**options, "frozen": False}), {})
