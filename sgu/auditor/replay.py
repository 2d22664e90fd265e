"""A step that is replayed as a CUDA graph, so that the host asks once for all its launches."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

_refused = set[torch.device]()  # devices on which a capture failed


class Replayed:
    """A step that reads and writes the same tensors in every call, from the third on as one graph.

    The first call makes what the libraries keep, the second captures. Where there is no CUDA, or it
    refuses to capture, all calls are the step itself, with the same results.
    """

    def __init__(self, step: Callable[[], None], device: torch.device):
        self.step, self.device, self.calls = step, device, 0
        self.graph: Any = None

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == 2 and self.device.type == "cuda" and self.device not in _refused:
            self.graph = self._captured()
        if self.graph is None:
            self.step()
        else:
            self.graph.replay()

    def _captured(self) -> Any:
        """Return the graph of the step, which a capture does not run; None if there is none."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.stream(_stream(self.device)):
                self._capture(graph)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            _refused.add(self.device)
            warnings.warn(f"the auditor runs without CUDA graphs: {error}", stacklevel=2)
            return None
        return graph

    def _capture(self, graph: Any) -> None:
        """Capture the step. `torch.cuda.graph` would first give all unused memory back to the card,
        in each round, and the training steps after it would ask for it again."""
        stream = torch.cuda.current_stream(self.device)
        stream.wait_stream(torch.cuda.default_stream(self.device))
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            self.step()
        finally:
            graph.capture_end()
        torch.cuda.default_stream(self.device).wait_stream(stream)


@lru_cache
def _stream(device: torch.device) -> Any:
    return torch.cuda.Stream(device)
