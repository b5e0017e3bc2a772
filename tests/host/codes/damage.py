"""JSON with one value replaced: what a damaged or forged file may hold."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def replaced_somewhere(content: Any, place: int, value: Any) -> Any:
    """A copy of ``content`` in which the value number ``place``, counted round, is ``value``."""
    changed = copy.deepcopy(content)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = node if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(changed)
    node, key = places[place % len(places)]
    node[key] = value
    return changed
