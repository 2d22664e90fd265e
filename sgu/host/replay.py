"""Functions that are replayed as CUDA graphs, so that the host asks once for all their launches."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

STEADY = ("torch.nn.", "torchvision.", "sgu.models.")  # packages of modules that never branch
HOOKS = "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"
_failed = list[Any]()  # graphs that the allocator may still ask


class Replayed:
    """A function of tensors, from its call `eager` + 1 on replayed as one graph.

    All calls must take the same shapes and ask the device for the same. The eager ones make what
    the libraries keep. A replay reads copies of its arguments, and it answers in the same tensors
    each time: read them before the next call, or clone them. Where there is no CUDA, or it refuses
    to capture, all calls are the function's own, with the same results.
    """

    def __init__(self, function: Callable[..., Any], device: torch.device, eager: int = 1):
        self.function, self.device, self.eager = function, device, eager
        self.graph: Graph | None = None
        self.left = replays(device)  # to be captured

    def __call__(self, *arguments: Tensor) -> Any:
        if self.left and self.eager == 0:
            self.left, self.graph = False, captured(self.function, arguments, self.device)
        self.eager = max(self.eager - 1, 0)
        return (self.graph or self.function)(*arguments)


class Graph:
    """A call of a function as a CUDA graph; making one runs nothing on the device."""

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[Tensor, ...], device: torch.device
    ):
        self.arguments = [argument.clone() for argument in arguments]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), capturing(self.graph):
            self.answer = function(*self.arguments)

    def __call__(self, *arguments: Tensor) -> Any:
        for kept, given in zip(self.arguments, arguments, strict=True):
            kept.copy_(given)
        self.graph.replay()
        return self.answer


def replays(device: torch.device) -> bool:
    """Return True for devices that replay graphs."""
    return device.type == "cuda"


def captured(
    function: Callable[..., Any], arguments: tuple[Tensor, ...], device: torch.device
) -> Graph | None:
    """Return a graph of the function; None, with a warning, if it cannot be captured."""
    try:
        return Graph(function, arguments, device)
    except RuntimeError as error:
        reason = str(error.__context__ or error).split("\n")[0]
        warnings.warn(f"steps run without CUDA graphs: {reason}", stacklevel=4)
    return None


@contextmanager
def capturing(graph: Any) -> Iterator[None]:
    """Capture what is launched inside. Meanwhile no garbage is collected, as among it may be other
    graphs, which the device would have to destroy."""
    pool, collects = torch.cuda.graph_pool_handle(), gc.isenabled()
    gc.disable()
    try:
        with _recorded(graph, pool):
            yield
    except RuntimeError:
        _mend(graph, pool)
        raise
    finally:
        if collects:
            gc.enable()


@contextmanager
def _recorded(graph: Any, pool: Any) -> Iterator[None]:
    """`torch.cuda.graph` would first give all unused memory back to the card, and what comes after
    would ask for it again. The mode lets autograd's thread allocate."""
    before, side = torch.cuda.current_stream(), _side_stream(torch.cuda.current_device())
    side.wait_stream(before)
    with torch.cuda.stream(side):
        graph.capture_begin(pool, capture_error_mode="thread_local")
        try:
            yield
        finally:
            graph.capture_end()
    before.wait_stream(side)


def _mend(graph: Any, pool: Any) -> None:
    """Undo what torch 2.11 leaves of a capture that failed: the allocator still asks its graph, and
    the generator of dropout waits for a capture that ends well."""
    _failed.append(graph)
    with suppress(RuntimeError):
        torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
    with suppress(RuntimeError), _recorded(torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()):
        torch.zeros((), device="cuda")


@lru_cache
def _side_stream(device: int) -> Any:
    return torch.cuda.Stream(device)


def steady(network: nn.Module) -> bool:
    """Return True for a network that surely asks the device for the same in each step: one of
    known modules alone, without hooks."""
    modules = list(network.modules())
    known = all(f"{type(module).__module__}.".startswith(STEADY) for module in modules)
    return known and not any(getattr(module, name) for module in modules for name in HOOKS)
