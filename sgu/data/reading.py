"""From the parts of a folder to a source: what is left out of them, and what is held out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from sgu.data.base import Source, check_classes, class_numbers, make_source
from sgu.data.decode import EncodedImage, Part, decode, pixels
from sgu.data.examples import Examples
from sgu.data.splits.stratify import stratified_split
from sgu.files.errors import DataError

HOLDOUT_SEED = 0
NAMED = 10  # images that are left out are named up to this number


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a folder is read.

    side: cuts each image to a square of side x side pixels; without it all must have one shape.
    holdout: the share of each class that is held out, where the folder has no part for that.
    skip_corrupt: leaves out what cannot be decoded, and names it in a warning.
    """

    side: int | None = None
    holdout: float | None = None
    skip_corrupt: bool = False


AS_IT_IS = Reading()


@dataclass(frozen=True)
class Readable:
    """A part without the images at some positions."""

    part: Part
    skipped: frozenset[int]

    @property
    def where(self) -> str:
        return self.part.where

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for i, name in enumerate(self.part.names) if i not in self.skipped)

    @property
    def count(self) -> int:
        return self.part.count - len(self.skipped)

    def images(self) -> Iterator[EncodedImage]:
        return (image for i, image in enumerate(self.part.images()) if i not in self.skipped)

    def key(self) -> str:
        return f"{self.part.key()} without {sorted(self.skipped)}"


def decode_source(
    name: str,
    train: Part,
    heldout: Part | None,
    classes: tuple[str, ...] | None,
    how: Reading = AS_IT_IS,
) -> Source:
    """Return the source of two parts, or of one that is divided. classes: names, which bound the
    labels."""
    parts = [train, heldout] if heldout else [train]
    if how.skip_corrupt:
        parts = [_readable(part) for part in parts]
    decoded = decode(parts, len(classes) if classes else None, how.side)
    if heldout is None:
        parts, decoded = [*parts, *parts], _held_out(train.where, decoded[0], how.holdout or 0.0)
    first, second = decoded
    classes = classes or class_numbers(first.targets, second.targets)
    for part, examples in zip(parts, (first, second), strict=True):
        check_classes(part.where, examples.targets, classes)
    return make_source(name, first, second, classes)


def _readable(part: Part) -> Part:
    """Return the part without the images that cannot be decoded, which a warning names."""
    faults = dict[int, str]()
    for index, image in enumerate(part.images()):
        try:
            pixels(image.encoded, image.where)
        except DataError as error:
            faults[index] = str(error)
    if not faults:
        return part
    named = "; ".join([*faults.values()][:NAMED])
    more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    warnings.warn(f"left out {len(faults)} of {part.count} images: {named}{more}", stacklevel=4)
    return Readable(part, frozenset(faults))


def _held_out(where: str, whole: Examples, share: float) -> list[Examples]:
    """Return train and held-out examples, divided class by class, the same whatever the seed."""
    generator = torch.Generator().manual_seed(HOLDOUT_SEED)
    try:
        parts = stratified_split(whole.targets, (1 - share, share), generator, where)
    except ValueError as error:
        raise DataError(f"holdout = {share}: {error}") from error
    return [whole.take(part) for part in parts]
