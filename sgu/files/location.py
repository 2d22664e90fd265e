"""Files and folders, on this machine or in a store that Arrow reaches (s3://bucket/folder).

Readers of data use `info`, `entries`, `opened` and `key`: their errors are a DataError with advice.
What a study keeps is read and written with the other methods, which raise OSError.
"""

from __future__ import annotations

import json
import os
import re
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import NativeFile
from pyarrow.fs import (
    AwsStandardS3RetryStrategy,
    FileInfo,
    FileSelector,
    FileSystem,
    FileType,
    LocalFileSystem,
    S3FileSystem,
)

from sgu.files.atomic import atomic_write, unfinished_name
from sgu.files.errors import DataError

T = TypeVar("T")
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
# Arrow's own patience with an unreachable store of this kind is 15 minutes
FAILING = re.compile(
    r"NETWORK|TIMEOUT|curlCode|SLOW_DOWN|THROTTLING|UNAVAILABLE|INTERNAL_FAILURE|HTTP status 5\d\d"
)
"""What Arrow says of a store that may answer the next time."""
LASTING = 60.0  # seconds for which a store that fails is asked again
QUICK: dict[str, Any] = {
    "connect_timeout": 3,
    "request_timeout": 5,
    "allow_delayed_open": True,
    "retry_strategy": AwsStandardS3RetryStrategy(max_attempts=2),
}
PATIENCE = {"gs": "retry_limit_seconds=30", "gcs": "retry_limit_seconds=30"}


@dataclass(frozen=True)
class Location:
    """A file or folder and how to reach it. shown: as the user named it, without secrets."""

    filesystem: FileSystem
    path: str
    shown: str

    @classmethod
    def at(cls, address: str | Path) -> Location:
        """Return the location at a path of this machine or at an address such as s3://bucket/folder.

        Raises DataError if Arrow cannot use the address.
        """
        address = str(address)
        scheme = ADDRESS.match(address)
        if not scheme:
            path = os.path.abspath(os.path.expanduser(address))
            return cls(LocalFileSystem(), path, address.rstrip("/") or address)
        shown = re.sub("//[^/@]*:[^/@]*@", "//", address.split("?")[0]).rstrip("/")  # no secrets
        with reaching(shown):
            filesystem, path = FileSystem.from_uri(_patient(address, scheme[1].lower()))
        return cls(_quick(filesystem), path, shown)

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def local(self) -> bool:
        return isinstance(self.filesystem, LocalFileSystem)

    def inside(self, name: str) -> Location:
        """Return the file or folder called `name` in this folder."""
        return Location(self.filesystem, f"{self.path.rstrip('/')}/{name}", f"{self.shown}/{name}")

    @cached_property
    def info(self) -> FileInfo:
        with reaching(self.shown):
            return self.filesystem.get_file_info(self.path)

    @property
    def is_folder(self) -> bool:
        return self.info.type == FileType.Directory

    def entries(self) -> list[Location]:
        """Return what lies in this folder, by name, except for names that begin with "."."""
        with reaching(self.shown):
            if self.local:  # Arrow would pass over a link to nothing
                names = os.listdir(self.path) if os.path.isdir(self.path) else []
            else:
                names = [info.base_name for info in self._infos()]
        return [self.inside(name) for name in sorted(names) if not name.startswith(".")]

    @contextmanager
    def opened(self) -> Iterator[NativeFile]:
        with reaching(self.shown), self.filesystem.open_input_file(self.path) as file:
            yield file

    def key(self) -> str:
        """Return a text that changes when the file does, locally by a time that no tool can set."""
        if not self.local:
            return f"{self.shown} {self.info.size} {self.info.mtime_ns}"
        with reaching(self.shown):
            status = os.stat(self.path)
        times = f"{status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        return f"{os.path.realpath(self.path)} {status.st_size} {times}"

    def read(self) -> bytes | None:
        """Return the whole content; None if there is no such file.

        A store that does not answer is asked again (`_again`). A store returns as many bytes as the
        file had when it was opened: if it has grown since, it is read again.
        """
        try:
            return self._content() if self.local else _again(self.shown, self._content)
        except FileNotFoundError:
            return None

    def _content(self) -> bytes:
        while True:
            with self.filesystem.open_input_file(self.path) as file:
                content = file.read()
            if self.local or self.filesystem.get_file_info(self.path).size == len(content):
                return content

    def write(self, content: bytes | memoryview) -> None:
        """Replace the content: readers see the old file or the whole new one, whatever fails.

        Missing folders are made. The name begins with "_" until the file is whole; a bucket shows
        no object before. A store that does not answer is asked again (`_again`).
        """
        if self.local:
            with atomic_write(Path(self.path)) as local:
                local.write_bytes(content)
            return
        _again(self.shown, lambda: self._stored(content))

    def _stored(self, content: bytes | memoryview) -> None:
        whole = isinstance(self.filesystem, S3FileSystem)
        unfinished = f"{self.path.removesuffix(self.name)}{unfinished_name(self.name)}"
        with self.filesystem.open_output_stream(self.path if whole else unfinished) as file:
            file.write(content)
        if not whole:
            self.filesystem.move(unfinished, self.path)

    def read_json(self) -> dict[str, Any]:
        """Return the mapping in a JSON file; an empty one if there is no such file, or no whole
        one: it is for what can be made again."""
        with suppress(ValueError):
            value = json.loads(self.read() or b"{}")
            return value if isinstance(value, dict) else {}
        return {}

    def remove(self) -> None:
        """Delete the file, if there is one."""
        with suppress(FileNotFoundError):
            self.filesystem.delete_file(self.path)

    def names(self) -> list[str]:
        """Return the names of the finished files directly in this folder, in order."""
        return [name for name in self._files() if not name.startswith("_")]

    def sweep(self) -> None:
        """Delete unfinished files; call it only while nobody else writes here."""
        for name in self._files():
            if name.startswith("_"):
                self.inside(name).remove()

    def clear(self, names: Collection[str] | None = None) -> None:
        """Delete what lies in this folder, or of that only the files and folders of these names:
        first folders, then files."""
        infos = sorted(self._infos(), key=lambda info: (info.type == FileType.File, info.path))
        for info in infos:
            if names is not None and info.base_name not in names:
                continue
            if info.type == FileType.Directory:
                self.filesystem.delete_dir(info.path)
            else:
                self.inside(info.base_name).remove()

    def _files(self) -> list[str]:
        return sorted(info.base_name for info in self._infos() if info.type == FileType.File)

    def _infos(self) -> list[FileInfo]:
        return self.filesystem.get_file_info(FileSelector(self.path, allow_not_found=True))


