"""A data set of Parquet tables, as public hubs have them: train-*.parquet and test-*.parquet (or,
without it, validation-*.parquet), in a folder or in its subfolder `data`, or train/*.parquet and
test/*.parquet."""

import hashlib
import re
from collections.abc import Sequence

from sgu.data.base import Source
from sgu.data.decode import decode_source
from sgu.data.tables import Table, Tables
from sgu.files.errors import DataError
from sgu.files.location import Location

TRAIN = ("train",)
HELDOUT = ("test", "validation")
TABLE = r".+\.parquet"
NUMBERED = re.compile(r"-(\d+)-of-(\d+)\.parquet$")


def holds_tables(folder: Location) -> bool:
    """Return True if a folder `train` holds tables, and not a directory for each class."""
    return any(re.fullmatch(TABLE, file.name) for file in folder.entries())


def read_shards(folder: Location, side: int | None = None) -> Source:
    """Return the data set in the folder. Raises DataError with the unfit file and row."""
    return read_parts(folder.name, _part(folder, TRAIN), _part(folder, HELDOUT), side)


def read_parts(name: str, train: Tables, heldout: Tables, side: int | None = None) -> Source:
    """Return the data set of a training and a held-out part."""
    first, *others = tables = [*train.tables, *heldout.tables]
    for other in others:
        if other.classes != first.classes:
            raise DataError(
                f"{other.file.shown}: its classes are {_listed(other.classes)}, those of "
                f"{first.file.shown} are {_listed(first.classes)}: take both from one data set"
            )
    _check_distinct(tables)
    return decode_source(name, train, heldout, first.classes, side)


def _part(folder: Location, names: tuple[str, ...]) -> Tables:
    """Return the shards of the first of `names` that has some."""
    for name in names:
        named, shown = rf"{name}(-.*)?\.parquet", f"{name}-*.parquet"
        for place, pattern, files in (
            (folder, named, shown),
            (folder.inside("data"), named, shown),
            (folder.inside(name), TABLE, "*.parquet"),
        ):
            if shards := [file for file in place.entries() if re.fullmatch(pattern, file.name)]:
                _check_numbers(shards)
                return Tables.of(shards, f"{place.shown}/{files}")
    patterns = " or ".join(f"{name}-*.parquet" for name in names)
    raise DataError(
        f"{folder.shown}: no {patterns}, nor in its data/; need tables of that name, or images "
        "as train/CLASS/FILE and test/CLASS/FILE"
    )


def _check_numbers(shards: Sequence[Location]) -> None:
    """Raise DataError if shards named -00001-of-00004 are incomplete or of several sets."""
    named = [(shard, match) for shard in shards if (match := NUMBERED.search(shard.name))]
    totals = {int(match[2]) for _, match in named}
    missing = set(range(max(totals, default=0))) - {int(match[1]) for _, match in named}
    if len(totals) > 1 or missing:
        problem = f"number {min(missing)} is missing" if missing else f"others say {min(totals)}"
        raise DataError(
            f"{named[-1][0].shown}: one of {max(totals)} shards; {problem}: fetch them again"
        )


def _check_distinct(tables: Sequence[Table]) -> None:
    """Raise DataError if two files have the same content, also under another name."""
    by_size: dict[tuple[int, int], list[Location]] = {}
    for table in tables:
        same_size = by_size.setdefault((table.file.info.size, table.count), [])
        for other in same_size:
            if _digest(table.file) == _digest(other):
                raise DataError(
                    f"{table.file.shown}: the same as {other.shown}, from row 0 on: delete one; "
                    "a held-out image must not be trained on"
                )
        same_size.append(table.file)


def _digest(file: Location) -> bytes:
    with file.opened() as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _listed(classes: tuple[str, ...] | None) -> str:
    return "not named" if classes is None else ", ".join(classes)
