"""Where a study is at home: a folder of this machine, or an address such as s3://bucket/folder."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd
import yaml

from analysis import load_study
from analysis.load import joined
from sgu.data.memmap import data_folder
from sgu.files.folder import Folder
from sgu.results.schema import TRIALS
from tune.spec.errors import SpecError
from tune.spec.spec import Spec, parse_spec
from tune.storage.store import Store

SPEC = "spec.yaml"


@dataclass(frozen=True)
class Cache:
    """Networks by what decides them. path: here; there: of a study elsewhere, for other drivers."""

    path: Path
    there: Folder | None = None

    def fetch(self, name: str) -> None:
        """Bring a file here, if it is only there."""
        if self.there and not (self.path / name).exists():
            content = self.there.get(name)
            if content is not None:
                Folder.at(self.path).put(name, content)

    def share(self, name: str) -> None:
        """Put a file there that is here."""
        if self.there:
            self.there.put(name, (self.path / name).read_bytes())


@dataclass(frozen=True)
class StudyFolder:
    """results: the folder or address that holds the studies; name: the study's."""

    results: str
    name: str

    @property
    def address(self) -> str:
        return joined(self.results, self.name)

    @property
    def files(self) -> Folder:
        return Folder.at(self.address)

    @property
    def here(self) -> Path:
        """The folder itself; of a study elsewhere, one for what must lie on this machine."""
        files = self.files
        if files.local:
            return Path(files.path)
        digest = sha256(files.shown.encode()).hexdigest()[:8]
        return data_folder() / "studies" / f"{self.name}-{digest}"

    @property
    def cache(self) -> Cache:
        """Beside the study, so that all studies there share it."""
        beside = Folder.at(self.results).inside("cache")
        return Cache(Path(beside.path)) if beside.local else Cache(data_folder() / "cache", beside)

    @property
    def store(self) -> Store:
        return Store(self.here, self.name, self.address)

    @property
    def begun(self) -> bool:
        return self.files.get(SPEC) is not None

    def keep(self, spec: Spec) -> None:
        text = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
        self.here.mkdir(parents=True, exist_ok=True)
        self.files.put(SPEC, text.encode())

    def check(self) -> None:
        """Raises SpecError where nothing can be written."""
        folder, name = Folder.at(self.results), f"_{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            folder.put(name, b"")
            folder.remove(name)
        except OSError as error:
            why = error.strerror or str(error).splitlines()[0]
            raise SpecError(
                f"storage = {folder.shown!r}: cannot be written to ({why}): name another folder "
                "with `storage`, or with --results"
            ) from error


def stored_spec(address: str | Path) -> Spec:
    """The specification of a study that was begun."""
    files = Folder.at(address)
    content = files.get(SPEC)
    if content is None:
        raise SpecError(f"no study in {files.shown}: start one with `sgu-study run SPEC`")
    return parse_spec(content.decode(), f"{files.shown}/{SPEC}")


def rows_of(address: str | Path) -> pd.DataFrame:
    """The rows so far, which may be none."""
    files = Folder.at(address)
    try:
        return load_study(files.path, files.filesystem)
    except FileNotFoundError:
        return no_rows()


def no_rows() -> pd.DataFrame:
    return pd.DataFrame(columns=TRIALS.names)
