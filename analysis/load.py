"""Reads a study's Parquet files back as one checked data frame.

A study is written while it runs and may be interrupted: a file that cannot be used is named in a
warning and set aside, and of a trial that was resumed one row is kept.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.schema import (
    EPOCHS,
    KEY,
    LOSSES,
    REFERENCES,
    REQUIRED,
    SCHEMA_VERSION,
    STATUSES,
    TRIALS,
)


def load_study(path: str | Path) -> pd.DataFrame:
    """Trials of the study in folder `path`, one row a trial, columns of `schema.TRIALS`.

    Of several attempts at a trial the last complete one is kept, else the last one.

    Raises:
        FileNotFoundError: the folder holds no trial that can be read.
    """
    frame = _read_folder(Path(path), "trials", TRIALS)
    ranked = frame.assign(_complete=frame["status"] == "complete")
    ranked = ranked.sort_values(["_complete", "attempt"], kind="stable").drop(columns="_complete")
    return _last(ranked, list(KEY))


def load_epochs(path: str | Path) -> pd.DataFrame:
    """Training curves of the study in folder `path`, one row a trial and epoch, as `schema.EPOCHS`.

    A resumed trial starts from its checkpoint, so each epoch is taken from its last attempt.

    Raises:
        FileNotFoundError: the folder holds no epochs that can be read.
    """
    frame = _read_folder(Path(path), "epochs", EPOCHS)
    return _last(frame.sort_values("attempt", kind="stable"), [*KEY, "epoch"])


def load_losses(path: str | Path) -> pd.DataFrame:
    """Histograms of losses, one row a trial, split and bin, columns as `schema.LOSSES`.

    Raises:
        FileNotFoundError: the folder holds no losses that can be read.
    """
    frame = _read_folder(Path(path), "losses", LOSSES)
    return _last(frame.sort_values("attempt", kind="stable"), [*KEY, "split", "low"])


def _last(frame: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    kept = frame.drop_duplicates(key, keep="last")
    return kept.sort_values(key, kind="stable", ignore_index=True)


def _read_folder(study: Path, kind: str, schema: pa.Schema) -> pd.DataFrame:
    files = [file for file in sorted((study / kind).glob("*.parquet")) if file.name[0] != "_"]
    if not files:
        raise FileNotFoundError(f"no {kind} in {study}: run `sgu-study run SPEC` first")
    tables = [table for file in files if (table := _read(file, schema)) is not None]
    if not any(table.num_rows for table in tables):
        raise FileNotFoundError(
            f"no readable {kind} in {study}: none of its {len(files)} file(s) holds a usable row; "
            "run the study again with this version of the code"
        )
    return pa.concat_tables(tables).to_pandas()


def _read(file: Path, schema: pa.Schema) -> pa.Table | None:
    """The table in `file`, or None, with one warning that names it, where it cannot be used."""
    try:
        table = _upgraded(pq.ParquetFile(file).read())
        problem = _problem(table, schema)
        if not problem:
            return _completed(table, schema)
    except (OSError, pa.ArrowException) as error:
        problem = str(error).splitlines()[0]
    warnings.warn(f"{file} is set aside: {problem}", stacklevel=4)
    return None


def _upgraded(table: pa.Table) -> pa.Table:
    """A table of an older schema version as one of this version.

    Version 1 knew random forgetting alone; 2 had neither cells nor phases, and epochs no seed.
    """
    names = table.column_names
    versions = set(table["schema_version"].to_pylist()) if "schema_version" in names else set()
    if len(versions) != 1 or not versions <= {1, 2}:
        return table
    added: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "phase": "search"}
    if "config" in names:
        methods, data = (table[name].to_pylist() for name in ("method", "dataset"))
        added["cell"] = [_cell(*pair) for pair in zip(data, methods, strict=True)]
        if versions == {1}:
            added |= {"scenario": "random", "requests": 1, "forget_fraction": None}
    rest = table.rename_columns({"retain_loss": "train_loss"} if "retain_loss" in names else {})
    rest = rest.drop_columns(["schema_version"])
    for name in added.keys() - set(rest.column_names):
        value = added[name]
        values = value if isinstance(value, list) else [value] * len(table)
        rest = rest.append_column(name, pa.array(values))
    return rest


def _cell(data: str, method: str) -> str:
    return data if method in REFERENCES else f"{data}/{method}"


def _completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of the schema, in its order; one that it lacks is null."""
    for name in set(schema.names) - set(table.column_names):
        table = table.append_column(name, pa.nulls(len(table)))
    return table.select(schema.names).cast(schema)


def _problem(table: pa.Table, schema: pa.Schema) -> str:
    """Why `table` is not one of ours; empty if it is."""
    missing = sorted(set(REQUIRED) - set(table.column_names))
    if missing:
        return f"expected the columns of schema version {SCHEMA_VERSION}, missing {missing}"
    strange = sorted(set(table.column_names) - set(schema.names))
    if strange:
        return f"columns unknown to schema version {SCHEMA_VERSION}: {strange}"
    versions = set(pc.unique(table["schema_version"]).to_pylist())
    if versions - {SCHEMA_VERSION}:
        return f"written by schema version {versions}, this code reads {SCHEMA_VERSION}"
    statuses = set(pc.unique(table["status"]).to_pylist()) if "status" in schema.names else set()
    if statuses - set(STATUSES):
        return f"status {statuses - set(STATUSES)} is none of {STATUSES}"
    return ""
