"""Read the Parquet files of studies as one checked data frame.

A study is written while it runs and may be interrupted: a file that cannot be used is named in a
warning and set aside, and a trial that was resumed keeps one row.

benchmarks/load.py measures 1,000,000 rows with all columns.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow.fs import FileSystem

from sgu.files.location import Location
from sgu.results.schema import (
    EPOCHS,
    HISTOGRAMS,
    KEY,
    REQUIRED,
    SCHEMA_VERSION,
    STATUSES,
    TRIALS,
)

FEW = [
    field.name
    for field in (*TRIALS, *HISTOGRAMS)
    if field.type == pa.string() and field.name not in ("trial_id", "config", "reason")
]
"""Columns of few different words. They are numbers until the rows are in order, which is four times
as fast (benchmarks/load.py)."""

Where = str | Path | Sequence[str | Path]
"""A study's folder, or several: paths on this machine, or addresses that Arrow reaches, such as
s3://bucket/results/default."""


def load_study(where: Where, filesystem: FileSystem | None = None) -> pd.DataFrame:
    """Return the trials of the study in folder `where`, or of the studies in several.

    One row for each trial and seed, columns of `schema.TRIALS`, sorted by `schema.KEY`. Of several
    attempts at a row the last complete one is kept, else the last one. A file that cannot be used
    is named in a warning. filesystem: holds the folders; by default their addresses tell.

    Raises:
        FileNotFoundError: a folder holds no trial that can be read.
        ValueError: no folder is given, or two hold studies of one name.
    """
    return _load(where, filesystem, "trials", TRIALS, KEY)


def load_epochs(where: Where, filesystem: FileSystem | None = None) -> pd.DataFrame:
    """Return the training curves, one row for each trial, seed and epoch, columns of
    `schema.EPOCHS`; arguments and errors as in `load_study`.

    A resumed trial starts from its checkpoint, so each epoch is taken from its last attempt.
    """
    return _load(where, filesystem, "epochs", EPOCHS, (*KEY, "epoch"))


def load_histograms(where: Where, filesystem: FileSystem | None = None) -> pd.DataFrame:
    """Return the histograms of losses, one row for each trial, seed, split and bin, columns of
    `schema.HISTOGRAMS`; arguments and errors as in `load_study`."""
    return _load(where, filesystem, "losses", HISTOGRAMS, (*KEY, "split", "low"))


def _load(
    where: Where, filesystem: FileSystem | None, part: str, schema: pa.Schema, key: Sequence[str]
) -> pd.DataFrame:
    paths = [where] if isinstance(where, str | Path) else list(where)
    if not paths:
        raise ValueError("no folder given: expected a study's, such as results/default")
    folders = [
        Location(filesystem, str(path), str(path)) if filesystem else Location.at(path)
        for path in paths
    ]
    tables = [_folder(folder, part, schema) for folder in folders]
    _check_names(folders, tables)
    table = pa.concat_tables(tables).unify_dictionaries()
    indices = _indices(table, key)
    rows = None if np.array_equal(indices, np.arange(len(table))) else pa.array(indices)

    def finished(name: str) -> pa.Array:
        column = table[name].combine_chunks()
        return (column if rows is None else column.take(rows)).cast(schema.field(name).type)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        columns = list(pool.map(finished, schema.names))
    return pa.table(columns, schema=schema).to_pandas(split_blocks=True)


def _check_names(folders: Sequence[Location], tables: Sequence[pa.Table]) -> None:
    """Raise ValueError for two studies of one name: their rows would pass for attempts at one."""
    of: dict[str, str] = {}
    for folder, table in zip(folders, tables, strict=True):
        for name in pc.unique(table["study"]).to_pylist():
            if name in of:
                raise ValueError(
                    f"both {of[name]} and {folder.shown} hold a study {name!r}: load them apart, "
                    "or run one of them again under another name"
                )
            of[name] = folder.shown


