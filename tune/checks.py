"""Checks of a study once its data are loaded, before Ray starts: that each cell can be run on them,
and that they are the data, and the original, that the study was begun on, told by their content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from sgu.feasible import check_feasible
from tune.prepare import StudyTask
from tune.spec.errors import SpecError
from tune.spec.spec import Spec
from tune.storage.study_folder import StudyFolder


def check_cells(spec: Spec, tasks: Sequence[StudyTask]) -> None:
    """Raise SpecError if a cell's game cannot be played on one of its tasks, or nothing judged."""
    for task in tasks:
        for cell in spec.cells:
            if cell.data == task.data:
                try:
                    check_feasible(replace(cell.base, seed=task.base.seed), task.task)
                except ValueError as error:
                    raise SpecError(f"{cell.name}: {error}") from error


def check_same_data(
    folder: StudyFolder, spec: Spec, tasks: Sequence[StudyTask], rows: pd.DataFrame
) -> None:
    """Raise SpecError if rows of the study are of other data, of other splits, or of another
    original than its tasks.

    Rows of two data sets would otherwise share one front and one null band: a folder may have
    changed, and a relative path may lead to another one.
    """
    for task in tasks:
        cells = {task.data, *(cell.name for cell in spec.cells if cell.data == task.data)}
        of_data = rows[rows["cell"].isin(cells)]
        of_seed = of_data[of_data["seed"] == task.base.seed]
        source, splits = task.task.source, task.task.splits
        theirs = of_seed[of_seed["method"] != "retrain"]  # which has its own digest
        original = task.base.recipe("original", task.task).digest if task.base.original else None
        for what, column, of, now in (
            (f"data {task.base.data}", "data_fingerprint", of_data, source.fingerprint),
            (f"splits of {task.data}", "split_digest", of_seed, splits.digest),
            (f"original {task.base.original}", "original_digest", theirs, original),
        ):
            if now and (others := sorted(set(of[column].dropna()) - {now})):
                raise SpecError(
                    f"{folder.files.shown} was begun on other {what} ({others[0]}, now {now}): "
                    "give the study another name, or begin it anew by `sgu-study run SPEC --fresh`"
                )
