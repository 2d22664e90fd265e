"""The parts of a study's folder that its page needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from analysis.load import load_epochs, load_histograms, load_study
from analysis.pareto import OBJECTIVES
from sgu.files.location import Location


@dataclass(frozen=True, eq=False)
class Study:
    """A study's trials, training curves, histograms of losses and specification (None: missing)."""

    frame: pd.DataFrame
    epochs: pd.DataFrame | None = None
    histograms: pd.DataFrame | None = None
    spec: str | None = None


def objectives_of(folder: str | Path) -> tuple[str, ...]:
    """Return the objectives of the study in a folder, or those by default if it does not say."""
    spec = Location.at(folder).inside("spec.yaml").read()
    return tuple(yaml.safe_load(spec)["objectives"]) if spec else OBJECTIVES


def read_study(folder: str | Path) -> Study:
    """Read a study in a folder, or at an address such as s3://bucket/results/default.

    Raises:
        FileNotFoundError: it holds no trial that can be read.
    """
    spec = Location.at(folder).inside("spec.yaml").read()
    return Study(
        frame=load_study(folder),
        epochs=_if_any(load_epochs, folder),
        histograms=_if_any(load_histograms, folder),
        spec=None if spec is None else spec.decode(),
    )


def _if_any(load: Callable[[str | Path], pd.DataFrame], folder: str | Path) -> pd.DataFrame | None:
    """Return what `load` reads; None if it finds nothing, which it has said in a warning."""
    try:
        return load(folder)
    except FileNotFoundError:
        return None
