"""Optuna's journal: kept by the driver, and as a file that a dashboard and the next driver read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from tune.files import Folder


class Journal(BaseJournalBackend):
    """The format is that of Optuna's JournalFileBackend; one process writes it, any may read it.

    What is there of an earlier driver stays until `publish` puts all that is known in its place.
    Lines that cannot be written (a full disk, say) are written with the next ones.
    """

    def __init__(self, path: Path):
        self.path, self.lines = Path(path), list[str]()
        self.written: int | None = None  # lines in the file; None before it is published

    def publish(self) -> None:
        Folder.at(self.path.parent).put(self.path.name, "".join(self.lines).encode())
        self.written = len(self.lines)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return map(json.loads, self.lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.lines += [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]
        if self.written is not None:
            self._append("".join(self.lines[self.written :]).encode())

    def _append(self, content: bytes) -> None:
        size = self.path.stat().st_size
        try:
            with self.path.open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            os.truncate(self.path, size)  # not half a line
        else:
            self.written = len(self.lines)
