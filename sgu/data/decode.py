"""Decoding: encoded images, read one by one, become examples in memory or, if too large, on disk.

Memory is bounded: besides the examples it holds one image, and what the reader holds.
"""

import io
import math
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np
import PIL
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from sgu.data.examples import Examples
from sgu.data.memmap import memory_limit, write_once
from sgu.files.errors import DataError

DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
# none of these formats runs another program
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # modes with more than 8 bits a channel
GREY = ("1", "L", "LA")  # modes without colour
RULES = "upright, on white"  # how images are decoded: other rules are other decoded sets


class EncodedImage(NamedTuple):
    """An encoded image and its label as they were read; where: file and row, for errors."""

    where: str
    encoded: bytes | None
    label: int | None


class Part(Protocol):
    """A training or held-out part of a data set, whose images can be read more than once.

    where: the files, for errors; names: of the images' files, as CLASS/FILE, () for tables; key:
    changes when their content does.
    """

    @property
    def where(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def count(self) -> int: ...

    def images(self) -> Iterator[EncodedImage]: ...

    def key(self) -> str: ...


@dataclass(frozen=True)
class Form:
    """The common form of a source's images. shape: (C, H, W); count: images in all parts;
    num_classes: if known; side: pixels to which each is resized. Decoded sets are named by it."""

    shape: tuple[int, ...]
    count: int
    num_classes: int | None
    side: int | None


def decode(
    parts: Sequence[Part], num_classes: int | None = None, side: int | None = None
) -> list[Examples]:
    """Return the parts as examples, on disk if together they exceed the memory limit.

    num_classes: bounds the labels, if known; side: as of a `Reading`.
    Raises DataError, naming file and row, for anything that cannot be used.
    """
    for part in parts:
        if part.count == 0:
            raise DataError(f"{part.where}: no rows; need at least one image of each class")
    first = next(parts[0].images())
    channels, *sides = pixels(first.encoded, first.where, side).shape
    shape = (3 if channels == 1 and _any_coloured(parts) else channels, *sides)
    form = Form(shape, sum(part.count for part in parts), num_classes, side)
    large = form.count * math.prod(shape) > memory_limit()
    return [(_to_disk if large else _to_memory)(part, form) for part in parts]


def pixels(encoded: bytes | None, where: str, side: int | None = None) -> np.ndarray:
    """Return an encoded image, as a viewer shows it, as uint8 (C, H, W).

    C is 1 for a grey image, otherwise 3. side: as of a `Reading`. Raises DataError.
    """
    if encoded is None:
        raise DataError(f"{where}: no image: drop the row")
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            mode = image.mode
            decoded = _on_white(_upright(image)).convert("L" if mode in GREY else "RGB")
            decoded = decoded if side is None else square(decoded, side)
    except UnidentifiedImageError as error:
        raise DataError(
            f"{where}: no image of a known format; need {', '.join(FORMATS)}: drop or replace it"
        ) from error
    except DECODING_ERRORS as error:
        raise DataError(f"{where}: corrupt image ({error}): drop or replace it") from error
    if mode in DEEP:
        raise DataError(f"{where}: image of mode {mode}; need 8 bits a channel: convert it")
    array = np.asarray(decoded)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def check_label(image: EncodedImage, part: Part, num_classes: int | None) -> None:
    """Raise DataError for a label that an image of the part cannot have."""
    _target(image, Form((), part.count, num_classes, None))


def _any_coloured(parts: Sequence[Part]) -> bool:
    """Return True if any image has colours, by its header; one that cannot be read has none."""
    return any(_mode(image.encoded) not in GREY for part in parts for image in part.images())


def _mode(encoded: bytes | None) -> str:
    try:
        with Image.open(io.BytesIO(encoded or b""), formats=FORMATS) as image:
            return image.mode
    except DECODING_ERRORS:  # also of an unknown format: decoding it names the file
        return "L"


def _upright(image: Image.Image) -> Image.Image:
    """Return the image turned as its Exif says; as it is stored, if that cannot be read."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return ImageOps.exif_transpose(image)
    except (*DECODING_ERRORS, struct.error, TypeError, KeyError):
        return image


def _on_white(image: Image.Image) -> Image.Image:
    """Return the image on white where it is transparent: the colours below are seen by nobody."""
    if not image.has_transparency_data:
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA"))


def square(image: Image.Image, side: int) -> Image.Image:
    """Return the largest square in the centre of the image, in side x side pixels."""
    width, height = image.size
    size = min(width, height)
    left, top = (width - size) / 2, (height - size) / 2
    box = (left, top, left + size, top + size)
    return image.resize((side, side), Image.Resampling.BILINEAR, box)


def _decoded(part: Part, form: Form) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the pixels, uint8 (C, H, W), and the target of each image, checked."""
    count = 0
    for count, image in enumerate(part.images(), 1):
        if count > part.count:
            break
        decoded = pixels(image.encoded, image.where, form.side)
        if len(decoded) == 1 and form.shape[0] == 3:
            decoded = decoded.repeat(3, 0)
        if decoded.shape != form.shape:
            raise DataError(
                f"{image.where}: image (C, H, W) {decoded.shape} among {form.shape}: resize all to "
                "one size, or add @64 to the folder's name for the centre in 64 x 64 pixels"
            )
        yield decoded, _target(image, form)
    if count != part.count:
        raise DataError(f"{part.where}: changed while it was read: leave it alone and read again")


def _target(image: EncodedImage, form: Form) -> int:
    classes = form.num_classes or form.count  # there are no more classes than images
    if image.label is None or not 0 <= image.label < classes:
        label = "null" if image.label is None else image.label
        highest = classes - 1 if form.num_classes else f"C-1 of C classes, C <= {classes} rows"
        raise DataError(f"{image.where}: label {label}; need 0..{highest}: drop or correct the row")
    return image.label


def _to_memory(part: Part, form: Form) -> Examples:
    inputs = np.empty((part.count, *form.shape), np.uint8)
    targets = np.empty(part.count, np.int64)
    for index, (image, target) in enumerate(_decoded(part, form)):
        inputs[index], targets[index] = image, target
    return Examples(torch.from_numpy(inputs), torch.from_numpy(targets), names=part.names)


def _to_disk(part: Part, form: Form) -> Examples:
    def write(file: BinaryIO) -> np.ndarray:
        targets = np.empty(part.count, np.int64)
        for index, (image, target) in enumerate(_decoded(part, form)):
            file.write(image.tobytes())
            targets[index] = target
        return targets

    key = f"{part.key()} {form} pillow {PIL.__version__} {RULES}"
    file = write_once(key, (part.count, *form.shape), np.uint8, write)
    return Examples.mapped(file, names=part.names)
