"""A study's specification: one YAML file, checked as a whole before anything starts."""

from __future__ import annotations

import copy
import sys
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
from sgu.results.verdicts import FEWEST_MODELS
from sgu.typed import typed, types_of
from tune.spec.cells import Cell, cells
from tune.spec.errors import SpecError, check_known, one_line
from tune.spec.sections import FEWEST_ORACLES, WrittenSpec

DEFAULT_TRIALS = 12
ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = types_of(Experiment)  # its types decide what a text on the command line is
TAKEN = {
    "cache": "the trained networks",
    "audit": "what `sgu audit` writes",
    "compare": "what `sgu compare` writes",
}
"""Folders in `results` that are no studies."""
NOT_OF_A_TRIAL = {"klom", "relearn_steps"}
IN_EACH_EPOCH = {name for name in SELECTABLE if name.startswith("val_")} | {"forget_acc"}
BY_SHADOWS = {"val_rmia_auc", "val_lira_auc"}


class Spec(WrittenSpec):
    """A specification whose parts have been checked together; `cells` are its searches."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, content: Any) -> Any:
        """Fill in the trials where no budget is given, and the methods' own search spaces."""
        if not isinstance(content, dict):
            return content
        limited = content.get("trials") or content.get("seconds")
        if not limited and content.get("sampler") != "grid":
            content = {**content, "trials": content.get("trials", DEFAULT_TRIALS)}
        experiment = content.get("experiment") or {}
        if content.get("search") or not isinstance(experiment, dict):
            return content
        methods = content.get("methods")
        if not methods:
            method = experiment.get("method", Experiment.method)
            return {**content, "search": _own_space(method, experiment)}
        many = methods if isinstance(methods, list) else [methods]
        return {**content, "methods": [_with_space(entry, experiment) for entry in many]}

    @model_validator(mode="after")
    def _meaningful(self) -> Spec:
        if self.name in TAKEN:
            raise ValueError(f"name = {self.name!r}: holds {TAKEN[self.name]}; choose another name")
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
                why = "reads the test split" if name in METRICS else "is no metric"
                raise ValueError(f"constraints.{name}: {why}; choose from {', '.join(SELECTABLE)}")
        for name in {*self.objectives, *self.constraints} & NOT_OF_A_TRIAL:
            raise ValueError(f"{name}: takes an audit of its own; choose what a trial measures")
        used = {*self.objectives, *self.constraints}
        if "val_residual" in used and self.oracles < FEWEST_ORACLES:
            raise ValueError(
                f"val_residual: rests on {FEWEST_MODELS} retrained models or more; with oracles = "
                f"{self.oracles} there are {1 + self.oracles}: raise oracles to {FEWEST_ORACLES}"
            )
        if not self.shadows and (unknown := sorted(used & BY_SHADOWS)):
            raise ValueError(f"{unknown[0]}: takes shadow models: give shadows, such as shadows: 8")
        late = [name for name in self.objectives if name not in IN_EACH_EPOCH]
        if self.scheduler.asha and late:
            choices = ", ".join(sorted(IN_EACH_EPOCH))
            raise ValueError(f"scheduler.asha: {late[0]} is known only at the end: use {choices}")

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The searches: each data set with each method."""
        return tuple(cells(self))

    @property
    def states_objectives(self) -> bool:
        """True if the objectives are not those by default."""
        return "objectives" in self.model_fields_set

    def to_yaml(self) -> str:
        """Return the text of a file that `load_spec` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def slots_on(self, cpus: float, gpus: float) -> int:
        """Return the number of trials at a time on so many CPUs and GPUs."""
        room = cpus / self.cpus_per_trial
        if self.gpus_per_trial:
            room = min(room, gpus / self.gpus_per_trial)
        return self.slots or max(1, int(room))

    @property
    def bases(self) -> dict[str, Experiment]:
        """The settings of the first cell of each data set, by its name."""
        return {cell.data: cell.base for cell in reversed(self.cells)}

    def runs(self) -> range:
        """Return the seeds that each configuration is run with."""
        first = self.cells[0].base.seed
        return range(first, first + self.seeds)


def _own_space(method: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Return a method's own search space without the settings that are fixed."""
    space = search_space(method) if isinstance(method, str) and known(method) else {}
    return {key: domain for key, domain in space.items() if key not in settings}


def _with_space(used: Any, experiment: dict[str, Any]) -> Any:
    """Return an entry of `methods` with the method's own search space, if it gives none."""
    entry = {"method": used} if isinstance(used, str) else used
    if not isinstance(entry, dict) or entry.get("search"):
        return entry
    return {**entry, "search": _own_space(entry.get("method"), experiment | entry)}


def load_spec(path: Path, changes: Sequence[str] = ()) -> Spec:
    """Return the specification in a file, checked. Raises SpecError with one line.

    path: of a file, or the name of a study that ships with the package, such as default. changes:
    settings that replace the file's, each "key=value", such as "trials=3" or
    "experiment.data=some/folder"; the value is YAML.
    """
    try:
        content = (shipped(path) or Path(path)).read_bytes()
    except OSError as error:
        raise SpecError(
            f"{path}: {error.strerror}: give a YAML file such as studies/default.yaml"
        ) from error
    return parse_spec(content, str(path), changes)


def shipped(path: Path) -> Path | None:
    """Return the study of the package that a path names where there is no such file; else None."""
    path = Path(path)
    if path.exists() or path.parent.name not in ("", "studies"):
        return None
    for folder in (ROOT / "studies", Path(sys.prefix) / "share" / "sg-unlearn-study" / "studies"):
        if (study := folder / path.name).with_suffix(".yaml").is_file():
            return study.with_suffix(".yaml")
    return None


def parse_spec(text: str | bytes, origin: str, changes: Sequence[str] = ()) -> Spec:
    """Return the specification in a YAML text, checked. origin: its source, for errors."""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:  # that of lists in lists in lists, ...
        raise SpecError(f"{origin}: not YAML: {one_line(error)}") from error
    if not isinstance(content, dict):
        names = ", ".join(sorted(Spec.model_fields))
        raise SpecError(f"{origin}: expected keys {names}; found none")
    try:
        content = changed(content, changes)
        if inside := [key for key in content if key in EXPERIMENT and key not in Spec.model_fields]:
            raise ValueError(f"{inside[0]}: is a setting of all trials: put it into `experiment`")
        check_known("", content, Spec.model_fields)
        return Spec.model_validate(content)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise SpecError(f"{origin}: {one_line(error)}") from error


def changed(content: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Return a specification's content with changes such as "trials=3". Raises ValueError.

    A list of `data` or `methods` takes the place of the one that `experiment` names, and with that
    method goes what was searched for it.
    """
    result: dict[str, Any] = copy.deepcopy(dict(content))
    for change in changes:
        key, equals, value = change.partition("=")
        if not (key and equals):
            raise ValueError(f"{change!r}: expected key=value, such as trials=3")
        *sections, name = key.split(".")
        section = result
        for part in sections:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise ValueError(f"{key}: {part} holds no keys")
        kind = EXPERIMENT.get(name) if sections == ["experiment"] else None
        section[name] = typed(key, kind, value) if kind else yaml.safe_load(value)
    experiment = result["experiment"] if isinstance(result.get("experiment"), dict) else {}
    set_anew = {change.partition("=")[0].split(".")[0] for change in changes}
    if "data" in set_anew:
        experiment.pop("data", None)
    if "methods" in set_anew and experiment.pop("method", None) and "search" not in set_anew:
        result.pop("search", None)
    return result
