"""A run's settings from a YAML file, `sgu --config FILE`; --json prints those of every run.

    method: sg
    alpha: 2.0
    epochs: 5

Options on the command line replace what the file says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from typer import Option

ConfigOption = Annotated[
    Path | None,
    Option(help="A YAML file of settings, such as the `settings` that --json prints."),
]
OF_THE_RESULT = {"code_version"}
"""Keys that --json prints among the settings and that are none."""


def configured(config: Path | None) -> dict[str, Any]:
    """Return the settings of a file; without one, none. Raises ValueError if there is no
    such file, or if it holds no mapping."""
    if config is None:
        return {}
    if not config.is_file():
        raise ValueError(f"{config}: no such file: give a YAML file of settings")
    try:
        written = yaml.safe_load(config.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{config} is no YAML: {error}: correct it") from error
    if isinstance(written, dict) and isinstance(written.get("settings"), dict):
        written = written["settings"]  # the whole output of --json
    if not isinstance(written, dict) or not all(isinstance(name, str) for name in written):
        raise ValueError(f"{config} holds no settings: write one as `name: value` a line")
    return {name: value for name, value in written.items() if name not in OF_THE_RESULT}
