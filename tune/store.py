"""Result rows to Parquet: each file is whole or absent, and no row is ever rewritten.

A row is a file of its own the moment it exists (its name starts with "_" while it is written);
`compact` packs them into one file at the end of a study.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.schema import EPOCHS, LOSSES, SCHEMA_VERSION, TRIALS
from sgu.rows import Row


class Store:
    """The folder of one study: spec.yaml, trials/, epochs/, losses/, splits/."""

    def __init__(self, folder: Path, study: str):
        self.folder, self.study = Path(folder), study

    def trial(self, row: Row) -> None:
        """A trial that has ended: the histograms of its losses, and then its row."""
        if "losses" in row:
            losses = [row | each for each in row["losses"]]
            self._write("losses", LOSSES, losses, _name(row))
        self._write("trials", TRIALS, [row], _name(row))

    def epochs(self, rows: list[Row]) -> None:
        if rows:
            self._write("epochs", EPOCHS, rows, _name(rows[-1]))

    def splits(self, digest: str, table: pa.Table) -> None:
        self._put(table, self.folder / "splits" / f"{digest}.parquet")

    def compact(self) -> None:
        """Pack the rows of each table into one file."""
        for part, schema in (("trials", TRIALS), ("epochs", EPOCHS), ("losses", LOSSES)):
            files = sorted((self.folder / part).glob("[!_]*.parquet"))
            if len(files) > 1:
                table = pa.concat_tables([pq.read_table(file, schema=schema) for file in files])
                self._put(table, self.folder / part / f"packed-{uuid.uuid4().hex}.parquet")
                for file in files:
                    file.unlink()

    def _write(self, part: str, schema: pa.Schema, rows: list[Row], name: str) -> None:
        known = [{"schema_version": SCHEMA_VERSION, "study": self.study} | row for row in rows]
        table = pa.Table.from_pylist([_clean(row, schema) for row in known], schema=schema)
        self._put(table, self.folder / part / f"{name}.parquet")

    @staticmethod
    def _put(table: pa.Table, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"_{path.name}")
        pq.write_table(table, unfinished)
        os.replace(unfinished, path)


def _name(row: Row) -> str:
    """A file's name for what tells rows apart."""
    parts = [row[name] for name in ("cell", "trial_id", "seed", "attempt") if name in row]
    return "-".join(map(str, parts)).replace("/", "-")


def _clean(row: Row, schema: pa.Schema) -> Row:
    """The schema's columns of a row; NaN is null, and mappings are JSON."""
    return {name: _plain(row.get(name)) for name in schema.names}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, float) and math.isnan(value):
        return None
    return value
