"""A data set of image files, one directory a class: train/CLASS/FILE and test/CLASS/FILE (or val,
or validation); or train/CLASS/FILE alone, or CLASS/FILE, of which a share is held out. Classes are
numbered, and files read, in the order of their names."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from sgu.data.base import Source
from sgu.data.decode import EncodedImage
from sgu.data.reading import Reading, decode_source
from sgu.files.errors import DataError
from sgu.files.location import Location, reaching

HELDOUT = ("test", "val", "validation")
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")

NO_FAULT = ("Thumbs.db", "desktop.ini")
"""What Windows puts beside pictures; macOS's files begin with a dot, and are not seen."""

Tell = Callable[[str], object]
"""Told each fault of a folder; it may raise, and else the fault is passed over."""


def refuse(fault: str) -> NoReturn:
    raise DataError(fault)


@dataclass(frozen=True)
class ClassFolders:
    """A folder with a directory of images for each class. classes: file names of each, in order."""

    place: Location
    classes: Mapping[str, list[str]]

    @property
    def where(self) -> str:
        return self.place.shown

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{label}/{file}" for label, files in self.classes.items() for file in files)

    @property
    def count(self) -> int:
        return len(self.names)

    def files(self) -> Iterator[tuple[Location, int]]:
        """Yield each file and its label."""
        for label, (class_name, names) in enumerate(self.classes.items()):
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


def read_image_folder(folder: Location, how: Reading) -> Source:
    """Return the data set in the folder. Raises DataError with the unfit file."""
    train, heldout = parts_of(folder, how)
    return decode_source(folder.name, train, heldout, tuple(train.classes), how)


def holds_images(folder: Location) -> bool:
    """Return True if a directory in the folder holds an image, by its name."""
    return any(
        _is_image(file) for place in folder.entries() if place.is_folder for file in place.entries()
    )


def parts_of(
    folder: Location, how: Reading, tell: Tell = refuse
) -> tuple[ClassFolders, ClassFolders | None]:
    """Return the training and the held-out part; None for one that is to be divided off."""
    train, apart = folder.inside("train"), list[Location]()
    if train.is_folder:
        apart = [place for name in HELDOUT if (place := folder.inside(name)).is_folder]
    skip = _leave_out if how.skip_corrupt and tell is refuse else tell
    first = _part(train if train.is_folder else folder, tell, skip, train.is_folder)
    if not apart:
        if how.holdout is None:
            tell(
                f"{folder.shown}: has none of {', '.join(HELDOUT)}: add one as test/CLASS/FILE, "
                "or hold out a share of the images: --holdout 0.2"
            )
        _check_distinct(tell, first)
        return first, None
    if how.holdout is not None:
        tell(f"holdout = {how.holdout}: {apart[0].shown} is held out: leave it out")
    second = _part(apart[0], tell, skip)
    for part, other in ((first, second), (second, first)):
        for extra in sorted(part.classes.keys() - other.classes.keys()):
            tell(
                f"{part.where}/{extra}: a class that {other.where} lacks: add images of it "
                "there, or delete this directory"
            )
    _check_distinct(tell, first, second)
    return first, second


def _part(folder: Location, tell: Tell, skip: Tell, apart: bool = True) -> ClassFolders:
    """Return a part. skip: told what is no image, and left out; apart: False for a folder of
    classes alone, in which other files may lie beside them."""
    directories = [place for place in folder.entries() if place.is_folder]
    for place in folder.entries():
        if not place.is_folder and (apart or _is_image(place)):
            tell(f"{place.shown}: is no directory of a class: move it into one")
    if not directories:
        tell(f"{folder.shown}: empty; need one directory of images for each class")
    return ClassFolders(folder, {p.name: _image_names(p, tell, skip) for p in directories})


def _image_names(folder: Location, tell: Tell, skip: Tell) -> list[str]:
    images = list[str]()
    for file in folder.entries():
        if file.is_folder:
            skip(f"{file.shown}: a folder in a class, which is not read: move its images up")
        elif _is_image(file):
            images.append(file.name)
        elif file.name not in NO_FAULT:
            need = ", ".join(SUFFIXES)
            skip(f"{file.shown}: no image by its name; need {need}: move it away")
    if not images:
        tell(f"{folder.shown}: no image of this class: add some, or delete the class")
    return images


def _leave_out(fault: str) -> None:
    warnings.warn(f"left out {fault}", stacklevel=2)


def _is_image(file: Location) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def _check_distinct(tell: Tell, *parts: ClassFolders) -> None:
    """Tell if a link makes one local file two examples, perhaps trained on and judged.

    Equal images in several files are allowed: published sets have them.
    """
    names: dict[tuple[int, int], str] = {}
    for file, _ in (pair for part in parts if part.place.local for pair in part.files()):
        with reaching(file.shown):
            status = os.stat(file.path)
        other = names.setdefault((status.st_dev, status.st_ino), file.shown)
        if other != file.shown:
            tell(f"{file.shown}: the same file as {other}, by a link: delete one")
