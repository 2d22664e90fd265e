"""The options made from the settings: none is left out, and each arrives as it was typed."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sgu.cli import app, audit, run
from sgu.cli.options import METHOD_OPTIONS, OPTIONS, with_settings
from sgu.experiment import REFERENCE_SETTINGS, SETTINGS, Experiment
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


def test_without_a_word_all_is_as_the_settings_default():
    assert Experiment.of(**received()) == Experiment()
    assert set(received(names=REFERENCE_SETTINGS)) < REFERENCE_SETTINGS


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
    assert len(inspect.signature(inspect.unwrap(command)).parameters) <= 12


def test_the_command_line_that_repeats_an_audit_is_the_one_that_was_typed():
    words = (
        "--scenario class --forget-classes 3,5 --set lr=1 --set epochs=2 --json mine.safetensors"
    )
    command = typer.main.get_command(app).commands["audit"]
    context = command.make_context("audit", words.split())
    assert sorted(audit._words(context).split()) == sorted(["audit", *words.split()])
