"""Tensors of the pretended device: each wraps the CPU tensor that holds its values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from pretended.counting import INDEXING, copy_unwaited, count_operation, launch, line, name_of, wait

aten = torch.ops.aten
DEVICE = "pretended"
PINNED = "_pinned_for_the_pretended_device"
MOVES = ("copy_", "_to_copy", "_copy_from", "set_")
NO_SCALARS = {  # operations that do not take a scalar of the CPU beside tensors of the device
    "cat", "stack", "bmm", "mm", "addmm", "baddbmm", "gather", "scatter", "index_select",
    "convolution", "native_batch_norm", "_fused_sgd_", "_fused_adamw_", "_fused_adam_",
    "embedding", "nll_loss_forward",
}  # fmt: skip


class MixedDevicesError(RuntimeError):
    """CUDA would refuse this operation."""


def refuse(why: str) -> None:
    raise MixedDevicesError(f"{why} @ {line()}")


class PretendedTensor(torch.Tensor):
    raw: Tensor

    @staticmethod
    def __new__(cls, raw: Tensor) -> PretendedTensor:
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined, no-any-return]
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(),
            dtype=raw.dtype, layout=raw.layout, device=torch.device(DEVICE, 0),
            requires_grad=False,
        )  # fmt: skip

    def __init__(self, raw: Tensor):
        self.raw = raw

    def __repr__(self, **_: Any) -> str:
        return f"pretended({self.raw})"

    def __deepcopy__(self, memo: dict) -> Tensor:
        if id(self) not in memo:
            with torch.no_grad():
                copied = self.detach().clone()
            copied.requires_grad_(self.requires_grad)
            if getattr(self, "_is_param", False):
                copied._is_param = True  # type: ignore[attr-defined]
            memo[id(self)] = copied
        return memo[id(self)]

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        refuse("numpy() of a tensor on the device")

    def __array__(self, *_: Any, **__: Any) -> Any:
        refuse("a tensor on the device handed to numpy")

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return handle(func, args, kwargs or {})


def wrap(x: Any) -> Any:
    return PretendedTensor(x) if isinstance(x, Tensor) and not _ours(x) else x


def unwrap(x: Any) -> Any:
    return x.raw if isinstance(x, PretendedTensor) else x


def _ours(x: Any) -> bool:
    return isinstance(x, PretendedTensor)


def _on_cpu(x: Any) -> bool:
    return isinstance(x, Tensor) and x.device.type == "cpu"


def check(name: str, args: tuple, kwargs: dict) -> None:
    """Raise MixedDevicesError where CUDA would."""
    leaves = tree_leaves((args, kwargs))
    if not any(_ours(x) for x in leaves):
        return
    if any(isinstance(x, torch.Generator) for x in leaves):
        refuse(f"{name}: a CPU generator for a tensor on the device")
    on_cpu = [x for x in leaves if _on_cpu(x)]
    if not on_cpu or name in MOVES:
        return
    if name in INDEXING:
        _check_indexing(name, args)
        return
    if any(x.dim() or name in NO_SCALARS for x in on_cpu):
        refuse(f"{name}: tensors {[tuple(x.shape) for x in on_cpu]} of the CPU meet the device's")


def _check_indexing(name: str, args: tuple) -> None:
    if not _ours(args[0]):
        refuse(f"{name}: a tensor of the CPU indexed by one on the device")
    if any(_on_cpu(x) and x.dim() for x in tree_leaves(args[2:])):
        refuse(f"{name}: values of the CPU written into a tensor on the device")
    for x in tree_leaves(args[1]):
        if _on_cpu(x):
            wait("index on the CPU")


def handle(operation: Any, args: tuple, kwargs: dict) -> Any:
    """Check, count and run one operation."""
    name = name_of(operation)
    if any(isinstance(x, Tensor) and x.device.type == "meta" for x in tree_leaves((args, kwargs))):
        return operation(*tree_map(_to_meta, args), **tree_map(_to_meta, kwargs))
    check(name, args, kwargs)
    with torch._C._DisableAutocast(), torch.no_grad():
        if name == "copy_":
            unwaited = bool(args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
            return copy(args[0], args[1], unwaited)
        if name == "_to_copy":
            return to_copy(args[0], **kwargs)
        if name == "to":  # arrives whole in inference mode
            return _to(operation, args, kwargs)
        if name == "is_pinned":
            return False
        if name == "_has_same_storage_numel":
            return operation(*tree_map(unwrap, args))
        count_operation(operation, args)
        return _run(operation, args, kwargs)


def _run(operation: Any, args: tuple, kwargs: dict) -> Any:
    wrapped = {id(unwrap(x)): x for x in tree_leaves((args, kwargs)) if _ours(x)}
    to_cpu = kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cpu"
    if kwargs.get("device") is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    if "pin_memory" in kwargs:
        kwargs = kwargs | {"pin_memory": None}
    out = operation(*tree_map(unwrap, args), **tree_map(unwrap, kwargs))
    return out if to_cpu else tree_map(lambda x: wrapped.get(id(x), wrap(x)), out)


def _to_meta(x: Any) -> Any:
    if not isinstance(x, Tensor):
        return x
    return aten._to_copy.default(unwrap(x), device=torch.device("meta"))


def _to(operation: Any, args: tuple, kwargs: dict) -> Any:
    places = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.device)]
    on_cpu = lambda x: torch.device("cpu") if isinstance(x, torch.device) else unwrap(x)  # noqa: E731
    raw = operation(*map(on_cpu, args), **{name: on_cpu(x) for name, x in kwargs.items()})
    if places and places[0].type == "cpu":
        wait("copy to the host")
        return raw
    if raw is args[0].raw:
        return args[0]
    launch("_to_copy")
    return wrap(raw)


def copy(target: Any, source: Any, unwaited: bool) -> Any:
    if _ours(target) and _ours(source):
        launch("copy_")
    elif _ours(target):
        to_the_device(source, unwaited)
    else:
        to_the_host(unwaited)
    unwrap(target).copy_(unwrap(source))
    return target


def to_the_device(source: Tensor, unwaited: bool) -> None:
    if getattr(source, PINNED, False) and unwaited:
        copy_unwaited("copy to the device")
    else:
        wait("copy to the device")


def to_the_host(unwaited: bool) -> None:
    (copy_unwaited if unwaited else wait)("copy to the host")


def to_copy(x: Tensor, *, device: Any = None, non_blocking: bool = False, **kwargs: Any) -> Tensor:
    device = torch.device(device) if device is not None else x.device
    kwargs.pop("pin_memory", None)
    kwargs.pop("layout", None)
    place = torch.device(device.type if device.type == "meta" else "cpu")
    raw: Tensor = aten._to_copy.default(unwrap(x), device=place, **kwargs)
    if device.type == "meta":
        return raw
    if device.type == DEVICE:
        if _ours(x):
            launch("_to_copy")
        else:
            to_the_device(x, non_blocking)
        return PretendedTensor(raw)
    if _ours(x):
        if kwargs.get("dtype") not in (None, x.dtype):
            launch("_to_copy")
        to_the_host(non_blocking)
    return raw
