"""Where files lie: in a folder of this machine, or in a store that Arrow reaches by its address."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
from pyarrow import NativeFile
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem

from sgu.files.errors import DataError

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
# Arrow's own patience with an unreachable store of this kind is 15 minutes
PATIENCE = {"gs": "retry_limit_seconds=30", "gcs": "retry_limit_seconds=30"}


@dataclass(frozen=True)
class Place:
    """A file or a folder, and how to reach it. shown: as the user named it."""

    filesystem: FileSystem
    path: str
    shown: str

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def local(self) -> bool:
        return isinstance(self.filesystem, LocalFileSystem)

    @cached_property
    def info(self) -> FileInfo:
        with reaching(self.shown):
            return self.filesystem.get_file_info(self.path)

    @property
    def is_folder(self) -> bool:
        return self.info.type == FileType.Directory

    def inside(self, name: str) -> "Place":
        return Place(self.filesystem, f"{self.path.rstrip('/')}/{name}", f"{self.shown}/{name}")

    def entries(self) -> list["Place"]:
        """What lies directly in this folder, by name; what begins with a dot is left out."""
        with reaching(self.shown):
            if self.local:  # Arrow would pass over a link to nothing
                names = os.listdir(self.path) if os.path.isdir(self.path) else []
            else:
                inside = FileSelector(self.path, allow_not_found=True)
                names = [info.base_name for info in self.filesystem.get_file_info(inside)]
        return [self.inside(name) for name in sorted(names) if not name.startswith(".")]

    @contextmanager
    def opened(self) -> Iterator[NativeFile]:
        with reaching(self.shown), self.filesystem.open_input_file(self.path) as file:
            yield file

    def read(self) -> bytes:
        with self.opened() as file:
            return file.read()

    def key(self) -> str:
        """Changes where the file does; a local one has a time that no copying tool sets."""
        if not self.local:
            return f"{self.shown} {self.info.size} {self.info.mtime_ns}"
        with reaching(self.shown):
            status = os.stat(self.path)
        times = f"{status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        return f"{os.path.realpath(self.path)} {status.st_size} {times}"


def locate(data: str) -> Place:
    """The folder at a path of this machine or at an address such as s3://bucket/folder."""
    address = ADDRESS.match(data)
    if not address:
        path = os.path.abspath(os.path.expanduser(data))
        return Place(LocalFileSystem(), path, data.rstrip("/") or data)
    shown = re.sub("//[^/@]*:[^/@]*@", "//", data.split("?")[0]).rstrip("/")  # no secrets
    with reaching(shown):
        filesystem, path = FileSystem.from_uri(_patient(data, address[1].lower()))
    return Place(filesystem, path, shown)


def _patient(address: str, scheme: str) -> str:
    if scheme not in PATIENCE or "retry_limit" in address:
        return address
    return f"{address}{'&' if '?' in address else '?'}{PATIENCE[scheme]}"


@contextmanager
def reaching(shown: str) -> Iterator[None]:
    """Errors of a file or of a store as one DataError."""
    try:
        yield
    except (OSError, ImportError, pa.ArrowException) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{shown}: cannot be reached ({first}): check the address, the network and the access "
            "rights, or copy the files into a folder here"
        ) from error
