"""The cells of a study: each of its data sets with each of its methods."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sgu.experiment import SETTINGS, Experiment
from sgu.methods import method_class, plays
from sgu.results.schema import GAME_SETTINGS
from sgu.typed import typed
from tune.spec.errors import check_known, one_line
from tune.spec.sections import DataSet, MethodUsed, WrittenSpec
from tune.spec.space import Space

FIXED_IN_A_STUDY = SETTINGS - GAME_SETTINGS


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One data set with one method, searched on a budget of its own.

    name: as in the rows; data: the data set's name; base: the settings that its trials share, with
    the first seed; trials, seconds: the number of trials that the sampler proposes and the time
    they may take together (None: no limit), controls apart; workers: as in its data set.
    """

    name: str
    data: str
    base: Experiment
    space: Space
    trials: int | None
    seconds: float | None
    workers: int | None = None

    def controls(self) -> list[dict[str, Any]]:
        """Return the settings that are always tried: the method without its game, if it has one,
        and the method as published where the study does not say otherwise."""
        alone = [self.base.control()] if plays(self.base.method) else []
        return [experiment.settings() for experiment in (*alone, self.base)]

    def share(self, trials: int, seconds: float) -> float:
        """Return the larger share of the budget that so many trials and seconds use."""
        if self.trials == 0:
            return 1.0
        of_trials = trials / self.trials if self.trials else 0.0
        return max(of_trials, seconds / self.seconds if self.seconds else 0.0)


def cells(spec: WrittenSpec) -> list[Cell]:
    """Return all cells of a study, checked. Raises ValueError with one line.

    With several methods, a setting in `experiment` or in a data set holds for the methods that have
    it, and `epochs` for those that train.
    """
    data = spec.data or (DataSet(data=_named(spec, "data")),)
    methods = spec.methods or (MethodUsed(method=_named(spec, "method")),)
    _check_labels(spec, "data", spec.data)
    _check_labels(spec, "methods", spec.methods)
    _check_sections(spec, methods)
    product = [
        _cell(spec, source, used, f"data.{i}", f"methods.{j}")
        for i, source in enumerate(data)
        for j, used in enumerate(methods)
    ]
    for source in data:
        grids = sorted({cell.trials or 0 for cell in product if cell.data == source.label})
        if len(grids) > 1:
            raise ValueError(
                f"sampler = 'grid': the methods have grids of {', '.join(map(str, grids))} points, "
                "and all have the same budget: give trials"
            )
    return product


def _named(spec: WrittenSpec, key: str) -> str:
    """Return the data or the method in `experiment`."""
    return typed(f"experiment.{key}", str, spec.experiment.get(key, getattr(Experiment, key)))


def _cell(
    spec: WrittenSpec, source: DataSet, used: MethodUsed, data_key: str, method_key: str
) -> Cell:
    sections = {"experiment": spec.experiment, data_key: source.settings}
    if len(spec.methods) > 1:
        sections = {key: _applicable(values, used.method) for key, values in sections.items()}
    sections[method_key] = used.settings
    settings = {key: value for section in sections.values() for key, value in section.items()}
    settings |= {"data": source.data, "method": used.method}
    try:
        base = Experiment.of(**settings)
    except ValueError as error:
        raise ValueError(_placed(sections, one_line(error))) from error
    where = "search" if used.search is None else f"{method_key}.search"
    space = spec.search if used.search is None else used.search
    _check_space(where, space, settings)
    limited, searched = source if source.trials or source.seconds else spec, spec.phase == "search"
    trials = _grid(where, space, limited.trials) if spec.sampler == "grid" else limited.trials
    return Cell(
        name=f"{source.label}/{used.label}",
        data=source.label,
        base=base,
        space=space,
        trials=trials if searched else 0,
        seconds=limited.seconds if searched else None,
        workers=source.workers,
    )


