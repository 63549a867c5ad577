"""The passes over a picture: what each computes, reads of what those before have stored, and leaves."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from .graph import PAINTED, Node, list_sources


class Pass(NamedTuple):
    """A pass.

    Attributes:
        target: The map it is for, which is measured; the last one paints.
        computed: The maps it computes, the target among them if it is not read.
        made: Those of them that are stored.
        last: The stored maps that it is the last to read, or that were stored for nobody.
    """

    target: Node
    computed: frozenset[Node]
    made: frozenset[Node]
    last: frozenset[Node]


@cache
def list_passes(depth: int, store: frozenset[Node]) -> tuple[Pass, ...]:
    """List the passes in their order.

    Args:
        depth: The deepest scale.
        store: The maps that the pass which computes them first stores.
    """
    targets = [Node("features", depth), *(Node("merged", scale) for scale in range(depth - 1, -1, -1))]
    found: list[tuple[Node, frozenset[Node], frozenset[Node], frozenset[Node]]] = []
    stored: set[Node] = set()
    for target in [*targets, PAINTED, PAINTED]:
        reached = reach(target, depth, stored)
        computed = frozenset(reached - stored)
        found.append((target, computed, computed & store, frozenset(reached & stored)))
        stored |= computed & store
    passes: list[Pass] = []
    needed: set[Node] = set()  # by the passes after
    for target, computed, made, read in reversed(found):
        passes.append(Pass(target, computed, made, frozenset((read | made) - needed)))
        needed |= read
    return tuple(reversed(passes))


def reach(target: Node, depth: int, stored: set[Node]) -> set[Node]:
    """Return the maps that a pass touches: back from its target, up to those that are stored."""
    reached, ahead = set(), [target]
    while ahead:
        node = ahead.pop()
        if node not in reached:
            reached.add(node)
            if node not in stored:
                ahead += list_sources(node, depth)
    return reached
