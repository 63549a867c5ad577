"""Passes: everything is computed before it is read, kept as long as it is needed and no longer."""

from __future__ import annotations

import pytest

from styletransfer.model import Architecture
from styletransfer.pipeline.device import PRECISIONS
from styletransfer.pipeline.feature_graph import OUTPUT, Node, list_passes, list_sources
from styletransfer.pipeline.memory_plan import list_storage

STORES = [way.nodes for way in list_storage(Architecture(), PRECISIONS["fp32"])]


def test_without_stores_every_pass_begins_with_the_picture() -> None:
    passes = list_passes(2, frozenset())
    merged = [Node("merged", 1), Node("merged", 0)]
    assert [step.target for step in passes] == [Node("encoded", 2), *merged, OUTPUT, OUTPUT]
    assert all(Node("encoded", 0) in step.computed for step in passes)
    assert passes[-1].computed >= {*merged, OUTPUT}
    assert not any(step.made or step.last for step in passes)


def test_all_that_can_be_stored_is_computed_once() -> None:
    everything = frozenset().union(*STORES)
    counts: dict[Node, int] = {}
    for step in list_passes(4, everything):
        for node in step.computed:
            counts[node] = counts.get(node, 0) + 1
    assert set(counts.values()) == {1}


@pytest.mark.parametrize("store", STORES)
def test_stores_are_read_after_they_are_made_and_kept_until_then(store: frozenset[Node]) -> None:
    present: set[Node] = set()
    for step in list_passes(4, store):
        for node in step.computed:
            assert all(source in step.computed | present for source in list_sources(node, 4)), node
        assert not step.made & present
        assert step.last <= present | step.made
        present = (present | step.made) - step.last
    assert not present


def test_what_is_stored_goes_with_the_last_pass_that_reads_it() -> None:
    store = frozenset({Node("encoded", 0), Node("merged", 0), OUTPUT})
    last = {node: index for index, step in enumerate(list_passes(1, store)) for node in step.last}
    # The passes: encode, merged, painted, and the one that paints.
    assert last == {Node("encoded", 0): 1, Node("merged", 0): 2, OUTPUT: 3}
