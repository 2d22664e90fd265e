"""A list of who is to be forgotten: CSV, TSV, Parquet, or a text of one example a line.

    index    the position of an example in train as loaded, from 0, or
    path     its image file, as CLASS/FILE or with any folders before that, and if it is there
    label    its class, as a name or a number, which is compared with the data's

Tables name these columns (`index`; `path`, `file` or `filename`; `label`, `class` or `target`), in
any order and beside others; a single column needs no name. A file with a column `split` is one of
`sgu.data.splits.from_file`. All else about the splits follows from the seed.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from sgu.data.base import Source
from sgu.data.splits.from_file import splits_from_file
from sgu.data.splits.splits import Splits, stated_splits

INDEX, LABEL = ("index",), ("label", "class", "target")
FILE = ("path", "file", "filename")
KNOWN = (*INDEX, *FILE, *LABEL, "split")
SEPARATED = {".csv": ",", ".tsv": "\t"}
HELDOUT = ("test", "val", "validation")
LISTED = 20

Columns = Mapping[str, Sequence[str]]


def forget_from_file(path: Path, source: Source, seed: int) -> Splits:
    """Return the splits of a source in which the examples that a file names are forgotten.

    Raises ValueError, naming file and row, for one that the source does not have, or has with
    another label.
    """
    columns = _read(path)
    try:
        if "split" in columns:
            anyone = stated_splits(source, [0], seed)
            return splits_from_file(path, source, anyone)
        indices = _indices(path, columns, source)
        _check_labels(path, columns, indices, source)
        return stated_splits(source, indices, seed)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {text}") from error


def _read(path: Path) -> Columns:
    """Return the columns of a file by name in lower case, as texts."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file: give a CSV, TSV, Parquet or text file")
    if path.suffix == ".parquet":
        return _of_table(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text ({error}): give CSV, TSV, Parquet or text") from error
    separator = SEPARATED.get(path.suffix)
    if separator == "," and lines and ";" in lines[0] and "," not in lines[0]:
        separator = ";"  # as spreadsheets write where the comma is the decimal sign
    rows = list(csv.reader(lines, delimiter=separator)) if separator else [[x] for x in lines]
    rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise ValueError(f"{path} is empty: name the examples to forget")
    names = [cell.lower() for cell in rows[0]]
    if not set(names) & set(KNOWN):
        if len(names) > 1:
            raise ValueError(f"{path}: no column is called {', '.join(KNOWN)}: name the columns")
        return _single([row[0] for row in rows])
    if short := next((i for i, row in enumerate(rows) if len(row) != len(names)), 0):
        raise ValueError(f"{path}, row {short}: {len(rows[short])} cells; need {len(names)}")
    return dict(zip(names, zip(*rows[1:], strict=True), strict=False))


def _of_table(path: Path) -> Columns:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is no Parquet file ({error}): write it again") from error
    columns = {name.lower(): list(map(str, table[name].to_pylist())) for name in table.column_names}
    if not set(columns) & set(KNOWN) and len(columns) == 1:
        return _single(next(iter(columns.values())))
    return columns


def _single(cells: Sequence[str]) -> Columns:
    return {"index" if _is_number(cells[0]) else "path": cells}


def _indices(path: Path, columns: Columns, source: Source) -> list[int]:
    """Return the positions in train that the rows name."""
    if cells := _column(columns, INDEX):
        wrong = next((i for i, cell in enumerate(cells) if not _is_number(cell)), None)
        if wrong is not None:
            raise ValueError(f"{path}, row {wrong + 1}: index {cells[wrong]!r} is no whole number")
        return list(map(int, cells))
    names = _column(columns, FILE)
    if not names:
        raise ValueError(f"{path}: no rows, or no column {', '.join((*INDEX, *FILE))}: add one")
    known = {name: index for index, name in enumerate(source.train.names)}
    if not known:
        raise ValueError(f"{path} names files, and {source.name} has none: name indices")
    heldout = set(source.heldout.names)
    found = {row: _index(name, known, heldout) for row, name in enumerate(names, 1)}
    unfit = [row for row, index in found.items() if isinstance(index, str)]
    if unfit:
        raise ValueError(f"{path}, row {unfit[0]}: {found[unfit[0]]}{_others(unfit[1:])}")
    return [index for index in found.values() if isinstance(index, int)]


def _index(name: str, known: Mapping[str, int], heldout: set[str]) -> int | str:
    """Return the position of a file, named CLASS/FILE, with folders before it or without CLASS; or
    why it has none."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    apart, file = len(parts) > 2 and parts[-3] in HELDOUT, "/".join(parts[-2:])
    if apart or (file in heldout and file not in known):
        return f"{name} is held out, nobody was trained on it: leave it out"
    if len(parts) == 1:
        same = [index for file, index in known.items() if file.endswith(f"/{parts[0]}")]
        if len(same) > 1:
            return f"{name} is in {len(same)} classes: write CLASS/{name}"
        if same:
            return same[0]
    return known.get(file, f"{name} is no file of train: write CLASS/FILE")


def _others(rows: Sequence[int]) -> str:
    """Return which other rows are unfit, in words."""
    more = f" and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    return f"; unfit, too: row {', '.join(map(str, rows[:LISTED]))}{more}" if rows else ""


def _check_labels(path: Path, columns: Columns, indices: Sequence[int], source: Source) -> None:
    """Raise ValueError where the file and the data say different classes of an example."""
    targets: Tensor = source.train.targets
    for row, (index, cell) in enumerate(zip(indices, _column(columns, LABEL), strict=False), 1):
        label = int(targets[index]) if 0 <= index < len(targets) else None
        if label is not None and cell not in (source.classes[label], str(label)):
            raise ValueError(
                f"{path}, row {row}: example {index} has label {cell} there, and "
                f"{source.classes[label]} ({label}) in {source.name}: is it of these data?"
            )


def _column(columns: Columns, names: Sequence[str]) -> Sequence[str]:
    return next((columns[name] for name in names if name in columns), ())


def _is_number(text: str) -> bool:
    return text.isdecimal()
