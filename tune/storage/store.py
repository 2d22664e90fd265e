"""Writes result rows to Parquet: each file is whole or absent, and no row is ever rewritten.

Each row gets its own file as soon as it exists; `compact` packs them at the end of a study.
Workers load this file: it imports no analysis, no Optuna.
"""

from __future__ import annotations

import json
import re
import uuid
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sgu.files.location import Location
from sgu.host.provenance import code_version
from sgu.results.rows import Row, stored
from sgu.results.schema import EPOCHS, HISTOGRAMS, KEY, TRIALS
from tune.storage.checkpoints import Checkpoints

PARTS = {"trials": TRIALS, "epochs": EPOCHS, "losses": HISTOGRAMS}
WITHIN = ("attempt", "epoch", "split", "low")  # with KEY, they tell a part's rows apart


class Store:
    """The results of a study, in folders trials/, epochs/, losses/, splits/ and artifacts/.

    folder: the study's folder on this machine; address: where the results go, such as
    s3://bucket/folder (default: the same folder).
    """

    def __init__(self, folder: Path, study: str, address: str | None = None):
        self.folder, self.study = Path(folder), study
        self.files = Location.at(address or folder)

    def trial(self, row: Row) -> None:
        """Write the histograms of a trial that has ended, and then its row."""
        if "histograms" in row:
            self._write("losses", [row | columns for columns in row["histograms"]])
        self._write("trials", [row])

    def epochs(self, rows: list[Row]) -> None:
        if rows:
            self._write("epochs", rows)

    def splits(self, digest: str, table: pa.Table) -> None:
        self.files.inside("splits").inside(f"{digest}.parquet").write(_parquet(table))

    def compact(self) -> None:
        """Pack the rows of each part into one file; an interrupted packing can be repeated."""
        for part, schema in PARTS.items():
            folder = self.files.inside(part)
            tables = {name: _read(folder.inside(name), schema) for name in folder.names()}
            readable = {name: table for name, table in tables.items() if table is not None}
            if len(readable) > 1:
                packed = _distinct(pa.concat_tables(readable.values()))
                folder.inside(f"packed-{uuid.uuid4().hex}.parquet").write(_parquet(packed))
                for name in readable:
                    folder.inside(name).remove()
            folder.sweep()

    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.files.inside("artifacts/checkpoints"), code_version()[0])

    def tidy(self) -> None:
        """Pack rows and delete checkpoints at the end of a study, if the disk has room."""
        try:
            self.compact()
            self.checkpoints().folder.clear()
        except OSError:
            return

    def _write(self, part: str, rows: list[Row]) -> None:
        schema = PARTS[part]
        table = pa.Table.from_pylist([stored(row, self.study, schema) for row in rows], schema)
        self.files.inside(part).inside(f"{_name(rows[-1])}.parquet").write(_parquet(table))


def _name(row: Row) -> str:
    """Return a file name made of what tells rows apart: readable, and by its digest its own.

    A cell is called after the user's data, whose name may begin with "_" or hold anything.
    """
    parts = [row[name] for name in ("cell", "trial_id", "seed", "attempt") if name in row]
    text = "-".join(map(str, parts))
    readable = re.sub(r"[^A-Za-z0-9.+@-]+", "-", text)[-80:].lstrip(".-")
    return f"{readable}-{sha256(json.dumps(parts).encode()).hexdigest()[:8]}"


def _parquet(table: pa.Table) -> memoryview:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, write_page_checksum=True)
    return memoryview(buffer.getvalue())


def _read(file: Location, schema: pa.Schema) -> pa.Table | None:
    """Return a file's rows; None if they cannot be read or have another schema: the file stays."""
    try:
        source = pa.BufferReader(file.read() or b"")
        table = pq.ParquetFile(source, page_checksum_verification=True).read()
        return table if table.schema == schema else None
    except (OSError, pa.ArrowException):
        return None


def _distinct(table: pa.Table) -> pa.Table:
    """Return the table with each row once, the last of its kind."""
    names = [name for name in (*KEY, *WITHIN) if name in table.column_names]
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    last = {row: position for position, row in enumerate(rows)}
    return table.take(sorted(last.values()))
