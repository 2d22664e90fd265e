"""Result rows to Parquet: each file is whole or absent, and no row is ever rewritten.

A row is a file of its own the moment it exists; `compact` packs them into one file at the end of a
study.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sgu.files.folder import Folder
from sgu.host.provenance import code_version
from sgu.results.rows import Row, stored
from sgu.results.schema import EPOCHS, HISTOGRAMS, KEY, TRIALS
from tune.storage.checkpoints import WHERE, Checkpoints

PARTS = {"trials": TRIALS, "epochs": EPOCHS, "losses": HISTOGRAMS}
WITHIN = ("attempt", "epoch", "split", "low")  # beside KEY: what tells a part's rows apart


class Store:
    """What a study leaves: trials/, epochs/, losses/, splits/, artifacts/.

    folder: the study's own, with its specification; address: where the rows go, such as
    s3://bucket/folder (default: the same folder).
    """

    def __init__(self, folder: Path, study: str, address: str | None = None):
        self.folder, self.study = Path(folder), study
        self.files = Folder.at(address or folder)

    def trial(self, row: Row) -> None:
        """A trial that has ended: the histograms of its losses, and then its row."""
        if "histograms" in row:
            self._write("losses", [row | each for each in row["histograms"]])
        self._write("trials", [row])

    def epochs(self, rows: list[Row]) -> None:
        if rows:
            self._write("epochs", rows)

    def splits(self, digest: str, table: pa.Table) -> None:
        self.files.inside("splits").put(f"{digest}.parquet", _file(table))

    def compact(self) -> None:
        """Pack the rows of each part into one file. Again after it was interrupted: no harm."""
        for part, schema in PARTS.items():
            folder = self.files.inside(part)
            tables = {name: _read(folder, name) for name in folder.names()}
            ours = {name: t for name, t in tables.items() if t is not None and t.schema == schema}
            if len(ours) > 1:
                packed = _distinct(pa.concat_tables(ours.values()))
                folder.put(f"packed-{uuid.uuid4().hex}.parquet", _file(packed))
                for name in ours:
                    folder.remove(name)
            folder.sweep()

    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.files.inside(WHERE), code_version()[0])

    def tidy(self) -> None:
        """What is done at the end of a study, and can be left undone on a full disk."""
        try:
            self.compact()
            self.checkpoints().clear()
        except OSError:
            return

    def _write(self, part: str, rows: list[Row]) -> None:
        schema = PARTS[part]
        table = pa.Table.from_pylist([stored(row, self.study, schema) for row in rows], schema)
        self.files.inside(part).put(f"{_name(rows[-1])}.parquet", _file(table))


def _name(row: Row) -> str:
    """A file's name for what tells rows apart."""
    parts = [row[name] for name in ("cell", "trial_id", "seed", "attempt") if name in row]
    return "-".join(map(str, parts)).replace("/", "-")


def _file(table: pa.Table) -> memoryview:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, write_page_checksum=True)
    return memoryview(buffer.getvalue())


def _read(folder: Folder, name: str) -> pa.Table | None:
    """A file's rows; None where it cannot be read: it stays, and `load_study` names it."""
    try:
        source = pa.BufferReader(folder.get(name) or b"")
        return pq.ParquetFile(source, page_checksum_verification=True).read()
    except (OSError, pa.ArrowException):
        return None


def _distinct(table: pa.Table) -> pa.Table:
    """Each row once."""
    names = [name for name in (*KEY, *WITHIN) if name in table.column_names]
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    last = {row: position for position, row in enumerate(rows)}
    return table.take(sorted(last.values()))
