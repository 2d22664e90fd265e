"""Splits read from a file, for an evaluation on splits that somebody else has drawn.

A Parquet or CSV file with a row for each example: `split`, one of retain, forget, audit, val and
test; `index`, its position in the data as loaded, from 0, in train for retain and forget, in
held-out for the others; and, if forget is asked for in several requests, `request`, from 0, in
forget's rows. A study writes such files. Only forget is required: by default retain is the rest of
train, and audit, val and test are drawn.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
import torch
from torch import Tensor

from sgu.data.base import Source
from sgu.data.splits.splits import PARTS, Splits

TRAIN, HELDOUT = PARTS[:2], PARTS[2:]
TYPES = {"split": pa.string(), "index": pa.int64(), "request": pa.int64()}
PAIRS = (("retain", "forget"), ("audit", "test"), ("val", "test"), ("audit", "val"))


def splits_from_file(path: Path, source: Source, drawn: Splits) -> Splits:
    """Return the splits in a file. drawn: splits of the same source, whose held-out parts are
    used if the file has none. Raises ValueError if the file holds no splits of the source."""
    try:
        table = _read(path)
        splits = Splits.from_table(pa.concat_tables([table, *_left_out(table, source, drawn)]))
    except ValueError as error:  # Arrow's errors are of this class, too
        raise ValueError(f"{path} holds no usable splits: {error}") from error
    for name in PARTS:
        size = len(source.train if name in TRAIN else source.heldout)
        _check_indices(f"{path}: {name}", getattr(splits, name), size)
    for one, other in PAIRS:
        _check_apart(path, splits, one, other)
    if (held := len(splits.retain) + len(splits.forget)) < len(source.train):
        raise ValueError(
            f"{path}: retain and forget hold {held} of train's {len(source.train)} examples: leave "
            "retain out, and it is the rest"
        )
    return splits


def _read(path: Path) -> pa.Table:
    """Return the table sorted by index, without `request` if it is null throughout forget."""
    table = csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
    for name in ("split", "index"):
        if name not in table.column_names or table[name].null_count:
            raise ValueError(f"every row needs a value in column {name!r}")
    forget = table.filter(pc.field("split") == "forget")
    if not len(forget):
        raise ValueError("no row is of split 'forget'")
    numbered = "request" in table.column_names and forget["request"].null_count < len(forget)
    if numbered and forget["request"].null_count:
        raise ValueError("some of forget's rows have no request: number all of them, or none")
    names = [name for name in TYPES if numbered or name != "request"]
    columns = [table[name].cast(TYPES[name]) for name in names]
    return pa.table(columns, names).sort_by("index")


def _left_out(table: pa.Table, source: Source, drawn: Splits) -> list[pa.Table]:
    """Return the rows of retain, and of audit, val and test, that the table leaves out."""
    names, tables = set(pc.unique(table["split"]).to_pylist()), []
    if "retain" not in names:
        forget = table.filter(pc.field("split") == "forget")["index"].to_numpy()
        kept = ~torch.isin(torch.arange(len(source.train)), torch.tensor(forget))
        tables.append(_rows(table, "retain", torch.where(kept)[0]))
    if not names & set(HELDOUT):
        tables += [_rows(table, name, getattr(drawn, name)) for name in HELDOUT]
    return tables


def _rows(like: pa.Table, split: str, indices: Tensor) -> pa.Table:
    size = len(indices)
    columns = {"split": [split] * size, "index": indices.numpy(), "request": [None] * size}
    return pa.table({name: pa.array(columns[name], TYPES[name]) for name in like.column_names})


def _check_indices(where: str, indices: Tensor, size: int) -> None:
    """Raise ValueError if an ascending index is not in 0..size-1, or is there twice."""
    outside = indices[(indices < 0) | (indices >= size)].tolist()
    if outside:
        raise ValueError(f"{where} has index {outside[0]}: must be 0..{size - 1}")
    repeated = indices[1:][indices.diff() == 0].tolist()
    if repeated:
        raise ValueError(f"{where} has index {repeated[0]} twice: name each example once")


def _check_apart(path: Path, splits: Splits, one: str, other: str) -> None:
    """Raise ValueError if two splits share an example; audit may equal val, as published."""
    ours, theirs = getattr(splits, one), getattr(splits, other)
    both = ours[torch.isin(ours, theirs)].tolist()
    if both and not ((one, other) == ("audit", "val") and torch.equal(ours, theirs)):
        raise ValueError(f"{path}: index {both[0]} is in {one} and in {other}: must be in one")
