"""The parts of a study's folder that its page needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from analysis.formats import memory_text
from analysis.load import load_epochs, load_histograms, load_study
from analysis.pareto import OBJECTIVES
from sgu.files.location import Location


@dataclass(frozen=True, kw_only=True)
class Certified:
    """What the audit of a trial found: its verdict (None: none) and its residual memory."""

    verdict: str | None
    memory: str


@dataclass(frozen=True, eq=False)
class Study:
    """A study's trials, training curves, histograms of losses and specification (None: missing).

    certified: the audits of chosen trials, by study and trial_id.
    """

    frame: pd.DataFrame
    epochs: pd.DataFrame | None = None
    histograms: pd.DataFrame | None = None
    spec: str | None = None
    certified: Mapping[tuple[str, str], Certified] = field(default_factory=dict)


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
    frame = load_study(folder)
    return Study(
        frame=frame,
        epochs=_if_any(load_epochs, folder),
        histograms=_if_any(load_histograms, folder),
        spec=None if spec is None else spec.decode(),
        certified=_certified(str(frame["study"].iloc[0]), Path(folder) / "certificate"),
    )


def side_by_side(studies: Sequence[Study]) -> Study:
    """Return studies as one whose data sets and cells bear the studies' names: each is searched,
    judged and drawn apart. Raises ValueError for two of one name."""
    names = [str(study.frame["study"].iloc[0]) for study in studies]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two studies are called {name}: name two different ones")
    certified = {key: found for study in studies for key, found in study.certified.items()}
    return Study(
        frame=_stacked([study.frame for study in studies], ("cell", "dataset")),
        epochs=_stacked([study.epochs for study in studies], ("cell",)),
        histograms=_stacked([study.histograms for study in studies], ("cell",)),
        spec="---\n".join(study.spec for study in studies if study.spec) or None,
        certified=certified,
    )


def _stacked(frames: Sequence[pd.DataFrame | None], columns: Sequence[str]) -> Any:
    """Return the rows of all frames, some columns with the study before the name; None of none."""
    named = [
        frame.assign(**{column: frame["study"] + ": " + frame[column] for column in columns})
        for frame in frames
        if frame is not None
    ]
    return pd.concat(named, ignore_index=True) if named else None


def _certified(study: str, folder: Path) -> dict[tuple[str, str], Certified]:
    """Return what the audits of `sgu-report choose --audit` found, the newest of each trial."""
    found = {}
    for file in sorted(folder.glob("*/rows.parquet"), key=lambda path: path.stat().st_mtime):
        rows = pd.read_parquet(file)
        joint = rows[(rows["kind"] == "residual") & (rows["name"] == "joint")]
        for row in joint[joint["model"].str.startswith("trial-")].to_dict("records"):
            ends = {"residual": row["value"], "residual_low": row["low"]}
            memory = memory_text(ends | {"residual_high": row["high"]}, "{} %, {} to {}")
            found[study, row["model"].removeprefix("trial-")] = Certified(
                verdict=row["verdict"], memory=memory
            )
    return found


def _if_any(load: Callable[[str | Path], pd.DataFrame], folder: str | Path) -> pd.DataFrame | None:
    """Return what `load` reads; None if it finds nothing, which it has said in a warning."""
    try:
        return load(folder)
    except FileNotFoundError:
        return None
