"""The cells of a study: each of its data sets with each of its methods."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pydantic import TypeAdapter

from sgu.experiment import SETTINGS, Experiment
from sgu.methods import method_class, plays
from sgu.results.schema import GAME_SETTINGS
from tune.spec.errors import check_known, one_line
from tune.spec.sections import DataSet, MethodUsed, WrittenSpec
from tune.spec.space import Space

FIXED_IN_A_STUDY = SETTINGS - GAME_SETTINGS


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One data set with one method: a search of its own, with a budget of its own.

    name: as in the rows; data: the data set's name; base: the settings that its trials share, with
    the first seed; trials, seconds: how many the sampler proposes, and the time they may take
    together (None: no limit), controls apart; workers: as of its data set.
    """

    name: str
    data: str
    base: Experiment
    space: Space
    trials: int | None
    seconds: float | None
    workers: int | None = None

    def controls(self) -> list[dict[str, Any]]:
        """Settings that are always tried: without a game, and as published where the study does
        not say otherwise."""
        alone, published = self.base.control().settings(), self.base.settings()
        if not plays(self.base.method):
            return [published]
        return [alone, published]


Sections = Mapping[str, Mapping[str, Any]]
"""Settings by where the specification gives them; of one that is given twice, the later holds."""


def cells(spec: WrittenSpec) -> list[Cell]:
    """All cells of a study, checked. Raises ValueError with one line.

    Of several methods, what `experiment` and a data set say holds for those that have such a
    setting, and epochs for those that train.
    """
    data = spec.data or (DataSet(data=spec.experiment.get("data", Experiment.data)),)
    methods = spec.methods or (MethodUsed(method=spec.experiment.get("method", Experiment.method)),)
    for key, many in (("data", spec.data), ("methods", spec.methods)):
        if many and key.rstrip("s") in spec.experiment:
            raise ValueError(f"experiment.{key.rstrip('s')}: `{key}` names them; keep one of both")
        _check_labels(key, many)
    _check_sections(spec, methods)
    found = [
        _cell(spec, (i, each), (j, used), len(methods) > 1)
        for i, each in enumerate(data)
        for j, used in enumerate(methods)
    ]
    for each in data:
        grids = sorted({cell.trials or 0 for cell in found if cell.data == each.label})
        if len(grids) > 1:
            raise ValueError(
                f"sampler = 'grid': the methods have grids of {', '.join(map(str, grids))} points, "
                "and all have the same budget: give trials"
            )
    return found


def _cell(
    spec: WrittenSpec, data: tuple[int, DataSet], used: tuple[int, MethodUsed], many: bool
) -> Cell:
    (i, source), (j, method) = data, used
    shared = {"experiment": spec.experiment, f"data.{i}": source.settings}
    if many:
        shared = {where: _held(given, method.method) for where, given in shared.items()}
    given = {**shared, f"methods.{j}": method.settings}
    own = {"data": source.data, "method": method.method}
    where, space = ("search", spec.search) if method.search is None else (
        f"methods.{j}.search", method.search
    )  # fmt: skip
    settings = {key: value for section in given.values() for key, value in section.items()} | own
    try:
        typed = _typed(settings)
    except ValueError as error:
        raise ValueError(_placed(given, one_line(error))) from error
    _check_space(where, space, settings)
    own_budget = source.trials or source.seconds
    budget = source if own_budget else spec
    trials = budget.trials
    if spec.sampler == "grid":
        points = _points(where, space)
        if (trials or 0) > points:
            raise ValueError(f"trials = {trials}: the grid of {where} has {points} points")
        trials = trials or points
    return Cell(
        name=f"{source.label}/{method.label}",
        data=source.label,
        base=Experiment.of(**typed),
        space=space,
        trials=0 if spec.phase == "scaling" else trials,
        seconds=None if spec.phase == "scaling" else budget.seconds,
        workers=source.workers,
    )


def _check_labels(key: str, sections: tuple[Any, ...]) -> None:
    for label, count in Counter(section.label for section in sections).items():
        if count > 1:
            raise ValueError(f"{key}: {count} are called {label}: give each a `name` of its own")


def _check_sections(spec: WrittenSpec, methods: Sequence[MethodUsed]) -> None:
    """Every key is a setting that a method has, and stands where it may."""
    allowed = {}
    for j, used in enumerate(methods):
        try:
            allowed[used.method] = settings_of(used.method)
        except ValueError as error:
            where = f"methods.{j}" if spec.methods else "experiment"
            raise ValueError(f"{where}.{error}") from error
    any_has = frozenset[str]().union(*allowed.values())
    check_known("experiment", spec.experiment, any_has)
    for i, each in enumerate(spec.data):
        check_known(f"data.{i}", each.settings, any_has - {"seed", "method"})
    for j, used in enumerate(spec.methods):
        for key in ("trials", "seconds"):
            if key in used.settings:
                raise ValueError(
                    f"methods.{j}.{key} = {used.settings[key]!r}: all methods on a data set have "
                    f"the same budget: give {key} for the study, or for a data set"
                )
        check_known(f"methods.{j}", used.settings, allowed[used.method] - FIXED_IN_A_STUDY)


def _check_space(where: str, space: Space, settings: dict[str, Any]) -> None:
    """What is searched is a setting that is not given, and its ends are values of it."""
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
                _suits(value, _typed({**settings, key: value})[key])
            except ValueError as error:
                raise ValueError(f"{where}.{key}: {one_line(error)}") from error


def _points(where: str, space: Space) -> int:
    """Of a grid over the space."""
    found = 1
    for key, domain in space.items():
        if domain.points is None:
            raise ValueError(f"{where}.{key}: a grid needs a list of values, or low, high and step")
        found *= domain.points
    return found


def settings_of(method: str) -> frozenset[str]:
    """The names of all settings of an experiment by that method."""
    return SETTINGS | {field.name for field in fields(method_class(method))}


def _held(given: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Of settings for several methods, those that hold for this one."""
    published: dict[str, Any] = {each.name: each.default for each in fields(method_class(method))}
    known, trains = settings_of(method), plays(method) or published["epochs"] > 0
    return {
        key: value for key, value in given.items() if key in known and (trains or key != "epochs")
    }


def _placed(given: Sections, text: str) -> str:
    """An error that begins with a setting's name, with the section that gives it before it."""
    name = re.split(r"\W", text, maxsplit=1)[0]
    holding = [where for where, section in given.items() if name in section]
    return f"{(holding or ['experiment'])[-1]}.{text}"


def _typed(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, each of its field's type, after the checks of Experiment itself."""
    made = method_class(settings.get("method", Experiment.method))
    options = {name: value for name, value in settings.items() if name not in SETTINGS}
    own = {name: value for name, value in settings.items() if name in SETTINGS}
    checked = TypeAdapter(made).validate_python(options)
    options = {name: getattr(checked, name) for name in options}
    typed = TypeAdapter(Experiment).validate_python(own | {"options": options})
    return {name: getattr(typed, name) for name in own} | options


def _suits(value: Any, typed: Any) -> None:
    """A sampler's value reaches Experiment as it is, so it must be of its field's type."""
    if isinstance(value, str) and not isinstance(typed, str):
        raise ValueError(f"{value!r} must be a number: write it without quotes")
    if isinstance(value, float) and isinstance(typed, int):
        raise ValueError(f"{value!r} must be a whole number; low and high need a step for that")
