"""Trees of tuples, lists and dicts. Torch's own functions for any tree take longer than most of
the operations that are looked at here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def tree_leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    if not isinstance(tree, tuple | list):
        return [tree]
    found = []
    for branch in tree:
        if isinstance(branch, tuple | list | dict):
            found += tree_leaves(branch)
        else:
            found.append(branch)
    return found


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, tuple | list):
        return type(tree)([tree_map(function, branch) for branch in tree])
    if isinstance(tree, dict):
        return {name: tree_map(function, branch) for name, branch in tree.items()}
    return function(tree)
