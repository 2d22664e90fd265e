"""The cost of a run: seconds by named part, measured without stopping the device, and examples."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from sgu.training.snapshots import State


class Clock:
    """A sum of seconds by part; a part may nest in others. On CUDA they come from device events,
    which `seconds` and `state` read.

    examples: how many went forward and backward through the network; `saw` adds some.
    """

    def __init__(self, device: torch.device):
        self.on_device = device.type == "cuda"
        self.examples = 0
        self._seconds: dict[str, float] = defaultdict(float)
        self._spans: list[tuple[str, Any, Any]] = []
        self._open: dict[str, Any] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._open[name] = self._now()
        try:
            yield
        finally:
            self._spans.append((name, self._open.pop(name), self._now()))

    def seconds(self, name: str) -> float:
        """Return the seconds spent in a part so far; 0 if it never ran."""
        self._add_up()
        return self._seconds[name]

    def saw(self, examples: int) -> None:
        self.examples += examples

    def state(self) -> State:
        """Return the counts so far, including the seconds of parts that are still open."""
        now = self._now()
        self._spans += [(name, begin, now) for name, begin in self._open.items()]
        self._open = dict.fromkeys(self._open, now)
        self._add_up()
        return {"examples": self.examples, "seconds": dict(sorted(self._seconds.items()))}

    def restore(self, state: State) -> None:
        """Go on from a state; the counts so far are dropped, as the state includes that work."""
        self.examples = state["examples"]
        self._seconds, self._spans = defaultdict(float, state["seconds"]), []
        self._open = dict.fromkeys(self._open, self._now())

    def _now(self) -> Any:
        """Return the time in seconds, or an event on the device."""
        if not self.on_device:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _add_up(self) -> None:
        if self.on_device and self._spans:
            torch.cuda.synchronize()
        for name, begin, end in self._spans:
            self._seconds[name] += begin.elapsed_time(end) / 1e3 if self.on_device else end - begin
        self._spans.clear()
