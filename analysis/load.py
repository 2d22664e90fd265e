"""Reads studies' Parquet files back as one checked data frame.

A study is written while it runs and may be interrupted: a file that cannot be used is named in a
warning and set aside, and of a trial that was resumed one row is kept.

1,000,000 rows with all columns: see benchmarks/load.py.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow.fs import FileSelector, FileSystem, LocalFileSystem

from sgu.results.schema import (
    EPOCHS,
    HISTOGRAMS,
    KEY,
    REFERENCES,
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
"""Columns of words of which there are few: numbers until the rows are in order, four times as fast
(benchmarks/load.py)."""

Where = str | Path | Sequence[str | Path]
"""A study's folder, or several: paths of this machine, or addresses that Arrow reaches, such as
s3://bucket/results/default."""


def load_study(where: Where, filesystem: FileSystem | None = None) -> pd.DataFrame:
    """Trials of the study in folder `where`, or of the studies in several: one row a trial and
    seed, columns of `schema.TRIALS`, sorted by `schema.KEY`.

    Of several attempts at a row the last complete one is kept, else the last one. A file that
    cannot be used is named in a warning. filesystem: where the folders are; by default what their
    addresses say.

    Raises:
        FileNotFoundError: a folder holds no trial that can be read.
        ValueError: no folder is given, or two hold studies of one name.
    """
    return _load(where, filesystem, "trials", TRIALS, KEY)


def load_epochs(where: Where, filesystem: FileSystem | None = None) -> pd.DataFrame:
    """Training curves, one row a trial, seed and epoch, columns of `schema.EPOCHS`; arguments and
    errors as those of `load_study`.

    A resumed trial starts from its checkpoint, so each epoch is taken from its last attempt.
    """
    return _load(where, filesystem, "epochs", EPOCHS, (*KEY, "epoch"))


def load_histograms(where: Where, filesystem: FileSystem | None = None) -> pd.DataFrame:
    """Histograms of losses, one row a trial, seed, split and bin, columns of `schema.LOSSES`;
    arguments and errors as those of `load_study`."""
    return _load(where, filesystem, "losses", HISTOGRAMS, (*KEY, "split", "low"))


def joined(folder: str | Path, name: str) -> str:
    """What is called `name` in a folder, at a path or an address."""
    path, mark, query = str(folder).partition("?") if "://" in str(folder) else (folder, "", "")
    return f"{str(path).rstrip('/')}/{name}{mark}{query}"


def text_of(folder: str | Path, name: str) -> str | None:
    """A file of a study's folder; None where there is none."""
    filesystem, path = _located(str(folder))
    try:
        with filesystem.open_input_file(f"{path}/{name}") as file:
            return file.read().decode()
    except FileNotFoundError:
        return None


def _load(
    where: Where, filesystem: FileSystem | None, kind: str, schema: pa.Schema, key: Sequence[str]
) -> pd.DataFrame:
    folders = [where] if isinstance(where, str | Path) else list(where)
    if not folders:
        raise ValueError("no folder given: expected a study's, such as results/default")
    tables = [_folder(str(folder), filesystem, kind, schema) for folder in folders]
    _check_names(folders, tables)
    table = pa.concat_tables(tables).unify_dictionaries()
    kept = _kept(table, key)
    rows = None if np.array_equal(kept, np.arange(len(table))) else pa.array(kept)

    def finished(name: str) -> pa.Array:
        column = table[name].combine_chunks()
        return (column if rows is None else column.take(rows)).cast(schema.field(name).type)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        columns = list(pool.map(finished, schema.names))
    return pa.table(columns, schema=schema).to_pandas(split_blocks=True)


def _check_names(folders: Sequence[str | Path], tables: Sequence[pa.Table]) -> None:
    """Rows of different studies must not pass for attempts at one."""
    of: dict[str, str | Path] = {}
    for folder, table in zip(folders, tables, strict=True):
        for name in pc.unique(table["study"]).to_pylist():
            if name in of:
                raise ValueError(
                    f"both {of[name]} and {folder} hold a study {name!r}: load them apart, or run "
                    "one of them again under another name"
                )
            of[name] = folder


def _kept(table: pa.Table, key: Sequence[str]) -> NDArray[np.int64]:
    """Where the rows to keep are, in the order of the key."""
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
    """Each value's place among the different values in order (nulls last); how many there are."""
    coded = column.combine_chunks()
    if not pa.types.is_dictionary(coded.type):
        coded = coded.dictionary_encode()
    count = len(coded.dictionary)
    place = np.full(count + 1, count, dtype=np.int64)
    place[pc.sort_indices(coded.dictionary).to_numpy()] = np.arange(count)
    return place[coded.indices.fill_null(count).to_numpy()], count + 1


