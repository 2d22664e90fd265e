"""A data set of image files, one directory a class: FOLDER/train/CLASS/FILE and FOLDER/test/CLASS/
FILE (or val, or validation). Classes are numbered, and files read, in the order of their names."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from sgu.data.base import Source
from sgu.data.decode import Row, decode_source
from sgu.files.errors import DataError
from sgu.files.location import Location, reaching

HELDOUT = ("test", "val", "validation")
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Folder:
    """The images below a folder. names: of the files of each class, in order."""

    place: Location
    names: Mapping[str, list[str]]

    @property
    def where(self) -> str:
        return self.place.shown

    @cached_property
    def count(self) -> int:
        return sum(map(len, self.names.values()))

    def files(self) -> Iterator[tuple[Location, int]]:
        """Each file and its label."""
        for label, (kind, names) in enumerate(self.names.items()):
            folder = self.place.inside(kind)
            for name in names:
                yield folder.inside(name), label

    def rows(self) -> Iterator[Row]:
        for file, label in self.files():
            with file.opened() as stream:
                image = stream.read()
            yield Row(file.shown, image, label)

    def key(self) -> str:
        return "\n".join(f"{file.key()} {label}" for file, label in self.files())


def is_image_folder(folder: Location) -> bool:
    return folder.inside("train").is_folder


def read_image_folder(folder: Location, side: int | None = None) -> Source:
    """The data set in the folder. Raises DataError, naming the file, for what is unfit."""
    found = [place for name in HELDOUT if (place := folder.inside(name)).is_folder]
    if not found:
        raise DataError(f"{folder.shown}: has train but none of {', '.join(HELDOUT)}: add one")
    train, heldout = _part(folder.inside("train")), _part(found[0])
    for part, other in ((train, heldout), (heldout, train)):
        if extra := sorted(part.names.keys() - other.names.keys()):
            raise DataError(
                f"{part.where}/{extra[0]}: a class that {other.where} lacks: add images of it "
                "there, or delete this directory"
            )
    _check_distinct(train, heldout)
    return decode_source(folder.name, train, heldout, tuple(train.names), side)


def _part(folder: Location) -> Folder:
    kinds = folder.entries()
    for kind in kinds:
        if not kind.is_folder:
            raise DataError(f"{kind.shown}: is no directory of a class: move it into one")
    if not kinds:
        raise DataError(f"{folder.shown}: empty; need one directory of images a class")
    return Folder(folder, {kind.name: _images(kind) for kind in kinds})


def _images(folder: Location) -> list[str]:
    files = folder.entries()
    for file in files:
        if not file.name.lower().endswith(SUFFIXES):
            raise DataError(
                f"{file.shown}: no image by its name; need {', '.join(SUFFIXES)}: move it away"
            )
    if not files:
        raise DataError(f"{folder.shown}: no image of this class: add some, or drop it from all")
    return [file.name for file in files]


def _check_distinct(*parts: Folder) -> None:
    """No file of this machine twice, by a link: it would count twice, or be trained on and judged.

    Equal images in several files are let be: published sets have them.
    """
    seen: dict[tuple[int, int], str] = {}
    for file, _ in (each for part in parts if part.place.local for each in part.files()):
        with reaching(file.shown):
            status = os.stat(file.path)
        other = seen.setdefault((status.st_dev, status.st_ino), file.shown)
        if other != file.shown:
            raise DataError(f"{file.shown}: the same file as {other}, by a link: delete one")