def joined(folder: str | Path, name: str) -> str:
    """Return the path or address of `name` in the folder at a path or an address."""
    path, mark, query = str(folder).partition("?") if "://" in str(folder) else (folder, "", "")
    return f"{str(path).rstrip('/')}/{name}{mark}{query}"


@contextmanager
def reaching(shown: str) -> Iterator[None]:
    """Turn errors of a file or a store into one DataError."""
    try:
        yield
    except (OSError, ImportError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{shown}: cannot be reached ({reason}): check the address, the network and the access "
            "rights, or copy the files into a folder here"
        ) from error


def _quick(filesystem: FileSystem) -> FileSystem:
    """Return an S3 file system that gives up an answer soon, and puts a small file in one request.

    Arrow's own asks a store that hangs for 112 s in silence, and needs three requests for a file.
    """
    if not isinstance(filesystem, S3FileSystem):
        return filesystem
    _, (options,) = filesystem.__reduce__()
    given = {name: value for name, value in options.items() if name not in QUICK}
    proxy = given.pop("proxy_options")
    return S3FileSystem(**given, **QUICK, proxy_options=proxy if proxy["host"] else None)


def _again(shown: str, action: Callable[[], T]) -> T:
    """Return what the action returns, and repeat it for `LASTING` seconds while the store fails;
    the first time a warning says so."""
    end, pause = time.monotonic() + LASTING, 0.5
    while True:
        try:
            return action()
        except OSError as error:
            if not FAILING.search(str(error)) or time.monotonic() + pause > end:
                raise
            if pause == 0.5:
                reason = str(error).splitlines()[0][:200]
                warnings.warn(f"{shown}: does not answer ({reason}): trying again", stacklevel=4)
            time.sleep(pause)
            pause = min(2 * pause, 8.0)


def _patient(address: str, scheme: str) -> str:
    if scheme not in PATIENCE or "retry_limit" in address:
        return address
    return f"{address}{'&' if '?' in address else '?'}{PATIENCE[scheme]}"
