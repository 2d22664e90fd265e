"""All that a study's folder holds for its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.load import load_epochs, load_losses, load_study


@dataclass(frozen=True, eq=False)
class Study:
    """Trials, training curves and histograms of losses (None: there are none), specification."""

    frame: pd.DataFrame
    epochs: pd.DataFrame | None = None
    losses: pd.DataFrame | None = None
    spec: str | None = None


def read_study(folder: Path) -> Study:
    """Raises FileNotFoundError where it holds no trial that can be read."""
    frame, spec = load_study(folder), folder / "spec.yaml"
    return Study(
        frame=frame,
        epochs=load_epochs(folder) if _has(folder / "epochs") else None,
        losses=load_losses(folder) if _has(folder / "losses") else None,
        spec=spec.read_text(encoding="utf-8") if spec.exists() else None,
    )


def _has(part: Path) -> bool:
    return any(part.glob("[!_]*.parquet"))
