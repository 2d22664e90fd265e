"""Problems of one shape, round after round: on CUDA their path is three graphs, made once."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sgu.auditor.central_path import LOOKS, Path, follow
from sgu.host.replay import Replayed


class Rounds:
    """Each call begins a path, follows it to its end, and returns what is found there.

    begin: of tensors that have the same shapes in each call, the path and a record; end: fills the
    record. One graph begins the path and goes on to the host's first look, one goes from a look to
    the next, one is the end. All write to the same tensors in each round, so answers are copies.
    """

    def __init__(
        self,
        begin: Callable[..., tuple[Path, Any]],
        end: Callable[[Path, Any], Any],
        most: int,
        device: torch.device,
    ):
        self.begin, self.end, self.most, self.device = begin, end, most, device
        self.first = Replayed(self._to_the_first_look, device)

    def __call__(self, *tensors: Tensor) -> Any:
        path, kept, onwards, end = self.first(*tensors)
        iterations = follow(path, self.most, LOOKS.start, onwards)
        path.settle(kept)
        answer = cloned(end())
        answer.iterations = iterations
        return answer

    def _to_the_first_look(self, *tensors: Tensor) -> tuple[Path, list[Tensor], Replayed, Replayed]:
        path, record = self.begin(*tensors)
        for _ in range(LOOKS.start):
            path.advance()
        kept = path.state()

        def onwards() -> None:
            for _ in range(LOOKS.step):
                path.advance()
            path.settle(kept)

        end = partial(self.end, path, record)
        return path, kept, Replayed(onwards, self.device), Replayed(end, self.device)


def cloned(value: Any, copies: dict[int, Any] | None = None) -> Any:
    """Return a copy of a record, its records and their tensors; what it holds twice stays one."""
    copies = {} if copies is None else copies
    if id(value) not in copies:
        copies[id(value)] = value.clone() if isinstance(value, Tensor) else copy(value)
        for name, part in getattr(value, "__dict__", {}).items():
            if not isinstance(value, Tensor):
                vars(copies[id(value)])[name] = cloned(part, copies)
    return copies[id(value)]
