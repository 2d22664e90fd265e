"""Optuna's journal, which the driver writes and a dashboard or the next driver reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from sgu.files.location import Location

NAME = "optuna.journal"
PARTS = "journal"


class Journal(BaseJournalBackend):
    """The journal of a study's folder, in the format of Optuna's JournalFileBackend.

    One process writes it, any may read it. A store such as s3:// cannot append: there each batch is
    a file of its own in the folder `journal`, named after the file that it continues and its first
    line's number. The file of an earlier driver stays until `publish` replaces it.
    Lines appended within `batch` reach the file together, so a driver that is killed leaves a
    proposal whole or not at all. Lines that cannot be written (a full disk, say) are written with
    the next ones. written: lines in the file, None before it is published; damage: what is wrong
    with the file that was read, empty if nothing is.
    """

    def __init__(self, folder: Location):
        self.folder, self.lines = folder, list[str]()
        self.written: int | None = None
        self.batching = False
        self.damage, self.prefix = "", ""

    @classmethod
    def stored(cls, folder: Location) -> Journal:
        """Return the journal of an earlier driver, for reading: its lines up to the first that is
        none (network file systems leave such), without half a line at its end."""
        journal, content = cls(folder), folder.inside(NAME).read() or b""
        lines = (content + journal._continued(content)).split(b"\n")[:-1]
        for number, line in enumerate(lines, 1):
            if not _is_log(line):
                journal.damage = f"line {number} is none"
                break
            journal.lines.append(f"{line.decode()}\n")
        return journal

    def set_aside(self) -> str:
        """Copy the file to another name, and return that."""
        name = f"{NAME}.damaged"
        content = self.folder.inside(NAME).read() or b""
        self.folder.inside(name).write(content + self._continued(content))
        return name

    def publish(self) -> None:
        """Write all lines, in place of an earlier driver's."""
        content = "".join(self.lines).encode()
        self.folder.inside(NAME).write(content)
        self.written, self.prefix = len(self.lines), _prefix(content)
        for name in () if self.folder.local else self.folder.inside(PARTS).names():
            if not name.startswith(self.prefix):
                self.folder.inside(PARTS).inside(name).remove()

    def _continued(self, content: bytes) -> bytes:
        """Return the lines that a store has in files of their own, after those of the file."""
        if self.folder.local:
            return b""
        parts, prefix = self.folder.inside(PARTS), _prefix(content)
        names = [name for name in parts.names() if name.startswith(prefix)]
        return b"".join(parts.inside(name).read() or b"" for name in names)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Write the lines that are appended inside together, at the end."""
        self.batching = True
        try:
            yield
        finally:
            self.batching = False
            self._write()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return map(json.loads, self.lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.lines += [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]
        self._write()

    def _write(self) -> None:
        """Write the lines that the file lacks."""
        if self.batching or self.written is None or self.written == len(self.lines):
            return
        content = "".join(self.lines[self.written :]).encode()
        with suppress(OSError):
            if self.folder.local:
                self._append(content)
            else:
                name = f"{self.prefix}{self.written:08d}"
                self.folder.inside(PARTS).inside(name).write(content)
            self.written = len(self.lines)

    def _append(self, content: bytes) -> None:
        path = Path(self.folder.path) / NAME
        size = path.stat().st_size
        try:
            with path.open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            os.truncate(path, size)  # leave no half line
            raise


def _prefix(content: bytes) -> str:
    """Return how the names of the files begin that continue a file of this content."""
    return f"{sha256(content).hexdigest()[:8]}-"


def _is_log(line: bytes) -> bool:
    """Return True for a line of the journal: a mapping in JSON."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
