"""Optuna's journal: kept by the driver, and as a file that a dashboard and the next driver read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from tune.files import Folder


class Journal(BaseJournalBackend):
    """The format is that of Optuna's JournalFileBackend; one process writes it, any may read it.

    What is there of an earlier driver stays until `publish` puts all that is known in its place.
    What is appended within `whole` comes into the file in one piece: of a proposal, a driver that
    is killed leaves all there or nothing. Lines that cannot be written (a full disk, say) are
    written with the next ones.
    """

    def __init__(self, path: Path):
        self.path, self.lines = Path(path), list[str]()
        self.written: int | None = None  # lines in the file; None before it is published
        self.held = False

    def publish(self) -> None:
        Folder.at(self.path.parent).put(self.path.name, "".join(self.lines).encode())
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
        """Append to the file what it lacks."""
        if self.held or self.written is None or self.written == len(self.lines):
            return
        content, size = "".join(self.lines[self.written :]).encode(), self.path.stat().st_size
        try:
            with self.path.open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            os.truncate(self.path, size)  # not half a line
        else:
            self.written = len(self.lines)
