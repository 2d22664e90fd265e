"""Ctrl-C ends a study without losing what is under way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType


@contextmanager
def stoppable(say: Callable[[str], None]) -> Iterator[None]:
    """Ctrl-C once ends Tune's loop, as its own handler would do without a word; twice, all."""
    before, pressed = signal.getsignal(signal.SIGINT), False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        in_tune = callable(signal.getsignal(signal.SIGUSR1))  # where it listens for a stop, too
        if in_tune and not pressed:
            pressed = True
            signal.raise_signal(signal.SIGUSR1)
            with suppress(OSError, RuntimeError):  # nobody listens, or a line is being printed
                say("ending: what is under way will be gone on with (Ctrl-C again: at once)")
        elif callable(before):
            before(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
