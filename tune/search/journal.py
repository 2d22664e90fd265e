"""Optuna's journal: kept by the driver, and as a file that a dashboard and the next driver read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from sgu.files.location import Location

NAME = "optuna.journal"


class Journal(BaseJournalBackend):
    """In a study's folder, in the format of Optuna's JournalFileBackend; one process writes it, any
    may read it. In a store, where nothing can be appended, it is written whole each time.

    What is there of an earlier driver stays until `publish` puts all that is known in its place.
    What is appended within `whole` comes into the file in one piece: of a proposal, a driver that
    is killed leaves all there or nothing. Lines that cannot be written (a full disk, say) are
    written with the next ones.
    """

    def __init__(self, folder: Location):
        self.folder, self.lines = folder, list[str]()
        self.written: int | None = None  # lines in the file; None before it is published
        self.held = False

    @classmethod
    def stored(cls, folder: Location) -> Journal:
        """What an earlier driver has left, to be read; half a line at its end is no line."""
        found, text = cls(folder), (folder.inside(NAME).read() or b"").decode()
        found.lines = [f"{line}\n" for line in text.split("\n")[:-1]]
        return found

    def publish(self) -> None:
        self.folder.inside(NAME).write("".join(self.lines).encode())
        self.written = len(self.lines)

    @contextmanager
    def whole(self) -> Iterator[None]:
        self.held = True
        try:
            yield
        finally:
            self.held = False
            self._write()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return map(json.loads, self.lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.lines += [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]
        self._write()

    def _write(self) -> None:
        """Put into the file what it lacks."""
        if self.held or self.written is None or self.written == len(self.lines):
            return
        with suppress(OSError):
            if self.folder.local:
                self._append("".join(self.lines[self.written :]).encode())
                self.written = len(self.lines)
            else:
                self.publish()

    def _append(self, content: bytes) -> None:
        path = Path(self.folder.path) / NAME
        size = path.stat().st_size
        try:
            with path.open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            os.truncate(path, size)  # not half a line
            raise
