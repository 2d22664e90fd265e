"""The provenance of a number: code, libraries, device, memory, and the clock of the run."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "ray", "optuna", "pyarrow")
VERSION_GIVEN = "SGU_CODE_VERSION"
"""Environment variable: the commit of code sent without its history, with +dirty if it was."""
MIB = 2**20
FROM_NOW = Path("/proc/self/clear_refs")  # writing "5" resets the high-water mark (Linux)
STATUS = Path("/proc/self/status")


@lru_cache
def code_version() -> tuple[str, bool | None]:
    """Return the commit and if it was dirty; outside a checkout the package's version and None."""
    if version := os.environ.get(VERSION_GIVEN):
        commit, dirty, _ = version.partition("+dirty")
        return commit, bool(dirty)
    root = Path(__file__).resolve().parents[2]
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        installed = metadata.distributions(name="sg-unlearn-study")
        return next((package.version for package in installed), "unknown"), None


@lru_cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that are installed."""
    installed = {package.name.lower() for package in metadata.distributions() if package.name}
    libraries = {name: metadata.version(name) for name in LIBRARIES if name in installed}
    return {"python": platform.python_version()} | libraries


def device_name(device: torch.device) -> str:
    """Return the GPU's name, or the processor's architecture."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({platform.machine()})"


@lru_cache
def host_class() -> str:
    """Return the kind of machine: processor, cores and memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"


def reset_peak() -> None:
    """Measure from now on if the system can, else from the start of the process."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        FROM_NOW.write_text("5")


def peak(device: torch.device) -> float:
    """Return the peak in MiB: allocated on the GPU, or resident in this process with its shared
    pages."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    if STATUS.is_file():
        high_water = re.search(r"^VmHWM:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
        if high_water:
            return int(high_water[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


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


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()
