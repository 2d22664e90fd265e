"""All that a study's folder holds for its page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.load import load_epochs, load_histograms, load_study, text_of


@dataclass(frozen=True, eq=False)
class Study:
    """Trials, training curves and histograms of losses (None: there are none), specification."""

    frame: pd.DataFrame
    epochs: pd.DataFrame | None = None
    losses: pd.DataFrame | None = None
    spec: str | None = None


def read_study(folder: str | Path) -> Study:
    """A study in a folder, or at an address such as s3://bucket/results/default.

    Raises FileNotFoundError where it holds no trial that can be read.
    """
    return Study(
        frame=load_study(folder),
        epochs=_if_any(load_epochs, folder),
        losses=_if_any(load_histograms, folder),
        spec=text_of(folder, "spec.yaml"),
    )


def _if_any(load: Callable[[str | Path], pd.DataFrame], folder: str | Path) -> pd.DataFrame | None:
    """What cannot be read has been named in a warning."""
    try:
        return load(folder)
    except FileNotFoundError:
        return None
