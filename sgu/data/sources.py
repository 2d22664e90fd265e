"""Data sources by name, or from the user's own folder."""

import difflib
import re
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from pathlib import Path

from sgu.data.base import Source, keep_balanced, keep_classes, make_source
from sgu.data.examples import Examples
from sgu.data.image_folder import holds_images, read_image_folder
from sgu.data.reading import Reading
from sgu.data.shards import holds_tables, read_parts, read_shards
from sgu.data.tables import Tables
from sgu.files.errors import DataError
from sgu.files.location import Location

__all__ = ["SOURCES", "Examples", "Source", "load_source", "make_source"]

EMBEDDED = Path(__file__).parent / "embedded"
RESIZED = re.compile(r"(.+)@([1-9]\d*)")


def load_source(
    data: str,
    subset: int | None = None,
    classes: int | None = None,
    *,
    holdout: float | None = None,
    skip_corrupt: bool = False,
) -> Source:
    """Return a registered source, or the one in a folder of Parquet image tables or of images.

    data: a key of SOURCES; or the path or address (file://, s3://, gs://, hdfs://) of a folder with
        train-*.parquet and test-*.parquet (or train/*.parquet and test/*.parquet), or with
        train/CLASS/FILE and test/CLASS/FILE, or with CLASS/FILE. With
        `@64` after it, each image is cut to a square and resized to 64 pixels.
    subset: keep this many train examples, class-balanced, and half as many held-out ones (fewer
        where there are fewer); the choice is a pure function of the source and `subset`.
    classes: keep only the first `classes` classes; `subset` is taken from those.
    holdout: of a folder without test: the share of each class that is held out; a pure function of
        the images. skip_corrupt: leave out images that cannot be decoded, and warn of each.
    Raises DataError, naming file and row, for anything that cannot be used.
    """
    if data in SOURCES:
        if holdout is not None or skip_corrupt:
            raise DataError(f"{data}: holdout and skip_corrupt are for folders: leave them out")
        source = SOURCES[data]()
    else:
        source = _from_folder(data, holdout, skip_corrupt)
    source = source if classes is None else keep_classes(source, classes)
    return source if subset is None else keep_balanced(source, subset)


@cache
def _embedded() -> Source:
    """Return the embedded data, decoded once in a process: it takes a second."""
    train, heldout = (
        Tables.of([Location.at(EMBEDDED / f"{part}.parquet")]) for part in ("train", "heldout")
    )
    return read_parts("embedded", train, heldout)


def _from_folder(data: str, holdout: float | None, skip_corrupt: bool) -> Source:
    folder, side = located(data)
    how = Reading(side=side, holdout=holdout, skip_corrupt=skip_corrupt)
    return (read_image_folder if is_of_images(folder) else read_shards)(folder, how)


def is_of_images(folder: Location) -> bool:
    """Return True for a folder of image files, by class; False for one of tables."""
    train = folder.inside("train")
    return not holds_tables(train) if train.is_folder else holds_images(folder)


def located(data: str) -> tuple[Location, int | None]:
    """Return a folder, and the pixels of a side if `@64` follows its name.

    Raises DataError, with similar names of sources, if there is no such folder.
    """
    folder, side = Location.at(data), None
    resized = RESIZED.fullmatch(data)
    if resized and not folder.is_folder:
        folder, side = Location.at(resized[1]), int(resized[2])
    if folder.is_folder:
        return folder, side
    close = difflib.get_close_matches(data, SOURCES, n=2)
    guess = f" (did you mean {' or '.join(close)}?)" if close else ""
    raise DataError(
        f"{data}: no such folder or source{guess}; give a folder of Parquet image tables or of "
        f"images (a directory for each class), or one of {', '.join(SOURCES)}"
    )


def _late(module: str, name: str) -> Source:
    """Load a source whose libraries take seconds to import and are seldom needed."""
    return getattr(import_module(f"sgu.data.{module}"), name)()


SOURCES: dict[str, Callable[[], Source]] = {
    "embedded": _embedded,
    **{name: partial(_late, "published", name) for name in ("cifar10", "cifar100", "svhn")},
    "newsgroups": partial(_late, "newsgroups", "newsgroups"),
}
