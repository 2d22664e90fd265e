"""Ctrl-C ends a study without losing the runs under way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tune import Say


@contextmanager
def stoppable(say: Say) -> Iterator[None]:
    """Let the first Ctrl-C end Tune's loop, by a signal it listens for, and the second one all."""
    before, pressed = signal.getsignal(signal.SIGINT), False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
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
