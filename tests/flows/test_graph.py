"""Order and soundness of graphs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.errors import FlowDefinitionError
from genaiops.flows import Node, Reference
from genaiops.flows._graph import sort_nodes


def node(name: str, *needs: str) -> Node:
    return Node(name=name, inputs={f"i{k}": Reference("node", need) for k, need in enumerate(needs)})


def names(nodes: tuple[Node, ...]) -> list[str]:
    return [item.name for item in nodes]


def test_an_order_that_works_is_kept() -> None:
    nodes = [node("b"), node("a", "b"), node("c"), node("d", "a", "c")]

    assert names(sort_nodes(nodes, file="f")) == ["b", "a", "c", "d"]


def test_a_node_moves_only_behind_what_it_needs() -> None:
    nodes = [node("third", "second"), node("first"), node("second", "first"), node("other")]

    assert names(sort_nodes(nodes, file="f")) == ["first", "second", "third", "other"]


def test_a_circle_names_all_that_are_stuck_by_alphabet() -> None:
    nodes = [node("z", "y"), node("y", "z"), node("free"), node("behind", "z")]

    with pytest.raises(FlowDefinitionError, match="circle: behind, y, z") as caught:
        sort_nodes(nodes, file="f")

    assert caught.value.kind == "NodeCircularDependency"


@given(st.data())
def test_every_node_comes_after_what_it_needs(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    edges = {i: data.draw(st.sets(st.integers(0, i - 1), max_size=3)) if i else set() for i in range(count)}
    shuffled = data.draw(st.permutations(range(count)))
    nodes = [node(f"n{i}", *(f"n{j}" for j in sorted(edges[i]))) for i in shuffled]

    order = names(sort_nodes(nodes, file="f"))

    assert sorted(order) == sorted(item.name for item in nodes)
    assert all(order.index(f"n{j}") < order.index(f"n{i}") for i in edges for j in edges[i])
    # The reference rule: each time, the first declared node that is free.
    expected: list[str] = []
    while len(expected) < count:
        expected.append(
            next(f"n{i}" for i in shuffled if f"n{i}" not in expected and all(f"n{j}" in expected for j in edges[i]))
        )
    assert order == expected
