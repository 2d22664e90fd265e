"""What a data source gives: a checked training and held-out set with one fingerprint."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from sgu.data.examples import Examples, Shape
from sgu.files.errors import DataError

SUBSET_SEED = 0


@dataclass(frozen=True, eq=False)
class Source:
    """A data set. fingerprint: 16 hex digits over all inputs and targets of both parts;
    vocabulary: how many tokens there are (0 for images)."""

    name: str
    train: Examples
    heldout: Examples
    classes: tuple[str, ...]
    fingerprint: str
    vocabulary: int = 0

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def shape(self) -> Shape:
        """What a network for this source is built for."""
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
    """A checked source: all classes in both parts, no label beyond them, one shape of input.

    classes: names; without them "0".."C-1", C from the largest label.
    vocabulary: tokens are 0..vocabulary-1; 0 for images.
    """
    shapes = [tuple(part.inputs.shape[1:]) for part in (train, heldout)]
    if shapes[0] != shapes[1]:
        raise DataError(f"{name}: train inputs are {shapes[0]}, held-out ones {shapes[1]}: resize")
    classes = classes or class_numbers(train.targets, heldout.targets)
    for part, examples in (("train", train), ("held-out", heldout)):
        _check_inputs(f"{name}, {part}", examples.inputs, vocabulary)
        check_classes(f"{name}, {part}", examples.targets, classes)
    return Source(name, train, heldout, classes, fingerprint(train, heldout), vocabulary)


def balanced(targets: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` ascending indices into targets (N,), as many of each class as of any other (+- 1)."""
    kinds, sizes = targets.unique(return_counts=True)
    share, extra = divmod(count, len(kinds))
    need, limit = share + (extra > 0), int(sizes.min())
    if share < 1 or need > limit:
        raise DataError(
            f"subset of {count} needs {need} images a class, at least 1 and at most {limit}: "
            f"choose {len(kinds)}..{limit * len(kinds)}"
        )
    chosen = []
    for rank, kind in enumerate(kinds):
        rows = (targets == kind).nonzero().squeeze(1)
        order = torch.randperm(len(rows), generator=generator)
        chosen.append(rows[order[: share + (rank < extra)]])
    return torch.cat(chosen).sort().values


def classes_of(source: Source, count: int) -> Source:
    """The examples of the first `count` classes. Raises DataError where there are not so many."""
    if not 2 <= count <= source.num_classes:
        raise DataError(
            f"classes = {count}: {source.name} has {source.num_classes}; choose 2 or more"
        )
    train, heldout = (
        part.take((part.targets < count).nonzero().squeeze(1))
        for part in (source.train, source.heldout)
    )
    return make_source(source.name, train, heldout, source.classes[:count], source.vocabulary)


def subset_of(source: Source, count: int) -> Source:
    """`count` training examples, class-balanced, and half as many held-out ones, or what there is;
    a pure function of its arguments."""
    generator = torch.Generator().manual_seed(SUBSET_SEED)
    train = source.train.take(balanced(source.train.targets, count, generator))
    targets = source.heldout.targets
    available = int(targets.bincount().min()) * source.num_classes
    wanted = max(count // 2, source.num_classes)  # never fewer than one of each class
    heldout = source.heldout.take(balanced(targets, min(wanted, available), generator))
    return make_source(source.name, train, heldout, source.classes, source.vocabulary)


def class_numbers(*targets: Tensor) -> tuple[str, ...]:
    """Names "0".."C-1", C from the largest target, for classes that have none."""
    highest = max(int(each.max()) for each in targets)
    # a label that is wrong by much is found by the check, and needs no name for each below it
    return tuple(map(str, range(min(highest, sum(map(len, targets))) + 1)))


def check_classes(where: str, targets: Tensor, classes: tuple[str, ...]) -> None:
    """Raise DataError where a target is none of the classes, or a class has no target."""
    found = set(targets.unique().tolist())
    if beyond := sorted(found - set(range(len(classes)))):
        row = int((targets == beyond[0]).nonzero()[0])
        raise DataError(
            f"{where}, row {row}: label {beyond[0]}; need 0..{len(classes) - 1}: correct the row"
        )
    for label, name in enumerate(classes):
        if label not in found:
            raise DataError(
                f"{where}: no example of class {label} ({name}): add some, or drop it from both "
                "parts"
            )


def _check_inputs(where: str, inputs: Tensor, vocabulary: int) -> None:
    if (inputs.ndim == 2) != (vocabulary > 0):
        shape = tuple(inputs.shape)
        raise DataError(f"{where}: inputs {shape}, vocabulary {vocabulary}; need one > 0 for texts")
    if inputs.ndim == 4 and inputs.shape[2] != inputs.shape[3]:
        raise DataError(
            f"{where}: images are {tuple(inputs.shape[1:])}; need square ones: cut them"
        )
    if vocabulary and len(unknown := ((inputs < 0) | (inputs >= vocabulary)).nonzero()):
        row, position = unknown[0].tolist()
        token = int(inputs[row, position])
        raise DataError(f"{where}, row {row}: token {token}; need 0..{vocabulary - 1}: encode anew")


def fingerprint(*parts: Examples) -> str:
    """16 hex digits over shapes, inputs and targets; the same for a mapped set and a resident."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(tuple(part.inputs.shape)).encode())
        for block in part.blocks():
            digest.update(block)
        digest.update(part.targets.contiguous().numpy().data)
    return digest.hexdigest()[:16]
