"""A study's specification: one YAML file, checked whole before anything starts."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

from analysis.pareto import check_selectable
from sgu.experiment import GAME_SETTINGS, SETTINGS, Experiment
from sgu.methods import known, method_class, plays, search_space

FIXED_IN_A_STUDY = SETTINGS - GAME_SETTINGS


class SpecError(ValueError):
    """The specification cannot be used; one line that names the key and what is allowed."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(Strict):
    """Values from low to high; log: uniform in the logarithm; step: whole numbers apart by it."""

    low: FiniteFloat
    high: FiniteFloat
    log: bool = False
    step: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low = {self.low} and high = {self.high}: low must be below high")
        if self.log and not self.low > 0:
            raise ValueError(f"low = {self.low}: must be > 0 with log")
        if self.step and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"low = {self.low} and high = {self.high}: must be whole with step")
        if self.log and self.step and self.step > 1:
            raise ValueError(f"step = {self.step}: must be 1 with log")
        return self

    def ends(self) -> list[Any]:
        return [int(v) if self.step else v for v in (self.low, self.high)]

    def distribution(self) -> BaseDistribution:
        if self.step:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=self.step)
        return FloatDistribution(self.low, self.high, log=self.log)


class Choice(Strict):
    """One of the values listed."""

    values: Annotated[tuple[int | float | str, ...], Field(min_length=1)]

    @model_serializer
    def _as_written(self) -> list[Any]:
        return list(self.values)

    def ends(self) -> list[Any]:
        return list(self.values)

    def distribution(self) -> BaseDistribution:
        return CategoricalDistribution(self.values)


def _domain(value: Any) -> Any:
    if isinstance(value, list):
        return Choice.model_validate({"values": value})
    if isinstance(value, dict):
        return Range.model_validate(value)
    raise ValueError("must be a list of values, or low and high (with log or step)")


Domain = Annotated[Range | Choice, BeforeValidator(_domain)]


class Spec(Strict):
    """What to search, on what, by what, and how much of it.

    experiment: settings that all trials share (see `sgu.experiment.Experiment`, and `sgu methods`
    for those of a method); search: the domains of the others (without it: the method's own, and
    the game's where it is played); objectives: metrics measured on val, two or more; trials: how
    many the sampler proposes, controls apart; slots: trials at a time.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    experiment: dict[str, Any] = {}
    search: dict[str, Domain] = {}
    objectives: tuple[str, ...] = ("val_error", "val_mia_advantage")
    trials: Annotated[int, Field(ge=1)] = 12
    slots: Annotated[int, Field(ge=1)] = 2
    cpus_per_trial: Annotated[FiniteFloat, Field(gt=0)] = 1
    gpus_per_trial: Annotated[FiniteFloat, Field(ge=0)] = 0
    sampler: Literal["tpe", "nsga2", "qmc", "random"] = "tpe"
    sampler_seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _with_a_space(cls, given: Any) -> Any:
        """Without domains, the method's own: all of its space that is not given as a setting."""
        if isinstance(given, dict) and not given.get("search"):
            experiment = given.get("experiment") or {}
            name = experiment.get("method", Experiment.method)
            space = search_space(name) if known(name) else {}
            own = {key: domain for key, domain in space.items() if key not in experiment}
            return {**given, "search": own}
        return given

    @model_validator(mode="after")
    def _meaningful(self) -> Spec:
        if self.name == "cache":
            raise ValueError(
                "name = 'cache': is the folder of the trained originals; choose another"
            )
        method = self.experiment.get("method", Experiment.method)
        try:
            allowed = settings_of(method)
        except ValueError as error:
            raise ValueError(f"experiment.{_one_line(error)}") from error
        _known("experiment", self.experiment, allowed)
        _known("search", self.search, allowed - FIXED_IN_A_STUDY - set(self.experiment))
        try:
            _typed(self.experiment)
        except ValueError as error:
            raise ValueError(f"experiment.{_one_line(error)}") from error
        idle = GAME_SETTINGS & set(self.search)
        if idle and not plays(method):
            raise ValueError(
                f"search.{min(idle)}: {method} plays no game; choose method sg+{method}, or drop it"
            )
        for key, domain in self.search.items():
            for value in domain.ends():
                try:
                    _suits(value, _typed({**self.experiment, key: value})[key])
                except ValueError as error:
                    raise ValueError(f"search.{key}: {_one_line(error)}") from error
        try:
            check_selectable(self.objectives)
        except ValueError as error:
            raise ValueError(f"objectives: {error}") from error
        return self

    def base(self) -> Experiment:
        """The settings that all trials share; what is searched holds its default."""
        return Experiment.of(**_typed(self.experiment))


def load_spec(path: Path, changes: Sequence[str] = ()) -> Spec:
    """Read and check a specification. Raises SpecError with one line.

    changes: settings to put in place of the file's, each "key=value", such as "trials=3" or
    "experiment.data=some/folder"; the value is YAML.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(
            f"{path}: {error.strerror}: give a YAML file such as studies/default.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: not YAML: {_one_line(error)}") from error
    if not isinstance(content, dict):
        raise SpecError(f"{path}: expected keys {_listed(Spec.model_fields)}; found none")
    try:
        for change in changes:
            _change(content, change)
        _known("", content, set(Spec.model_fields))
        return Spec.model_validate(content)
    except ValueError as error:
        raise SpecError(f"{path}: {_one_line(error)}") from error


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


def settings_of(method: str) -> frozenset[str]:
    """The names of all settings of an experiment by that method."""
    return SETTINGS | {field.name for field in fields(method_class(method))}


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


def _known(section: str, given: dict[str, Any], allowed: Iterable[str]) -> None:
    for key in given:
        if key not in allowed:
            name = f"{section}.{key}" if section else key
            near = difflib.get_close_matches(str(key), list(allowed), 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"unknown key {name}: {hint}allowed: {_listed(allowed)}")


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))


def _one_line(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    first, *more = error.errors()
    where = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    given = "" if first["type"] in ("value_error", "missing") else f" = {first['input']!r}"
    rest = f" (and {len(more)} more)" if more else ""
    return f"{where}{given}: {text}{rest}" if where else f"{text}{rest}"
