"""Splits as a file states them, where somebody else has drawn them.

A Parquet or CSV file with a row for each example: `split`, one of retain, forget, audit, val and
test; `index`, its row in the data as loaded, from 0, in train for retain and forget, in held-out
for the others; and, where it was asked for in several requests, `request` of forget's rows, from 0.
A study writes such files. Only forget must be there: retain is then the rest of train, and audit,
val and test are drawn.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
import torch
from torch import Tensor

from sgu.data.examples import Examples
from sgu.data.sources import Source
from sgu.data.splits.splits import PARTS, Splits
from sgu.data.splits.stratify import rows_of

TRAIN, HELDOUT = PARTS[:2], PARTS[2:]
TYPES = {"split": pa.string(), "index": pa.int64(), "request": pa.int64()}
PAIRS = (("retain", "forget"), ("audit", "test"), ("val", "test"), ("audit", "val"))


def splits_from_file(path: Path, source: Source, drawn: Splits) -> Splits:
    """The splits of a file. drawn: of the same source, whose held-out parts stand in where the
    file has none. Raises ValueError for what is no split of the source."""
    try:
        table = _read(path)
        found = Splits.from_table(pa.concat_tables([table, *_left_out(table, source, drawn)]))
    except ValueError as error:  # Arrow's own, too
        raise ValueError(f"{path} states no splits: {error}") from error
    for name in PARTS:
        _check_rows(
            f"{path}: {name}",
            getattr(found, name),
            source.train if name in TRAIN else source.heldout,
        )
    for one, other in PAIRS:
        _check_apart(path, found, one, other)
    if len(found.retain) + len(found.forget) < len(source.train):
        raise ValueError(
            f"{path}: retain and forget hold {len(found.retain) + len(found.forget)} of train's "
            f"{len(source.train)} examples: leave retain out, and it is the rest"
        )
    return found


def _read(path: Path) -> pa.Table:
    """In the order of the indices; without `request` where forget has none."""
    table = csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
    for name in ("split", "index"):
        if name not in table.column_names or table[name].null_count:
            raise ValueError(f"every row needs a value in column {name!r}")
    forget = table.filter(pc.field("split") == "forget")
    if not len(forget):
        raise ValueError("no row is of split 'forget'")
    asked = "request" in table.column_names and forget["request"].null_count < len(forget)
    if asked and forget["request"].null_count:
        raise ValueError("some of forget's rows have a request, and some have none")
    names = [name for name in TYPES if asked or name != "request"]
    columns = [table[name].cast(TYPES[name]) for name in names]
    return pa.table(columns, names).sort_by("index")


def _left_out(table: pa.Table, source: Source, drawn: Splits) -> list[pa.Table]:
    """The rows of retain, or of audit, val and test, where the table has none."""
    there, found = set(pc.unique(table["split"]).to_pylist()), []
    if "retain" not in there:
        forget = table.filter(pc.field("split") == "forget")["index"].to_numpy()
        everyone = torch.arange(len(source.train))
        rest = rows_of(~torch.isin(everyone, torch.tensor(forget)))
        found.append(_rows(table, "retain", rest))
    if not there & set(HELDOUT):
        found += [_rows(table, name, getattr(drawn, name)) for name in HELDOUT]
    return found


def _rows(like: pa.Table, name: str, rows: Tensor) -> pa.Table:
    columns = {"split": [name] * len(rows), "index": rows.numpy(), "request": [None] * len(rows)}
    return pa.table({each: pa.array(columns[each], TYPES[each]) for each in like.column_names})


def _check_rows(what: str, rows: Tensor, examples: Examples) -> None:
    outside = rows[(rows < 0) | (rows >= len(examples))].tolist()
    if outside:
        raise ValueError(f"{what} has index {outside[0]}: must be 0..{len(examples) - 1}")
    again = rows[1:][rows.diff() == 0].tolist()
    if again:
        raise ValueError(f"{what} has index {again[0]} twice: name each example once")


def _check_apart(path: Path, found: Splits, one: str, other: str) -> None:
    """No example in two splits; but audit may be val, as it was published."""
    ours, theirs = getattr(found, one), getattr(found, other)
    both = ours[torch.isin(ours, theirs)].tolist()
    if both and not ((one, other) == ("audit", "val") and torch.equal(ours, theirs)):
        raise ValueError(f"{path}: index {both[0]} is in {one} and in {other}: must be in one")
