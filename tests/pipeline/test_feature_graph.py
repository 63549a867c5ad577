"""Test the passes: each map is computed before it is read and stored only as long as it is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from styletransfer.model import Architecture
from styletransfer.pipeline.device import PRECISIONS
from styletransfer.pipeline.feature_graph import OUTPUT, Node, list_passes, list_sources
from styletransfer.pipeline.memory_plan import list_storage

PLAIN = Architecture((4, 6, 8), (1, 1, 1))
MATCHING = replace(Architecture(), key_widths=(0, 0, 0, 128, 128), match_strengths=(0, 0, 0.5, 1, 1))
STORES = [
    (architecture, cost.nodes)
    for architecture in (Architecture(), MATCHING)
    for cost in list_storage(architecture, PRECISIONS["fp32"])
]


def test_every_pass_starts_from_the_picture_if_nothing_is_stored() -> None:
    passes = list_passes(PLAIN, frozenset())
    merged = [Node("merged", 1), Node("merged", 0)]
    assert [step.target for step in passes] == [Node("encoded", 2), *merged, OUTPUT, OUTPUT]
    assert all(Node("encoded", 0) in step.computed for step in passes)
    assert passes[-1].computed >= {*merged, OUTPUT}
    assert not any(step.stored or step.released for step in passes)


def test_every_map_is_computed_once_if_all_maps_are_stored() -> None:
    for architecture in (Architecture(), MATCHING):
        everything = frozenset().union(*(store for each, store in STORES if each == architecture))
        computed = [node for step in list_passes(architecture, everything) for node in step.computed]
        assert len(computed) == len(set(computed))


def test_a_matched_map_is_measured_twice_before_and_after_matching() -> None:
    targets = [step.target for step in list_passes(MATCHING, frozenset())]
    assert targets[:6] == [
        *(Node("encoded", 4), Node("matched", 4)),
        *(Node("merged", 3), Node("matched", 3)),
        *(Node("merged", 2), Node("matched", 2)),
    ]
    assert list_sources(Node("matched", 2), MATCHING) == (Node("matches", 3), Node("merged", 2))


@pytest.mark.parametrize(("architecture", "store"), STORES)
def test_stores_are_read_after_they_are_written_and_kept_until_then(
    architecture: Architecture, store: frozenset[Node]
) -> None:
    present: set[Node] = set()
    for step in list_passes(architecture, store):
        for node in step.computed:
            assert all(source in step.computed | present for source in list_sources(node, architecture)), node
        assert not step.stored & present
        assert step.released <= present | step.stored
        present = (present | step.stored) - step.released
    assert not present


def test_a_store_is_released_by_the_last_pass_that_reads_it() -> None:
    store = frozenset({Node("encoded", 0), Node("merged", 0), OUTPUT})
    last_use = {
        node: index
        for index, step in enumerate(list_passes(Architecture((4, 6), (1, 1)), store))
        for node in step.released
    }
    # The passes measure the encoded map, the merged map and the output; the last one emits the output.
    assert last_use == {Node("encoded", 0): 1, Node("merged", 0): 2, OUTPUT: 3}