def _check_labels(spec: WrittenSpec, key: str, sections: Sequence[DataSet | MethodUsed]) -> None:
    """Raise ValueError if `experiment` names one, too, or if two have the same label."""
    single = key.removesuffix("s")
    if sections and single in spec.experiment:
        raise ValueError(f"experiment.{single}: `{key}` names them; keep one of both")
    for label, count in Counter(section.label for section in sections).items():
        if count > 1:
            raise ValueError(f"{key}: {count} are called {label}: give each a `name` of its own")


def _check_sections(spec: WrittenSpec, methods: Sequence[MethodUsed]) -> None:
    """Raise ValueError for a key that is no setting of its method, or not allowed in its place."""
    allowed = {}
    for j, used in enumerate(methods):
        try:
            allowed[used.method] = settings_of(used.method)
        except ValueError as error:
            where = f"methods.{j}" if spec.methods else "experiment"
            raise ValueError(f"{where}.{error}") from error
    of_any = frozenset[str]().union(*allowed.values())
    check_known("experiment", spec.experiment, of_any)
    for i, source in enumerate(spec.data):
        check_known(f"data.{i}", source.settings, of_any - {"seed", "method"})
    for j, used in enumerate(spec.methods):
        for key in [key for key in ("trials", "seconds") if key in used.settings]:
            raise ValueError(
                f"methods.{j}.{key} = {used.settings[key]!r}: all methods on a data set have "
                f"the same budget: give {key} for the study, or for a data set"
            )
        check_known(f"methods.{j}", used.settings, allowed[used.method] - FIXED_IN_A_STUDY)


def _check_space(where: str, space: Space, settings: dict[str, Any]) -> None:
    """Raise ValueError unless each key is a free setting, and the ends of its domain fit it."""
    method = settings["method"]
    if not space:
        raise ValueError(f"{where}: nothing is left to be searched for {method}: name a setting")
    check_known(where, space, settings_of(method) - FIXED_IN_A_STUDY - set(settings))
    idle = GAME_SETTINGS & set(space)
    if idle and not plays(method):
        raise ValueError(
            f"{where}.{min(idle)}: {method} plays no game; choose method sg+{method}, or drop it"
        )
    for key, domain in space.items():
        for value in domain.ends():
            try:
                _check_type(value, Experiment.of(**settings | {key: value}).settings()[key])
            except ValueError as error:
                raise ValueError(f"{where}.{key}: {one_line(error)}") from error


def _grid(where: str, space: Space, trials: int | None) -> int:
    """Return the trials on the grid over a space: its points, or fewer if `trials` says so."""
    points = 1
    for key, domain in space.items():
        if domain.points is None:
            raise ValueError(f"{where}.{key}: a grid needs a list of values, or low, high and step")
        points *= domain.points
    if (trials or 0) > points:
        raise ValueError(f"trials = {trials}: the grid of {where} has {points} points")
    return trials or points


def settings_of(method: str) -> frozenset[str]:
    """Return the names of all settings of an experiment with that method."""
    return SETTINGS | {field.name for field in fields(method_class(method))}


def _applicable(settings: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Return the settings that a method has, where several methods share them."""
    published: Any = method_class(method)
    trains = plays(method) or published.epochs > 0
    names = settings_of(method) - (set() if trains else {"epochs"})
    return {key: value for key, value in settings.items() if key in names}


def _placed(sections: Mapping[str, Mapping[str, Any]], text: str) -> str:
    """Return an error that begins with a setting's name, after the section that gives it."""
    name = re.split(r"\W", text, maxsplit=1)[0]
    holding = [where for where, section in sections.items() if name in section]
    return f"{(holding or ['experiment'])[-1]}.{text}"


def _check_type(value: Any, typed: Any) -> None:
    """Raise ValueError unless a sampler's value, which is not converted, is of its field's type."""
    if isinstance(value, str) and not isinstance(typed, str):
        raise ValueError(f"{value!r} must be a number: write it without quotes")
    if isinstance(value, float) and isinstance(typed, int):
        raise ValueError(f"{value!r} must be a whole number; low and high need a step for that")
