"""Command-line options made from the fields of Experiment, so that no setting is left out."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Container
from inspect import Parameter
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from typer import Context, Option

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
METAVARS = {int: "NUMBER", int | None: "NUMBER", float: "NUMBER", float | None: "NUMBER"}


def with_settings(names: Container[str]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command an option for each of these settings.

    The command takes those that were given as one dict, its parameter `settings`; as the texts that
    were typed, which `Experiment.of` reads as it reads those of --set and of YAML.
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
            command(settings={name: typed[name] for name in given}, **values)

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
    """Return a setting's option as Typer takes it: a switch for true or false, else a text."""
    (kind, text), default = OPTIONS[name], getattr(DEFAULT, name, None)
    if get_origin(kind) is Literal:
        text = f"{text}: {', '.join(get_args(kind))}."
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    if default is not None and kind is not bool:
        default = str(default)
    panel = "Data" if name in DATA_SETTINGS else "Game" if name in GAME_SETTINGS else None
    return Parameter(
        name,
        Parameter.POSITIONAL_OR_KEYWORD,
        default=Option(default, help=text, rich_help_panel=panel, metavar=METAVARS.get(kind)),
        annotation=bool if kind is bool else str,
    )
