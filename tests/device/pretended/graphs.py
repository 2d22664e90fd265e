"""A graph that is not CUDA's: it notes the operations of one call, and asks for them again, with
the same tensors. It takes the place of `sgu.host.replay.Graph` on any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pretended.counting import name_of


class PretendedGraph(TorchDispatchMode):
    """Making one leaves every tensor as it was, as a capture does."""

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[Tensor, ...], _: torch.device
    ):
        super().__init__()
        self.noted, self.born, self.before = list[Any](), set[int](), list[Any]()
        self.arguments = [argument.clone() for argument in arguments]
        try:
            with self:
                self.answer = function(*self.arguments)
        finally:
            with torch.no_grad():
                for tensor, old in reversed(self.before):
                    tensor.copy_(old)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if name_of(func) == "_local_scalar_dense":
            raise RuntimeError("operation not permitted when stream is capturing")
        if func._schema.is_mutable or "batch_norm" in name_of(func):  # its schema does not say so
            self.before += [(t, t.clone()) for t in tensors(args) if memory(t) not in self.born]
        result = func(*args, **kwargs)
        asked = {memory(t) for t in tensors((args, kwargs))}
        new = [t for t in tensors(result) if memory(t) not in asked]
        self.born |= {memory(t) for t in new}
        self.noted.append((func, args, kwargs, result))
        return result

    @torch.no_grad()
    def __call__(self, *arguments: Tensor) -> Any:
        for kept, given in zip(self.arguments, arguments, strict=True):
            kept.copy_(given)
        for func, args, kwargs, result in self.noted:
            again = func(*args, **kwargs)
            for kept, new in zip(tensors(result), tensors(again), strict=True):
                if memory(kept) != memory(new):
                    kept.copy_(new)
        return self.answer


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def memory(tensor: Tensor) -> int:
    return getattr(tensor, "raw", tensor).untyped_storage().data_ptr()
