"""Ctrl-C and SIGTERM (an eviction, a stopped job) end a study without losing the runs under way,
and a study that Ray takes with it says how to go on."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tune import Say

received: list[int] = []
"""The signals that were to end the process, the first one first."""


def sigterm_as_ctrl_c() -> None:
    """Treat SIGTERM as Ctrl-C from now on: what the study holds, such as its lock, is let go."""

    def on_sigterm(number: int, _: FrameType | None) -> None:
        received.append(number)
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C within the block."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    before = signal.getsignal(signal.SIGTERM)
    sigterm_as_ctrl_c()
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def exit_code() -> int | None:
    """Return the exit code of a process that a signal has ended, as shells have it; None if none
    has been received."""
    return 128 + received[0] if received else None


@contextmanager
def last_words(text: str) -> Iterator[None]:
    """Print a text on stderr if the process ends within the block without leaving it.

    Ray's own code ends a driver at once when its cluster has died, and no Python runs then: a shell
    waits for the driver's word that all is well.
    """
    script = 'trap "" INT TERM; read -r _ || printf "%s\\n" "$1" >&2'
    waiting = ["sh", "-c", script, "sh", text]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE) as shell:
        try:
            yield
        finally:
            with suppress(OSError):
                shell.communicate(b"well\n")


@contextmanager
def stoppable(say: Say) -> Iterator[None]:
    """Let the first Ctrl-C end Tune's loop, by a signal it listens for, and the second one all."""
    before, pressed = signal.getsignal(signal.SIGINT), False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        received.append(number)
        in_loop = callable(signal.getsignal(signal.SIGUSR1))  # Tune listens for SIGUSR1
        if in_loop and not pressed:
            pressed = True
            signal.raise_signal(signal.SIGUSR1)
            with suppress(OSError, RuntimeError):  # nobody listens, or a line is being printed
                say("ending: what is under way will be gone on with (Ctrl-C again: at once)")
        elif callable(before):
            before(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
