"""Files that are whole or absent, in a folder here or in a store that Arrow reaches (s3://...)."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem

from sgu.files.location import locate


@dataclass(frozen=True)
class Folder:
    """A folder, made when first written to. shown: as its user named it."""

    filesystem: FileSystem
    path: str
    shown: str

    @classmethod
    def at(cls, address: str | Path) -> Folder:
        """At a path of this machine, or at an address such as s3://bucket/folder."""
        place = locate(str(address))
        return cls(place.filesystem, place.path, place.shown)

    @property
    def local(self) -> bool:
        return isinstance(self.filesystem, LocalFileSystem)

    def inside(self, name: str) -> Folder:
        return Folder(self.filesystem, f"{self.path}/{name}", f"{self.shown}/{name}")

    def put(self, name: str, content: bytes | memoryview) -> None:
        """Write a file: who reads it sees the one before or the whole new one, whatever fails.

        Its name begins with "_" while it is written. Raises OSError.
        """
        path, unfinished = f"{self.path}/{name}", f"{self.path}/_{_writer()}_{name}"
        if self.local:
            os.makedirs(self.path, exist_ok=True)
            with open(unfinished, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # a machine that dies leaves no empty file behind
            os.replace(unfinished, path)
        else:
            with self.filesystem.open_output_stream(unfinished) as file:
                file.write(content)
            self.filesystem.move(unfinished, path)

    def get(self, name: str) -> bytes | None:
        """A file's content, whole; None where there is none.

        A store is asked for as many bytes as it said a moment ago: of a file that has grown since,
        they are a part, and it is read again.
        """
        path = f"{self.path}/{name}"
        try:
            while True:
                with self.filesystem.open_input_file(path) as file:
                    content = file.read()
                if self.local or self.filesystem.get_file_info(path).size == len(content):
                    return content
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        try:
            self.filesystem.delete_file(f"{self.path}/{name}")
        except FileNotFoundError:
            return

    def clear(self, but: str) -> None:
        """Delete all that is in it, except for one file: rows before the specification that says
        whose they are."""
        inside = FileSelector(self.path, allow_not_found=True)
        there = self.filesystem.get_file_info(inside)
        for info in sorted(there, key=lambda info: (info.type == FileType.File, info.path)):
            if info.type == FileType.Directory:
                self.filesystem.delete_dir(info.path)
            elif info.base_name != but:
                self.filesystem.delete_file(info.path)

    def names(self) -> list[str]:
        """Of the whole files directly in it, in order."""
        return [name for name in self._all() if not name.startswith("_")]

    def sweep(self) -> None:
        """Delete what was never finished; call it where nobody else writes."""
        for name in self._all():
            if name.startswith("_"):
                self.remove(name)

    def _all(self) -> list[str]:
        inside = FileSelector(self.path, allow_not_found=True)
        found = self.filesystem.get_file_info(inside)
        return sorted(info.base_name for info in found if info.type == FileType.File)


def _writer() -> str:
    """Of two that write a file of one name at once, each has an unfinished one of its own."""
    return f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