def _indices(table: pa.Table, key: Sequence[str]) -> NDArray[np.int64]:
    """Return the indices of the rows to keep, in the order of the key."""
    number = np.zeros(len(table), dtype=np.int64)
    for name in key:
        code, values = _coded(table[name])
        number = number * values + code
    order = np.argsort(number, kind="stable")
    again = np.diff(number[order]) == 0
    if not again.any():
        return order
    complete = np.zeros(len(table), dtype=bool)
    if "status" in table.column_names:
        complete = pc.equal(table["status"], "complete").fill_null(False).to_numpy()
    attempt = table["attempt"].fill_null(0).to_numpy()
    order = np.lexsort((attempt, complete, number))
    return order[np.append(np.diff(number[order]) != 0, True)]


def _coded(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], int]:
    """Return the rank of each value among the different values (nulls last), and their number."""
    coded = column.combine_chunks()
    if not pa.types.is_dictionary(coded.type):
        coded = coded.dictionary_encode()
    count = len(coded.dictionary)
    place = np.full(count + 1, count, dtype=np.int64)
    place[pc.sort_indices(coded.dictionary).to_numpy()] = np.arange(count)
    return place[coded.indices.fill_null(count).to_numpy()], count + 1


def _folder(folder: Location, part: str, schema: pa.Schema) -> pa.Table:
    """Return all usable rows of one part (trials, epochs or losses) of a study's folder."""
    entries = folder.inside(part).entries()
    files = [file for file in entries if file.name.endswith(".parquet") and file.name[0] != "_"]
    if not files:
        raise FileNotFoundError(f"no {part} in {folder.shown}: run `sgu-study run SPEC` first")
    alone = len(files) < (os.cpu_count() or 1)
    with ThreadPoolExecutor(os.cpu_count() if folder.local else 16) as pool:
        contents = list(pool.map(lambda file: _read(file, schema, alone), files))
    for file, problem in zip(files, contents, strict=True):
        if isinstance(problem, str):
            warnings.warn(f"{file.shown} is set aside: {problem}", stacklevel=4)
    tables = [table for table in contents if isinstance(table, pa.Table)]
    if not any(table.num_rows for table in tables):
        raise FileNotFoundError(
            f"no readable {part} in {folder.shown}: none of its {len(files)} file(s) holds a "
            "usable row; run the study again with this version of the code"
        )
    return pa.concat_tables(tables)


def _read(file: Location, schema: pa.Schema, threads: bool) -> pa.Table | str:
    """Return the table in a file, or a line that says why it cannot be used."""
    try:
        with file.filesystem.open_input_file(file.path) as stream:
            metadata = pq.read_metadata(stream)
            few = [name for name in metadata.schema.names if name in FEW]
            reader = pq.ParquetFile(
                stream, metadata=metadata, read_dictionary=few, pre_buffer=True,
                page_checksum_verification=True,
            )  # fmt: skip
            table = reader.read(use_threads=threads).unify_dictionaries()
        return _problem(table, schema) or _completed(table, schema)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__


def _completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with the schema's columns, in its order and types, those of few words as
    numbers; a column that it lacks is null."""
    coded = pa.dictionary(pa.int32(), pa.string())
    types = {field.name: coded if field.name in FEW else field.type for field in schema}
    if table.schema.equals(pa.schema(types)):
        return table
    for name in types.keys() - set(table.column_names):
        table = table.append_column(name, pa.nulls(len(table), types[name]))
    columns = [
        column if column.type == types[name] else column.cast(schema.field(name).type)
        for name, column in zip(schema.names, table.select(schema.names).columns, strict=True)
    ]
    return pa.table(columns, schema.names).cast(pa.schema(types))


def _problem(table: pa.Table, schema: pa.Schema) -> str:
    """Return why a table is not a study's; empty if it is."""
    missing = sorted(set(REQUIRED) - set(table.column_names))
    if missing:
        return f"expected the columns of schema version {SCHEMA_VERSION}, missing {missing}"
    versions = pc.unique(table["schema_version"]).to_pylist()
    if versions not in ([], [SCHEMA_VERSION]):
        names = ", ".join(map(str, versions))
        return f"written by schema version {names}, this code reads {SCHEMA_VERSION}"
    unknown = sorted(set(table.column_names) - set(schema.names))
    if unknown:
        return f"columns unknown to schema version {SCHEMA_VERSION}: {unknown}"
    statuses = set(pc.unique(table["status"]).to_pylist()) if "status" in schema.names else set()
    if statuses - set(STATUSES):
        return f"status {statuses - set(STATUSES)} is none of {STATUSES}"
    return ""
