"""A data source: a checked training and held-out set with one fingerprint."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from sgu.data.examples import Examples, Shape
from sgu.files.errors import DataError

SUBSET_SEED = 0


@dataclass(frozen=True, eq=False)
class Source:
    """A data set in two parts. fingerprint: 16 hex digits over all inputs and targets;
    vocabulary: the number of tokens (0 for images)."""

    name: str
    train: Examples
    heldout: Examples
    classes: tuple[str, ...]
    fingerprint: str
    vocabulary: int = 0

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def named(self, label: int) -> str:
        """Return a label with its class's name, such as "3 (cat)"; "3" if that is its name."""
        name = self.classes[label]
        return name if name == str(label) else f"{label} ({name})"

    @property
    def shape(self) -> Shape:
        """Return the shape of data that a network for this source is built for."""
        if self.vocabulary:
            length = self.train.inputs.shape[1]
            return Shape(self.num_classes, vocabulary=self.vocabulary, length=length)
        _, channels, side, _ = self.train.inputs.shape
        return Shape(self.num_classes, channels, side)


def make_source(
    name: str,
    train: Examples,
    heldout: Examples,
    classes: tuple[str, ...] | None = None,
    vocabulary: int = 0,
) -> Source:
    """Return a source, checked: both parts have all classes, no other label, inputs of one shape.

    classes: names, by default "0".."C-1" with C from the largest label.
    vocabulary: tokens are 0..vocabulary-1; 0 for images.
    Raises DataError.
    """
    shapes = [tuple(part.inputs.shape[1:]) for part in (train, heldout)]
    if shapes[0] != shapes[1]:
        raise DataError(f"{name}: train inputs are {shapes[0]}, held-out {shapes[1]}: resize one")
    classes = classes or class_numbers(train.targets, heldout.targets)
    for part, examples in (("train", train), ("held-out", heldout)):
        _check_inputs(f"{name}, {part}", examples.inputs, vocabulary)
        check_classes(f"{name}, {part}", examples.targets, classes)
    return Source(name, train, heldout, classes, fingerprint(train, heldout), vocabulary)


def balanced(targets: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` ascending indices into targets (N,), the same number of each class (+- 1).

    Raises DataError if a class is too small, or would get none.
    """
    labels, sizes = targets.unique(return_counts=True)
    share, extra = divmod(count, len(labels))
    need, limit = share + (extra > 0), int(sizes.min())
    if share < 1 or need > limit:
        raise DataError(
            f"subset of {count} needs 1..{limit} examples of each class: choose "
            f"{len(labels)}..{limit * len(labels)}"
        )
    chosen = []
    for rank, label in enumerate(labels):
        indices = torch.where(targets == label)[0]
        order = torch.randperm(len(indices), generator=generator)
        chosen.append(indices[order[: share + (rank < extra)]])
    return torch.cat(chosen).sort().values


def keep_classes(source: Source, count: int) -> Source:
    """Keep the examples of the first `count` classes. Raises DataError if there are fewer."""
    if not 2 <= count <= source.num_classes:
        raise DataError(
            f"classes = {count}: {source.name} has {source.num_classes}; choose 2 or more of them"
        )
    train, heldout = (
        part.take(torch.where(part.targets < count)[0]) for part in (source.train, source.heldout)
    )
    return make_source(source.name, train, heldout, source.classes[:count], source.vocabulary)


def keep_balanced(source: Source, count: int) -> Source:
    """Keep `count` class-balanced training examples, and half as many held-out ones or, where there
    are fewer, all that can be balanced; a pure function of its arguments."""
    generator = torch.Generator().manual_seed(SUBSET_SEED)
    train = source.train.take(balanced(source.train.targets, count, generator))
    targets = source.heldout.targets
    available = int(targets.bincount().min()) * source.num_classes
    wanted = max(count // 2, source.num_classes)  # never fewer than one of each class
    heldout = source.heldout.take(balanced(targets, min(wanted, available), generator))
    return make_source(source.name, train, heldout, source.classes, source.vocabulary)


def class_numbers(*targets: Tensor) -> tuple[str, ...]:
    """Return the names "0".."C-1", C from the largest target."""
    highest = max(int(part.max()) for part in targets)
    # bounded: a label that is wrong by much fails the check, and must not make 10**9 names first
    return tuple(map(str, range(min(highest, sum(map(len, targets))) + 1)))


def check_classes(where: str, targets: Tensor, classes: tuple[str, ...]) -> None:
    """Raise DataError if a target is none of the classes, or a class has no target."""
    labels = set(targets.unique().tolist())
    if unknown := sorted(labels - set(range(len(classes)))):
        index = int(torch.where(targets == unknown[0])[0][0])
        raise DataError(
            f"{where}, example {index}: label {unknown[0]}; need 0..{len(classes) - 1}: correct it"
        )
    for label, name in enumerate(classes):
        if label not in labels:
            raise DataError(
                f"{where}: no example of class {label} ({name}): add some, or drop the class from "
                "both parts"
            )


def _check_inputs(where: str, inputs: Tensor, vocabulary: int) -> None:
    if (inputs.ndim == 2) != (vocabulary > 0):
        shape = tuple(inputs.shape)
        raise DataError(
            f"{where}: inputs {shape}, vocabulary {vocabulary}; need > 0 for texts, 0 for images"
        )
    if inputs.ndim == 4 and inputs.shape[2] != inputs.shape[3]:
        raise DataError(
            f"{where}: images are {tuple(inputs.shape[1:])}; need square ones: crop them, or add "
            "@64 to the folder's name for the centre in 64 x 64 pixels"
        )
    if vocabulary and len(unknown := ((inputs < 0) | (inputs >= vocabulary)).nonzero()):
        index, position = unknown[0].tolist()
        token = int(inputs[index, position])
        raise DataError(
            f"{where}, example {index}: token {token}; need 0..{vocabulary - 1}: encode it again"
        )


def fingerprint(*parts: Examples) -> str:
    """Return 16 hex digits over shapes, inputs and targets, the same on disk and in memory."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(tuple(part.inputs.shape)).encode())
        for block in part.blocks():
            digest.update(block)
        digest.update(part.targets.contiguous().numpy().data)
    return digest.hexdigest()[:16]
