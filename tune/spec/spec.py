"""A study's specification: one YAML file, checked whole before anything starts."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import model_validator

from analysis.pareto import check_selectable
from sgu.experiment import Experiment
from sgu.methods import known, search_space
from sgu.results.schema import METRICS, SELECTABLE
from tune.spec.cells import Cell, cells
from tune.spec.errors import SpecError, check_known, one_line
from tune.spec.sections import WrittenSpec

DEFAULT_TRIALS = 12
NOT_OF_A_TRIAL = {"klom", "relearn_steps"}
IN_EACH_EPOCH = {name for name in SELECTABLE if name.startswith("val_")} | {"forget_acc"}


class Spec(WrittenSpec):
    """A specification whose parts are checked and fit together; `cells` are its searches."""

    @model_validator(mode="before")
    @classmethod
    def _with_spaces(cls, given: Any) -> Any:
        """Without domains, the method's own: all of its space that is not given as a setting."""
        if not isinstance(given, dict):
            return given
        budget = given.get("trials") or given.get("seconds")
        if not budget and given.get("sampler") != "grid":
            given = {**given, "trials": given.get("trials", DEFAULT_TRIALS)}
        experiment = given.get("experiment") or {}
        if given.get("search") or not isinstance(experiment, dict):
            return given
        if not given.get("methods"):
            method = experiment.get("method", Experiment.method)
            return {**given, "search": _own_space(method, experiment)}
        methods = given["methods"] if isinstance(given["methods"], list) else [given["methods"]]
        return {**given, "methods": [_with_space(each, experiment) for each in methods]}

    @model_validator(mode="after")
    def _meaningful(self) -> Spec:
        if self.name == "cache":
            raise ValueError(
                "name = 'cache': is the folder of the trained originals; choose another"
            )
        if self.search and self.methods and all(used.search for used in self.methods):
            raise ValueError("search: each method has its own; drop this one")
        self._check_metrics()
        if self.shadows % 2 or self.shadows == 2:
            raise ValueError(f"shadows = {self.shadows}: must be 0, or an even number from 4 on")
        if not self.cells:
            raise ValueError("data, methods: name one of each at least")
        return self

    def _check_metrics(self) -> None:
        try:
            check_selectable(self.objectives)
        except ValueError as error:
            raise ValueError(f"objectives: {error}") from error
        for name in self.constraints:
            if name not in SELECTABLE:
                what = "reads the test split" if name in METRICS else "is no metric"
                raise ValueError(f"constraints.{name}: {what}; choose from {', '.join(SELECTABLE)}")
        for name in {*self.objectives, *self.constraints} & NOT_OF_A_TRIAL:
            raise ValueError(f"{name}: takes an audit of its own; no trial measures it")
        late = [name for name in self.objectives if name not in IN_EACH_EPOCH]
        if self.scheduler.asha and late:
            raise ValueError(
                f"scheduler.asha: {late[0]} is known at the end alone; it compares epochs by "
                f"{', '.join(sorted(IN_EACH_EPOCH))}"
            )

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Each data set with each method."""
        return tuple(cells(self))

    @property
    def bases(self) -> dict[str, Experiment]:
        """Settings on each data set, of its first cell."""
        return {cell.data: cell.base for cell in reversed(self.cells)}

    def runs(self) -> range:
        """The seeds that each configuration is run with."""
        first = self.cells[0].base.seed
        return range(first, first + self.seeds)


def _own_space(method: Any, given: dict[str, Any]) -> dict[str, Any]:
    space = search_space(method) if isinstance(method, str) and known(method) else {}
    return {key: domain for key, domain in space.items() if key not in given}


def _with_space(used: Any, experiment: dict[str, Any]) -> Any:
    entry = {"method": used} if isinstance(used, str) else used
    if not isinstance(entry, dict) or entry.get("search"):
        return entry
    return {**entry, "search": _own_space(entry.get("method"), experiment | entry)}


def load_spec(path: Path, changes: Sequence[str] = ()) -> Spec:
    """Read and check a specification. Raises SpecError with one line.

    changes: settings to put in place of the file's, each "key=value", such as "trials=3" or
    "experiment.data=some/folder"; the value is YAML.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(
            f"{path}: {error.strerror}: give a YAML file such as studies/default.yaml"
        ) from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: not YAML: {one_line(error)}") from error
    return parse_spec(text, str(path), changes)


def parse_spec(text: str, origin: str, changes: Sequence[str] = ()) -> Spec:
    """A specification from its text; origin: where errors say that it is from."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"{origin}: not YAML: {one_line(error)}") from error
    if not isinstance(content, dict):
        names = ", ".join(sorted(Spec.model_fields))
        raise SpecError(f"{origin}: expected keys {names}; found none")
    try:
        content = changed(content, changes)
        check_known("", content, Spec.model_fields)
        return Spec.model_validate(content)
    except ValueError as error:
        raise SpecError(f"{origin}: {one_line(error)}") from error


def changed(content: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A specification's content with settings put in place. Raises ValueError."""
    found: dict[str, Any] = copy.deepcopy(dict(content))
    for change in changes:
        _change(found, change)
    return found


def _change(content: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not (key and equals):
        raise ValueError(f"{change!r}: expected key=value, such as trials=3")
    *sections, name = key.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ValueError(f"{key}: {section} holds no keys")
    content[name] = yaml.safe_load(value)
