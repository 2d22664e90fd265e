"""A data set of Parquet tables, as public hubs have them: train-*.parquet and test-*.parquet (or,
without it, validation-*.parquet), in a folder or in its subfolder `data`, or train/*.parquet and
test/*.parquet."""

import hashlib
import re
from collections.abc import Sequence

from sgu.data.base import Source
from sgu.data.reading import AS_IT_IS, Reading, decode_source
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


def read_shards(folder: Location, how: Reading) -> Source:
    """Return the data set in the folder. Raises DataError with the unfit file and row."""
    return read_parts(folder.name, *parts_of(folder, how), how)


def parts_of(folder: Location, how: Reading) -> tuple[Tables, Tables | None]:
    """Return the training and the held-out part; None for one that is to be divided off."""
    train = _part(folder, TRAIN)
    try:
        heldout = _part(folder, HELDOUT)
    except DataError as error:
        if how.holdout is None:
            raise DataError(f"{error}; or hold out a share of train: --holdout 0.2") from error
        return train, None
    if how.holdout is not None:
        raise DataError(f"holdout = {how.holdout}: {heldout.where} is held out: leave it out")
    return train, heldout


def read_parts(
    name: str,
    train: Tables,
    heldout: Tables | None,
    how: Reading = AS_IT_IS,
) -> Source:
    """Return the data set of a training and a held-out part."""
    classes = check_tables([*train.tables, *(heldout.tables if heldout else [])])
    return decode_source(name, train, heldout, classes, how)


def check_tables(tables: Sequence[Table]) -> tuple[str, ...] | None:
    """Return the classes' names, if any. Raises DataError where tables name other classes, or are
    one table twice."""
    first, *others = tables
    for other in others:
        if other.classes != first.classes:
            raise DataError(
                f"{other.file.shown}: its classes are {_listed(other.classes)}, those of "
                f"{first.file.shown} are {_listed(first.classes)}: take both from one data set"
            )
    _check_distinct(tables)
    return first.classes


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
