"""The provenance of a result: code, libraries, device and machine."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import torch

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "ray", "optuna", "pyarrow")
VERSION_GIVEN = "SGU_CODE_VERSION"
"""Environment variable: the commit of code sent without its history, with +dirty if it was."""


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


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()
