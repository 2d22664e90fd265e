"""A look at a folder of images before anything is trained: all its faults, not the first alone.

The readers of `sgu.data` refuse the first fault. Here they tell each, and every image is decoded.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from PIL import Image, ImageDraw

from sgu.data import image_folder, shards
from sgu.data.decode import Part, check_label, pixels, square
from sgu.data.image_folder import ClassFolders
from sgu.data.reading import Reading
from sgu.data.sources import SOURCES, is_of_images, located
from sgu.files.errors import DataError
from sgu.files.location import Location

THUMBNAIL, SAMPLES, SHOWN = 64, 10, 24  # pixels a side, images a class, classes at most
FEWEST = {"train": 5, "test": 3}  # images of a class that the default splits take
CHANNELS = {1: "grey", 3: "colour"}


@dataclass(eq=False)
class Checked:
    """What a folder holds, and what is wrong with it.

    counts: images by part and class; sizes: images by (width, height), as a viewer sees them;
    channels: images by grey and colour; faults: why it cannot be used; notes: what it can be used
    with, and should be known; samples: thumbnails of train, by class.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    channels: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    samples: dict[str, list[Image.Image]] = field(default_factory=lambda: defaultdict(list))

    @property
    def classes(self) -> list[str]:
        """Return the names of all classes, in the order in which they were seen."""
        return list(dict.fromkeys(label for counts in self.counts.values() for label in counts))

    def sheet(self) -> Image.Image:
        """Return a picture of the samples: a line a class, with its name."""
        names, line = list(self.samples)[:SHOWN], THUMBNAIL + 4
        sheet = Image.new("RGB", (120 + SAMPLES * line, max(1, len(names)) * line), "white")
        for row, name in enumerate(names):
            ImageDraw.Draw(sheet).text((4, row * line + THUMBNAIL / 2), name[:18], "black")
            for column, image in enumerate(self.samples[name]):
                sheet.paste(image, (120 + column * line, row * line + 2))
        return sheet


@dataclass(frozen=True)
class Seen:
    """One image: its part, its class and its file or row."""

    part: str
    label: str
    where: str


def check_folder(data: str, holdout: float | None = None) -> Checked:
    """Return what a folder of images or of tables holds, and all its faults.

    data: a folder, with `@64` after its name where images are resized; holdout: the share that will
    be held out. Raises DataError if there is no such folder.
    """
    if data in SOURCES:
        raise DataError(f"{data}: comes with the product, and is checked: give a folder")
    (folder, side), checked = located(data), Checked()
    same = defaultdict[bytes, list[Seen]](list)
    try:
        parts, classes = _parts(folder, Reading(side=side, holdout=holdout), checked)
        for name, part in parts.items():
            _look(checked, same, name, part, classes)
    except DataError as error:  # of tables that cannot be read on
        checked.faults.append(str(error))
    checked.faults += [*_too_few(checked, holdout), *_of_sizes(checked, data, side)]
    checked.notes += [*_twice(same), *_of_names(checked)]
    return checked


def _parts(
    folder: Location, how: Reading, checked: Checked
) -> tuple[dict[str, Part], tuple[str, ...] | None]:
    """Return the parts by name, and the classes' names where tables have some."""
    if is_of_images(folder):
        return _named(*image_folder.parts_of(folder, how, checked.faults.append)), None
    train, heldout = shards.parts_of(folder, how)
    tables = [*train.tables, *(heldout.tables if heldout else [])]
    return _named(train, heldout), shards.check_tables(tables)


def _named(train: Part, heldout: Part | None) -> dict[str, Part]:
    return {"train": train} | ({"test": heldout} if heldout else {})


def _look(
    checked: Checked,
    same: defaultdict[bytes, list[Seen]],
    name: str,
    part: Part,
    classes: tuple[str, ...] | None,
) -> None:
    """Decode every image of a part, and count. same: images by a digest of their pixels."""
    of_folder = tuple(part.classes) if isinstance(part, ClassFolders) else classes
    counts = checked.counts[name] = Counter(dict.fromkeys(of_folder or (), 0))
    for image in part.images():
        try:
            check_label(image, part, len(of_folder) if of_folder else None)
            array = pixels(image.encoded, image.where)
        except DataError as error:
            checked.faults.append(str(error))
            continue
        label = of_folder[image.label or 0] if of_folder else str(image.label)
        counts[label] += 1
        _add(checked, array, label if name == "train" else None)
        digest = blake2b(array.tobytes(), digest_size=16, key=str(array.shape).encode()).digest()
        same[digest].append(Seen(name, label, image.where))


def _add(checked: Checked, array: np.ndarray, label: str | None) -> None:
    """Count an image's size and channels. label: of one that may be a sample."""
    checked.sizes[array.shape[2], array.shape[1]] += 1
    checked.channels[CHANNELS[len(array)]] += 1
    if label is not None and len(checked.samples[label]) < SAMPLES:
        image = Image.fromarray(np.broadcast_to(array, (3, *array.shape[1:])).transpose(1, 2, 0))
        checked.samples[label].append(square(image, THUMBNAIL))


def _too_few(checked: Checked, holdout: float | None) -> Iterator[str]:
    """Yield the classes of which a part has too few images to be split."""
    for name, counts in checked.counts.items():
        for label in checked.classes:
            count = counts[label]
            if not count:
                if not any(f"/{label}: " in fault for fault in checked.faults):
                    yield f"{name}, class {label}: no image: add some, or drop the class"
            elif count < FEWEST[name]:
                yield f"{name}, class {label}: {count} of {FEWEST[name]} images needed: add some"
            elif "test" not in checked.counts and round((holdout or 1) * count) < FEWEST["test"]:
                yield (
                    f"{name}, class {label}: {holdout} of {count} images are too few to be held "
                    f"out; need {FEWEST['test']}: add some, or hold out more"
                )


def _of_sizes(checked: Checked, data: str, side: int | None) -> Iterator[str]:
    """Yield a fault if images are of several sizes, or not square, and are not resized."""
    if side is None and len(checked.sizes) > 1:
        yield f"{len(checked.sizes)} sizes of images: resize all to one, or say {data}@64"
    elif side is None and any(width != height for width, height in checked.sizes):
        yield f"images are not square: crop them, or say {data}@64 for their centre"


def _twice(same: Mapping[bytes, list[Seen]]) -> Iterator[str]:
    """Yield the images that are there more than once."""
    for images in same.values():
        if len(images) > 1:
            across = len({image.part for image in images}) > 1
            labels = dict.fromkeys(image.label for image in images)
            where = "across train and test" if across else f"within {images[0].part}"
            as_classes = f", as {' and as '.join(labels)}" if len(labels) > 1 else ""
            files = " = ".join(image.where for image in images)
            yield f"one picture {len(images)} times {where}{as_classes}: {files}"


def _of_names(checked: Checked) -> Iterator[str]:
    """Yield classes that differ in case or spaces alone, and grey images among coloured ones."""
    by_word = defaultdict[str, list[str]](list)
    for label in checked.classes:
        by_word[label.strip().lower()].append(label)
    for names in by_word.values():
        if len(names) > 1:
            yield f"classes {' and '.join(map(repr, names))} differ in case or spaces alone"
    if len(checked.channels) > 1:
        grey = checked.channels["grey"]
        yield f"grey images among coloured ones, which count as coloured: {grey:,}"
