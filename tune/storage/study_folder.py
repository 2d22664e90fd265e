"""A study's folder: on this machine, or at an address such as s3://bucket/folder."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd
import yaml

from analysis import load_study
from sgu.data.memmap import data_folder
from sgu.files.location import Location, joined
from sgu.results.schema import TRIALS
from tune.spec.errors import SpecError
from tune.spec.spec import Spec, parse_spec
from tune.storage import lock
from tune.storage.store import Store

SPEC = "spec.yaml"
WRITTEN = ("trials", "epochs", "losses", "splits", "artifacts", "journal", "tensorboard",
           "optuna.journal",
           "optuna.journal.damaged", "progress.json", "front.png", "report.html")  # fmt: skip
"""What a study writes into its folder, apart from its specification and the driver's lock."""


@dataclass(frozen=True)
class Cache:
    """Trained networks by name. path: on this machine; shared: in a store, for other drivers."""

    path: Path
    shared: Location | None = None

    def fetch(self, name: str) -> None:
        """Copy a file to this machine if only the store has it."""
        if self.shared and not (self.path / name).exists():
            content = self.shared.inside(name).read()
            if content is not None:
                Location.at(self.path / name).write(content)

    def share(self, name: str) -> None:
        """Copy a file of this machine to the store."""
        if self.shared:
            self.shared.inside(name).write((self.path / name).read_bytes())


@dataclass(frozen=True)
class StudyFolder:
    """The folder of the study `name`. results: the folder or address that holds the studies."""

    results: str
    name: str

    @property
    def address(self) -> str:
        return joined(self.results, self.name)

    @property
    def files(self) -> Location:
        return Location.at(self.address)

    @property
    def local_path(self) -> Path:
        """The folder itself; for a study in a store, a folder for what must be on this machine."""
        files = self.files
        if files.local:
            return Path(files.path)
        digest = sha256(files.shown.encode()).hexdigest()[:8]
        return data_folder() / "studies" / f"{self.name}-{digest}"

    @property
    def cache(self) -> Cache:
        """The cache beside the study, so that the studies of a folder share it."""
        beside = Location.at(self.results).inside("cache")
        return Cache(Path(beside.path)) if beside.local else Cache(data_folder() / "cache", beside)

    @property
    def store(self) -> Store:
        return Store(self.local_path, self.name, self.address)

    @property
    def begun(self) -> bool:
        """True if the folder holds this study: a specification of its name."""
        return _names_study(self.files.inside(SPEC).read(), self.name)

    def clear(self) -> None:
        """Delete what the study has written; its specification stays until another replaces it."""
        self.files.clear(WRITTEN)

    def keep(self, spec: Spec) -> None:
        """Write the study's specification."""
        self.local_path.mkdir(parents=True, exist_ok=True)
        self.files.inside(SPEC).write(spec.to_yaml().encode())

    def check(self) -> None:
        """Raise SpecError if nothing can be written to `results`, or if the study's folder holds
        anything but a study: nobody's files are mixed with a study's, or deleted like them."""
        others = [file for file in self.files.entries() if not _is_passing(file.name)]
        if others and not self.begun:
            names = ", ".join(file.name for file in others[:3])
            raise SpecError(
                f"{self.files.shown} holds no study but {len(others)} other things ({names}): name "
                "another folder with --results, or give the study another name"
            )
        folder = Location.at(self.results)
        probe = folder.inside(f"_{os.getpid()}-{uuid.uuid4().hex[:8]}")
        try:
            probe.write(b"")
            probe.remove()
        except OSError as error:
            reason = error.strerror or str(error).splitlines()[0]
            raise SpecError(
                f"storage = {folder.shown!r}: cannot be written to ({reason}): name another folder "
                "with `storage`, or with --results"
            ) from error


def _is_passing(name: str) -> bool:
    """Return True for the lock, and for what a write that was cut off has left."""
    return name == lock.NAME or name.startswith("_")


def _names_study(content: bytes | None, name: str) -> bool:
    """Return True if a file's content is a specification of the study of that name."""
    with suppress(yaml.YAMLError, RecursionError, UnicodeDecodeError):
        spec = yaml.safe_load(content or b"")
        return isinstance(spec, dict) and spec.get("name") == name
    return False


def stored_spec(address: str | Path) -> Spec:
    """Return the specification of a study that was begun. Raises SpecError if there is none."""
    folder = Location.at(address)
    content = folder.inside(SPEC).read()
    if content is None:
        raise SpecError(f"no study in {folder.shown}: start one with `sgu-study run SPEC`")
    return parse_spec(content.decode(), f"{folder.shown}/{SPEC}")


def rows_of(address: str | Path) -> pd.DataFrame:
    """Return a study's rows so far, possibly none."""
    try:
        return load_study(address)
    except FileNotFoundError:
        return no_rows()


def no_rows() -> pd.DataFrame:
    return pd.DataFrame(columns=TRIALS.names)
