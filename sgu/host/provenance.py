"""The provenance of a number: code, libraries, device, and the clock of the run."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from sgu.host.peak_memory import peak, reset_peak

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "ray", "optuna", "pyarrow")
VERSION_GIVEN = "SGU_CODE_VERSION"
"""Where code that was sent without its history is told its commit, with +dirty if it was."""


@lru_cache
def code_version() -> tuple[str, bool | None]:
    """The commit and whether the tree was dirty; outside a checkout the package's version, None."""
    if given := os.environ.get(VERSION_GIVEN):
        commit, dirty, _ = given.partition("+dirty")
        return commit, bool(dirty)
    root = Path(__file__).resolve().parents[2]
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        installed = metadata.distributions(name="sg-unlearn-study")
        return next((found.version for found in installed), "unknown"), None


@lru_cache
def versions() -> dict[str, str]:
    """Python's and the libraries' versions, where installed."""
    installed = {d.name.lower() for d in metadata.distributions() if d.name}
    found = {name: metadata.version(name) for name in LIBRARIES if name in installed}
    return {"python": platform.python_version()} | found


def device_name(device: torch.device) -> str:
    """The card's name, or the processor's architecture."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({platform.machine()})"


@lru_cache
def host_class() -> str:
    """The kind of machine: processor, cores and memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"


@dataclass
class Started:
    """The start of a run, from which its provenance is known when it has ended.

    A run that goes on from a snapshot began when its first attempt did; before: the seconds of the
    attempts that were cut off, up to their snapshots.
    """

    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.perf_counter)
    attempt: int = 0
    before: float = 0.0

    def __post_init__(self) -> None:
        reset_peak()

    @property
    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.clock

    def state(self) -> dict[str, Any]:
        return {"at": self.at.isoformat(), "attempt": self.attempt, "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        self.at = datetime.fromisoformat(state["at"])
        self.attempt, self.before = state["attempt"] + 1, state["seconds"]

    def provenance(self, device: torch.device) -> dict[str, Any]:
        """Return the columns of a result row that tell how and where it ran."""
        return {
            "attempt": self.attempt,
            "peak_memory": peak(device),
            "host_class": host_class(),
            "device": device_name(device),
            "threads": torch.get_num_threads(),
            "host": platform.node(),
            "versions": versions(),
            "started": self.at,
            "wall_seconds": self.seconds,
        }


def _git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *words], check=True, capture_output=True, text=True
    ).stdout.strip()
