"""A foreseen error is one line, and comes before anything is trained."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from sgu.cli import app
from sgu.ensembles.processes import Died, Trainings, processes
from sgu.files.one_line import one_line_errors

SMALL = ["--subset", "200", "--pretrain-epochs", "1"]


def invoked(words: list[str], run: Any = None) -> Any:
    return CliRunner().invoke(app, words, obj=run and Trainings(run, None, 1))


def untrained(*_: Any) -> Iterator[Any]:
    raise AssertionError("a training was begun")


@pytest.mark.parametrize("command", [[], ["audit"], ["compare"]])
@pytest.mark.parametrize("threads", ["-1", "0"])
def test_threads_are_at_least_one(command, threads):
    result = invoked([*command, "--threads", threads])
    assert result.exit_code == 2
    assert "or equal to 1" in result.output


@pytest.mark.parametrize("folder", ["--out", "--cache"])
@pytest.mark.parametrize("below", ["", "deep/down"])
def test_a_folder_that_is_a_file_is_named_before_anything_is_trained(folder, below, tmp_path):
    (tmp_path / "file").touch()
    places = {"--out": "out", "--cache": "cache"} | {folder: f"file/{below}"}
    words = [word for name, place in places.items() for word in (name, str(tmp_path / place))]
    result = invoked(["audit", *SMALL, *words], untrained)
    assert result.exit_code == 2, result.output
    assert f"{tmp_path}/file is a file: choose another folder" in result.output
    assert result.output.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [("--seed", "-1", "seed = -1: must be 0.."), ("--shadows", "3", "shadows = 3: must be 0")],
)
@pytest.mark.parametrize("scenario", ["random", "most_memorised"])
def test_a_wrong_number_comes_before_anything_is_trained(option, value, reason, scenario, tmp_path):
    """Networks that measure memorisation are not trained before either."""
    words = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    words += [option, value, "--scenario", scenario]
    result = invoked(["audit", *SMALL, *words], untrained)
    assert result.exit_code == 2, result.output
    assert reason in result.output
    assert result.output.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory.\nTried 2 GiB."), "CUDA out of memory. Tried"),
        (MemoryError(), "MemoryError"),
        (Died("lower --jobs"), "lower --jobs"),
    ],
)
def test_too_little_memory_is_one_line(error, reason, tmp_path):
    def run(*_: Any) -> Iterator[Any]:
        raise error

    words = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    result = invoked(["audit", *SMALL, *words], run)
    assert result.exit_code == 2, result.output
    last = result.output.splitlines()[-1]
    assert last.startswith(f"sgu audit: {reason}")


@pytest.mark.long
@pytest.mark.slow
def test_a_training_process_that_dies_says_what_to_do():
    with pytest.raises(Died, match="lower --jobs"):
        list(processes(1)(os._exit, [1]))


def test_escape_bytes_and_line_ends_never_reach_the_terminal(capsys):
    def command() -> None:
        with one_line_errors("sgu", ValueError):
            warnings.warn("a\x1b]0;title\x07b", stacklevel=1)
            raise ValueError("folder \x1b[31mred\nnext")

    with pytest.raises(typer.Exit):
        command()
    assert capsys.readouterr().err == "sgu: a ]0;title b\nsgu: folder [31mred next\n"
