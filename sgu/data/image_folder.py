"""A data set of image files, one directory a class: train/CLASS/FILE and test/CLASS/FILE (or val,
or validation). Classes are numbered, and files read, in the order of their names."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from sgu.data.base import Source
from sgu.data.decode import EncodedImage, decode_source
from sgu.files.errors import DataError
from sgu.files.location import Location, reaching

HELDOUT = ("test", "val", "validation")
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class ClassFolders:
    """A folder with a directory of images for each class. names: file names of each, in order."""

    place: Location
    names: Mapping[str, list[str]]

    @property
    def where(self) -> str:
        return self.place.shown

    @cached_property
    def count(self) -> int:
        return sum(map(len, self.names.values()))

    def files(self) -> Iterator[tuple[Location, int]]:
        """Yield each file and its label."""
        for label, (class_name, names) in enumerate(self.names.items()):
            folder = self.place.inside(class_name)
            for name in names:
                yield folder.inside(name), label

    def images(self) -> Iterator[EncodedImage]:
        for file, label in self.files():
            with file.opened() as stream:
                encoded = stream.read()
            yield EncodedImage(file.shown, encoded, label)

    def key(self) -> str:
        return "\n".join(f"{file.key()} {label}" for file, label in self.files())


def read_image_folder(folder: Location, side: int | None = None) -> Source:
    """Return the data set in the folder. Raises DataError with the unfit file."""
    heldouts = [place for name in HELDOUT if (place := folder.inside(name)).is_folder]
    if not heldouts:
        raise DataError(f"{folder.shown}: has train but none of {', '.join(HELDOUT)}: add one")
    train, heldout = _part(folder.inside("train")), _part(heldouts[0])
    for part, other in ((train, heldout), (heldout, train)):
        if extra := sorted(part.names.keys() - other.names.keys()):
            raise DataError(
                f"{part.where}/{extra[0]}: a class that {other.where} lacks: add images of it "
                "there, or delete this directory"
            )
    _check_distinct(train, heldout)
    source = decode_source(folder.name, train, heldout, tuple(train.names), side)
    names = tuple(f"{label}/{file}" for label, files in train.names.items() for file in files)
    return replace(source, train=replace(source.train, names=names))


def _part(folder: Location) -> ClassFolders:
    directories = folder.entries()
    for directory in directories:
        if not directory.is_folder:
            raise DataError(f"{directory.shown}: is no directory of a class: move it into one")
    if not directories:
        raise DataError(f"{folder.shown}: empty; need one directory of images for each class")
    return ClassFolders(folder, {place.name: _image_names(place) for place in directories})


def _image_names(folder: Location) -> list[str]:
    files = folder.entries()
    for file in files:
        if not file.name.lower().endswith(SUFFIXES):
            raise DataError(
                f"{file.shown}: no image by its name; need {', '.join(SUFFIXES)}: move it away"
            )
    if not files:
        raise DataError(f"{folder.shown}: no image of this class: add some, or delete the class")
    return [file.name for file in files]


def _check_distinct(*parts: ClassFolders) -> None:
    """Raise DataError if a link makes one local file two examples, perhaps trained on and judged.

    Equal images in several files are allowed: published sets have them.
    """
    names: dict[tuple[int, int], str] = {}
    for file, _ in (pair for part in parts if part.place.local for pair in part.files()):
        with reaching(file.shown):
            status = os.stat(file.path)
        other = names.setdefault((status.st_dev, status.st_ino), file.shown)
        if other != file.shown:
            raise DataError(f"{file.shown}: the same file as {other}, by a link: delete one")
