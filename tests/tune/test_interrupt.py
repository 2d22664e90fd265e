"""Ctrl-C ends a study also if nobody listens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tune.cli import one_line_ending
from tune.interrupt import ended_by_sigterm, received, stoppable

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("error", [BrokenPipeError, RuntimeError])
def test_ctrl_c_stops_tune_also_if_it_cannot_be_said(error):
    def say(_: str) -> None:
        raise error("reentrant call, or nobody listens")

    stops = []
    with stoppable(say):
        signal.signal(signal.SIGUSR1, lambda *_: stops.append(True))  # as Tune does
        signal.raise_signal(signal.SIGINT)
    assert stops == [True]


def test_ctrl_c_once_stops_tune_and_twice_all():
    messages, stops = [], []
    with stoppable(messages.append):
        signal.signal(signal.SIGUSR1, lambda *_: stops.append(True))  # as Tune does
        signal.raise_signal(signal.SIGINT)
        assert (len(messages), len(stops)) == (1, 1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert len(stops) == 1


def test_ctrl_c_before_tune_listens_stops_all():
    with stoppable(print), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_one_line_and_its_code(number, code, capsys):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as ended, one_line_ending():
        signal.raise_signal(number)
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == "sgu-study: stopped: the same command goes on where it was\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_stops_tune_as_ctrl_c_does():
    messages, stops = [], []
    with ended_by_sigterm(), stoppable(messages.append):
        signal.signal(signal.SIGUSR1, lambda *_: stops.append(True))  # as Tune does
        signal.raise_signal(signal.SIGTERM)
    assert (len(messages), len(stops)) == (1, 1)
    received.clear()


LAST = """
import os, sys
from tune.interrupt import last_words
with last_words("resume it"):
    {}
"""


@pytest.mark.parametrize(
    ("how", "said"),
    [("os._exit(1)", "resume it\n"), ("os.abort()", "resume it\n"), ("pass", ""),
     ("sys.exit(3)", ""), ("os.kill(os.getpid(), 9)", "resume it\n")],
)  # fmt: skip
def test_a_driver_that_ends_without_python_has_last_words(how, said):
    """So Ray's own code ends a driver whose cluster has died."""
    command = [sys.executable, "-c", LAST.format(how)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=env, capture_output=True, text=True)
    assert ended.stderr == said