def _folder(folder: str, filesystem: FileSystem | None, kind: str, schema: pa.Schema) -> pa.Table:
    """All usable rows of one kind in a study's folder."""
    reached, path = (filesystem, folder) if filesystem else _located(folder)
    inside = FileSelector(f"{path}/{kind}", allow_not_found=True)
    found = sorted(reached.get_file_info(inside), key=lambda info: info.base_name)
    files = [info for info in found if info.extension == "parquet" and info.base_name[0] != "_"]
    if not files:
        raise FileNotFoundError(f"no {kind} in {folder}: run `sgu-study run SPEC` first")
    alone = len(files) < (os.cpu_count() or 1)
    with ThreadPoolExecutor(os.cpu_count() if isinstance(reached, LocalFileSystem) else 16) as pool:
        read = list(pool.map(lambda file: _read(reached, file.path, schema, alone), files))
    for file, answer in zip(files, read, strict=True):
        if isinstance(answer, str):
            shown = f"{folder}/{kind}/{file.base_name}"
            warnings.warn(f"{shown} is set aside: {answer}", stacklevel=4)
    tables = [answer for answer in read if isinstance(answer, pa.Table)]
    if not any(table.num_rows for table in tables):
        raise FileNotFoundError(
            f"no readable {kind} in {folder}: none of its {len(files)} file(s) holds a usable row; "
            "run the study again with this version of the code"
        )
    return pa.concat_tables(tables)


def _located(folder: str) -> tuple[FileSystem, str]:
    if "://" in folder:
        filesystem, path = FileSystem.from_uri(folder)
        return filesystem, path.rstrip("/")
    return LocalFileSystem(), os.path.abspath(os.path.expanduser(folder))


def _read(filesystem: FileSystem, path: str, schema: pa.Schema, threads: bool) -> pa.Table | str:
    """The table in a file, or why it cannot be used."""
    try:
        with filesystem.open_input_file(path) as file:
            metadata = pq.read_metadata(file)
            few = [name for name in metadata.schema.names if name in FEW]
            reader = pq.ParquetFile(
                file, metadata=metadata, read_dictionary=few, pre_buffer=True,
                page_checksum_verification=True,
            )  # fmt: skip
            table = reader.read(use_threads=threads)
        table = _upgraded(table.unify_dictionaries())
        return _problem(table, schema) or _completed(table, schema)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__


def _upgraded(table: pa.Table) -> pa.Table:
    """A table of an older schema version as one of this version.

    Version 1 knew random forgetting alone; 2 had neither cells nor phases, and epochs no seed.
    """
    names = table.column_names
    versions = pc.unique(table["schema_version"]).to_pylist() if "schema_version" in names else []
    if versions not in ([1], [2]):
        return table
    added: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "phase": "search"}
    if "config" in names:
        text = (table[name].cast(pa.string()) for name in ("dataset", "method"))
        added["cell"] = _cells(*text)
        if versions == [1]:
            added |= {"scenario": "random", "requests": 1}
    rest = table.rename_columns({"retain_loss": "train_loss"} if "retain_loss" in names else {})
    rest = rest.drop_columns(["schema_version"])
    for name in added.keys() - set(rest.column_names):
        value = added[name]
        column = value if isinstance(value, pa.ChunkedArray) else pa.repeat(value, len(table))
        rest = rest.append_column(name, column)
    return rest


def _cells(data: pa.ChunkedArray, method: pa.ChunkedArray) -> pa.ChunkedArray:
    """The data and the method; of a reference, the data alone."""
    reference = pc.is_in(method, pa.array(REFERENCES))
    return pc.if_else(reference, data, pc.binary_join_element_wise(data, method, "/"))


def _completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of the schema, in its order; one that it lacks is null."""
    wanted = pa.schema([(field.name, _kind(field)) for field in schema])
    if table.schema.equals(wanted):
        return table
    columns = [_typed(table, field) for field in schema]
    return pa.table(columns, names=schema.names)


def _kind(field: pa.Field) -> pa.DataType:
    return pa.dictionary(pa.int32(), pa.string()) if field.name in FEW else field.type


def _typed(table: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    """A column in its type, but for those of few words, which are in numbers."""
    wanted = _kind(field)
    if field.name not in table.column_names:
        return pa.nulls(len(table), wanted)
    column = table[field.name]
    if column.type == wanted:
        return column
    typed = column.cast(field.type)
    return typed.dictionary_encode() if field.name in FEW else typed


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
