"""From encoded images, read one by one, to examples: in memory, or in a file if they are too large.

Memory is bounded: besides the examples there is one image at a time, and what the reader holds.
"""

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np
import PIL
import torch
from PIL import Image, UnidentifiedImageError

from sgu.data.base import Source, check_classes, class_numbers, make_source
from sgu.data.examples import Examples
from sgu.data.memmap import memory_limit, store
from sgu.files.errors import DataError

DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
# no format that runs another program to be read
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # modes with more than 8 bits a channel


class Row(NamedTuple):
    """An encoded image and its label as they were read; where: file and row, for errors."""

    where: str
    encoded: bytes | None
    label: int | None


class Part(Protocol):
    """One part of a data set, training or held-out: its rows can be read again and again.

    where: the files, for errors; key: changes where their content does.
    """

    @property
    def where(self) -> str: ...

    @property
    def count(self) -> int: ...

    def rows(self) -> Iterator[Row]: ...

    def key(self) -> str: ...


@dataclass(frozen=True)
class Form:
    """What all images of a source are. shape: (C, H, W); count: of all parts together;
    num_classes: where it is known; side: to which each is resized."""

    shape: tuple[int, ...]
    count: int
    num_classes: int | None
    side: int | None


def decode_source(
    name: str, train: Part, heldout: Part, classes: tuple[str, ...] | None, side: int | None = None
) -> Source:
    """The source of two parts. classes: names, which bound the labels; side: see decode."""
    parts = (train, heldout)
    first, second = decode(parts, len(classes) if classes else None, side)
    classes = classes or class_numbers(first.targets, second.targets)
    for part, examples in zip(parts, (first, second), strict=True):
        check_classes(part.where, examples.targets, classes)
    return make_source(name, first, second, classes)


def decode(
    parts: Sequence[Part], num_classes: int | None = None, side: int | None = None
) -> list[Examples]:
    """The parts as examples: on disk, if together they exceed the memory limit.

    num_classes: bounds the labels, where it is known.
    side: makes each image a square of so many pixels; without it all must have one shape.
    Raises DataError, naming file and row, for anything that cannot be used.
    """
    for part in parts:
        if part.count == 0:
            raise DataError(f"{part.where}: no rows; need at least one image a class")
    first = next(parts[0].rows())
    shape = pixels(first.encoded, first.where, side).shape
    form = Form(shape, sum(part.count for part in parts), num_classes, side)
    read = _stored if form.count * math.prod(shape) > memory_limit() else _resident
    return [read(part, form) for part in parts]


def pixels(encoded: bytes | None, where: str, side: int | None = None) -> np.ndarray:
    """One encoded image as uint8 (C, H, W); C is 1 for a grey image, else 3."""
    if encoded is None:
        raise DataError(f"{where}: no image: drop the row")
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            mode = image.mode
            drawn = image.convert("L" if mode in ("1", "L", "LA") else "RGB")
            drawn = drawn if side is None else _square(drawn, side)
    except UnidentifiedImageError as error:
        raise DataError(
            f"{where}: no image of a known format; need {', '.join(FORMATS)}: drop or replace it"
        ) from error
    except DECODING_ERRORS as error:
        raise DataError(f"{where}: corrupt image ({error}): drop or replace it") from error
    if mode in DEEP:
        raise DataError(f"{where}: image of mode {mode}; need 8 bits a channel: convert it")
    array = np.asarray(drawn)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _square(image: Image.Image, side: int) -> Image.Image:
    """The centre of the image, as large as it goes, in side x side pixels."""
    width, height = image.size
    cut = min(width, height)
    left, top = (width - cut) / 2, (height - cut) / 2
    box = (left, top, left + cut, top + cut)
    return image.resize((side, side), Image.Resampling.BILINEAR, box)


def _decoded(part: Part, form: Form) -> Iterator[tuple[np.ndarray, int]]:
    """Pixels, uint8 (C, H, W), and target of each row, checked."""
    read = 0
    for read, row in enumerate(part.rows(), 1):
        if read > part.count:
            break
        image = pixels(row.encoded, row.where, form.side)
        if len(image) == 1 and form.shape[0] == 3:
            image = image.repeat(3, 0)
        if image.shape != form.shape:
            raise DataError(
                f"{row.where}: image (C, H, W) {image.shape} among {form.shape}: resize to one"
            )
        yield image, _target(row, form)
    if read != part.count:
        raise DataError(f"{part.where}: changed while it was read: leave it alone and read again")


def _target(row: Row, form: Form) -> int:
    classes = form.num_classes or form.count  # there are no more classes than rows
    if row.label is None or not 0 <= row.label < classes:
        shown = "null" if row.label is None else row.label
        highest = classes - 1 if form.num_classes else f"C-1 of C classes, C <= {classes} rows"
        raise DataError(f"{row.where}: label {shown}; need 0..{highest}: drop or correct the row")
    return row.label


def _resident(part: Part, form: Form) -> Examples:
    inputs = np.empty((part.count, *form.shape), np.uint8)
    targets = np.empty(part.count, np.int64)
    for row, (image, target) in enumerate(_decoded(part, form)):
        inputs[row], targets[row] = image, target
    return Examples(torch.from_numpy(inputs), torch.from_numpy(targets))


def _stored(part: Part, form: Form) -> Examples:
    def fill(file: BinaryIO) -> np.ndarray:
        targets = np.empty(part.count, np.int64)
        for row, (image, target) in enumerate(_decoded(part, form)):
            file.write(image.tobytes())
            targets[row] = target
        return targets

    key = f"{part.key()} {form} pillow {PIL.__version__}"
    return Examples.mapped(store(key, (part.count, *form.shape), np.uint8, fill))
