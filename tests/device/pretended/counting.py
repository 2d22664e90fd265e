"""What the device is asked for: launches, and waits of the host, by the line that caused them."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

SPEC = importlib.util.find_spec("sgu")
ROOT = f"{Path(SPEC.origin).parents[1]}/"  # type: ignore[union-attr, arg-type]

# kernels of an operation on CUDA, where it is not one (estimates)
LAUNCHES = {
    "linalg_cholesky_ex": 6, "cholesky_solve": 8, "_cholesky_solve_helper": 8,
    "linalg_solve_triangular": 3, "linalg_inv_ex": 8, "linalg_lu_factor_ex": 8,
    "linalg_lu_solve": 8, "_linalg_solve_ex": 8, "native_batch_norm": 2,
    "native_batch_norm_backward": 2, "convolution_backward": 3, "_fused_sgd_": 2,
    "_fused_adamw_": 2, "sort": 4, "topk": 4, "argsort": 4, "nonzero": 3, "unique": 5,
    "_unique2": 5, "native_layer_norm_backward": 2, "embedding_dense_backward": 4,
}  # fmt: skip
ACCUMULATING = 7  # kernels of an index_put that adds
FREE = {
    "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view",
    "detach", "alias", "lift_fresh", "lift", "_reshape_alias", "is_same_size", "set_",
    "result_type", "_local_scalar_dense", "arange_start",
}  # fmt: skip
WAITS = {
    "_local_scalar_dense": "item", "nonzero": "nonzero", "equal": "equal",
    "masked_select": "masked_select", "_unique2": "unique", "unique_dim": "unique",
    "unique_consecutive": "unique", "bincount": "bincount",
    "repeat_interleave": "repeat_interleave",
}  # fmt: skip
INDEXING = {
    "index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put",
}  # fmt: skip


@dataclass
class Count:
    """Launches by operation; waits of the host, and copies it does not wait for, by their line."""

    launched: Counter[str] = field(default_factory=Counter)
    waited: Counter[str] = field(default_factory=Counter)
    copied: Counter[str] = field(default_factory=Counter)

    @property
    def launches(self) -> int:
        return self.launched.total()

    @property
    def waits(self) -> int:
        return self.waited.total()


_counts = [Count()]


@contextmanager
def counted() -> Iterator[Count]:
    """Count what is asked for inside, into every count that is open."""
    count = Count()
    _counts.append(count)
    try:
        yield count
    finally:
        _counts.remove(count)


def line() -> str:
    """Return the innermost line of the project that is being run."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(ROOT) and "/pretended/" not in name:
            return f"{name.removeprefix(ROOT)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "torch"


def wait(why: str) -> None:
    at = f"{why} @ {line()}"
    for count in _counts:
        count.waited[at] += 1


def copy_unwaited(why: str) -> None:
    at = f"{why} @ {line()}"
    for count in _counts:
        count.copied[at] += 1


def launch(name: str, kernels: int = 1) -> None:
    for count in _counts:
        count.launched[name] += kernels


def name_of(operation: torch._ops.OpOverload) -> str:
    return operation._schema.name.removeprefix("aten::")


def count_operation(operation: torch._ops.OpOverload, args: tuple) -> None:
    """Count the launches and waits of an operation whose arguments are on the device."""
    name = name_of(operation)
    if name in WAITS:
        wait(WAITS[name])
    if name in INDEXING and any(_is_mask(x) for x in tree_leaves(args[1])):
        wait("index by a mask")
    returns = operation._schema.returns
    view = any(r.alias_info is not None and not r.alias_info.is_write for r in returns)
    if view or name in FREE:
        return
    adds = "index_put" in name and len(args) > 3 and args[3]
    launch(name, ACCUMULATING if adds else LAUNCHES.get(name, 1))


def _is_mask(x: object) -> bool:
    return isinstance(x, Tensor) and x.dtype in (torch.bool, torch.uint8)
