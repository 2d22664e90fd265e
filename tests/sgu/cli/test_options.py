"""The options made from the settings: none is left out, and each arrives as it was typed."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sgu.cli import app, audit, run
from sgu.cli.options import METHOD_OPTIONS, OPTIONS, with_settings
from sgu.experiment import REFERENCE_SETTINGS, SETTINGS, Experiment
from sgu.presets import PRESETS, preset_settings
from sgu.training.loop import Optimisation


def received(*words: str, names: Any = OPTIONS) -> dict[str, Any]:
    """Return the settings that a command with these options receives."""
    settings_received = {}
    command = typer.Typer()

    @command.command()
    @with_settings(names)
    def receive(settings: dict[str, Any], change: str = "") -> None:
        settings_received.update(settings, change=change)

    result = CliRunner().invoke(command, words)
    assert result.exit_code == 0, result.output
    assert settings_received.pop("change") == ""
    return settings_received


def test_every_setting_has_an_option_with_help():
    assert set(OPTIONS) == SETTINGS | set(METHOD_OPTIONS)
    assert set(METHOD_OPTIONS) <= {field.name for field in fields(Optimisation)}
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    for name, (_, text) in OPTIONS.items():
        assert f"--{name.replace('_', '-')} " in result.output
        assert text in result.output


def test_a_command_receives_what_was_typed_alone():
    assert received() == {}
    assert Experiment.of(**received("--seed", "0", names=REFERENCE_SETTINGS)) == Experiment()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--solve-every", "8"], {"solve_every": 8}),
        (["--solve-every", "epoch"], {"solve_every": "epoch"}),
        (
            ["--scenario", "class", "--forget-classes", "3,5"],
            {"scenario": "class", "forget_classes": [3, 5]},
        ),
        (
            ["--scenario", "class", "--forget-classes", "3"],
            {"scenario": "class", "forget_classes": [3]},
        ),
        (["--epochs", "3", "--lr", "0.5"], {"epochs": 3, "lr": 0.5}),
        (["--view", "loss", "--warm-start"], {"view": "loss", "warm_start": True}),
        (["--subset", "400", "--data", "12"], {"subset": 400, "data": "12"}),
    ],
    ids=str,
)
def test_an_option_arrives_as_its_setting(words, expected):
    settings = Experiment.of(**received(*words)).settings()
    assert settings == Experiment.of(**received()).settings() | expected


@pytest.mark.parametrize("command", [run.main_command, run.run, audit.command])
def test_no_command_is_written_with_more_than_a_dozen_parameters(command):
    """Beside the context, which Typer gives."""
    assert len(inspect.signature(inspect.unwrap(command)).parameters.keys() - {"context"}) <= 12


def test_the_command_line_that_repeats_an_audit_is_the_one_that_was_typed():
    words = (
        "--scenario class --forget-classes 3,5 --set lr=1 --set epochs=2 --json mine.safetensors"
    )
    command = typer.main.get_command(app).commands["audit"]
    context = command.make_context("audit", words.split())
    assert sorted(audit._words(context).split()) == sorted(["audit", *words.split()])


def typed(*words: str, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """Return the experiment that `sgu` runs for these words."""
    experiments = []
    monkeypatch.setattr(run, "run", lambda experiment, *_, **__: experiments.append(experiment))
    monkeypatch.setattr(run, "metric_table", lambda _: "")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return experiments[0]


def test_what_is_typed_goes_before_a_preset(monkeypatch):
    paper = preset_settings("paper")
    words = ("--preset", "paper", "--update", "joint", "--lr", "0.05", "--set", "momentum=0.5")
    experiment = typed(*words, monkeypatch=monkeypatch)
    changed = {"update": "joint", "lr": 0.05, "momentum": 0.5}
    assert experiment == Experiment.of(**paper | changed)
    assert typed("--preset", "paper", monkeypatch=monkeypatch) == Experiment.of(**paper)


def test_an_unknown_preset_is_named_in_one_line():
    result = CliRunner().invoke(app, ["--preset", "papers"])
    assert result.exit_code == 2
    assert "preset = 'papers': must be one of paper" in result.output


def test_the_presets_can_be_printed():
    listed = json.loads(CliRunner().invoke(app, ["presets", "--json"]).output)
    assert listed == {name: preset.settings for name, preset in PRESETS.items()}
    plain = CliRunner().invoke(app, ["presets"]).output
    assert all(f"  {name}: " in plain for name in PRESETS["paper"].settings)
