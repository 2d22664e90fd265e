"""What the page needs of a study's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.load import load_epochs, load_losses, load_study
from sgu.files.location import Location


@dataclass(frozen=True, eq=False)
class Study:
    """A study's trials, training curves, histograms of losses and specification (None: missing)."""

    frame: pd.DataFrame
    epochs: pd.DataFrame | None = None
    losses: pd.DataFrame | None = None
    spec: str | None = None


def read_study(folder: str | Path) -> Study:
    """Read a study in a folder, or at an address such as s3://bucket/results/default.

    Raises:
        FileNotFoundError: it holds no trial that can be read.
    """
    frame = load_study(folder)
    spec = Location.at(folder).inside("spec.yaml").read()
    return Study(
        frame=frame,
        epochs=_placed(_if_any(load_epochs, folder), frame),
        losses=_placed(_if_any(load_losses, folder), frame),
        spec=None if spec is None else spec.decode(),
    )


def _if_any(load: Callable[[str | Path], pd.DataFrame], folder: str | Path) -> pd.DataFrame | None:
    """Return what `load` reads; None if it finds nothing, which it has said in a warning."""
    try:
        return load(folder)
    except FileNotFoundError:
        return None


def _placed(rows: pd.DataFrame | None, frame: pd.DataFrame) -> pd.DataFrame | None:
    """The rows with their trial's cell and seed where they have none: before schema version 3 they
    named neither, and a study's trial_id had one of each."""
    if rows is None or not rows["cell"].isna().any():
        return rows
    trials = frame.drop_duplicates(["study", "trial_id"]).set_index(["study", "trial_id"])
    own = trials[["cell", "seed"]].reindex(pd.MultiIndex.from_frame(rows[["study", "trial_id"]]))
    return rows.fillna(own.set_axis(rows.index))
