"""Command-line options made from the fields of Experiment, so that no setting is left out."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Container
from inspect import Parameter
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from typer import Context, Option

from sgu.cli.shared import value_of
from sgu.experiment import DATA_SETTINGS, Experiment
from sgu.results.schema import GAME_SETTINGS

Command = Callable[..., None]
DEFAULT = Experiment()
METHOD_OPTIONS = {
    "epochs": Annotated[int | None, "Epochs; none: as published."],
    "lr": Annotated[float | None, "Learning rate; none: as published."],
}
"""Settings of the methods that have options of their own; all others go by --set."""

HINTS = get_type_hints(Experiment, include_extras=True) | METHOD_OPTIONS
OPTIONS: dict[str, tuple[Any, str]] = {
    name: get_args(hint) for name, hint in HINTS.items() if name != "options"
}
"""Type and help of each setting's option, by the setting's name."""


def with_settings(names: Container[str]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command an option for each of these settings.

    The command takes those that were given as one dict, its parameter `settings`.
    """
    chosen = [name for name in OPTIONS if name in names]

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True).parameters

        @functools.wraps(command)
        def run(context: Context, **values: Any) -> None:
            typed = {name: values.pop(name) for name in chosen}
            given = [name for name in chosen if _is_given(context, name)]
            if "context" in own:
                values["context"] = context
            command(settings={name: _read(name, typed[name]) for name in given}, **values)

        parameters = [Parameter("context", Parameter.POSITIONAL_OR_KEYWORD, annotation=Context)]
        for parameter in own.values():
            if parameter.name != "context":
                is_dict = parameter.name == "settings"
                parameters += map(_parameter, chosen) if is_dict else [parameter]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _is_given(context: Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _parameter(name: str) -> Parameter:
    """Return a setting's option as Typer takes it: a text if it can be of several types."""
    (kind, text), default = OPTIONS[name], getattr(DEFAULT, name, None)
    if get_origin(kind) is Literal:
        text = f"{text}: {', '.join(get_args(kind))}."
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    panel = "Data" if name in DATA_SETTINGS else "Game" if name in GAME_SETTINGS else None
    return Parameter(
        name,
        Parameter.POSITIONAL_OR_KEYWORD,
        default=Option(default, help=text, rich_help_panel=panel),
        annotation=kind if _is_plain(kind) else str,
    )


def _is_plain(kind: Any) -> bool:
    """Return True if Typer reads the type itself."""
    return set(get_args(kind) or [kind]) <= {str, int, float, bool, NoneType}


def _read(name: str, value: Any) -> Any:
    """Return the setting that an option's value stands for."""
    kind, _ = OPTIONS[name]
    if _is_plain(kind):
        return value
    if any(get_origin(part) is tuple for part in get_args(kind)):
        return tuple(map(value_of, filter(None, value.split(","))))
    return value_of(value)
