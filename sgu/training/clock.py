"""The cost of a run: seconds by named part, measured without stopping the device, and examples."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sgu.training.snapshots import State


class Clock:
    """A sum of seconds by part; a part may nest in others. On CUDA they come from device events,
    which `seconds` reads.

    examples: how many went forward and backward through the network; `saw` adds some.
    """

    def __init__(self, device: torch.device):
        self.on_device = device.type == "cuda"
        self.examples = 0
        self._seconds: dict[str, float] = defaultdict(float)
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
        self._open: dict[str, float | torch.cuda.Event] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._open[name] = self._mark()
        try:
            yield
        finally:
            self._record(name, self._open.pop(name), self._mark())

    def seconds(self, name: str) -> float:
        """Return the seconds spent in a part so far; 0 if it never ran."""
        if self._events:
            torch.cuda.synchronize()
        for part, begin, end in self._events:
            self._seconds[part] += begin.elapsed_time(end) / 1e3
        self._events.clear()
        return self._seconds[name]

    def saw(self, examples: int) -> None:
        self.examples += examples

    def state(self) -> State:
        """Return the counts so far, including the seconds of parts that are still open."""
        now = self._mark()
        for name, begin in self._open.items():
            self._record(name, begin, now)
        self._open = dict.fromkeys(self._open, now)
        names = {*self._seconds, *(name for name, _, _ in self._events)}
        seconds = {name: self.seconds(name) for name in sorted(names)}
        return {"examples": self.examples, "seconds": seconds}

    def restore(self, state: State) -> None:
        """Go on from a state; the counts so far are dropped, as the state includes that work."""
        self.examples = state["examples"]
        self._seconds, self._events = defaultdict(float, state["seconds"]), []
        self._open = dict.fromkeys(self._open, self._mark())

    def _mark(self) -> float | torch.cuda.Event:
        if not self.on_device:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _record(self, name: str, begin: float | torch.cuda.Event, end: object) -> None:
        if isinstance(begin, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
            self._events.append((name, begin, end))
        elif isinstance(begin, float) and isinstance(end, float):
            self._seconds[name] += end - begin
