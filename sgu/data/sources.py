"""Where the images come from: a source is a training and a held-out set with one fingerprint."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sgu.data.examples import DataError, Examples, Shape
from sgu.data.tables import class_names, read_table

__all__ = ["SOURCES", "DataError", "Examples", "Source", "balanced", "load_source", "make_source"]

EMBEDDED = Path(__file__).parent / "embedded"
SUBSET_SEED = 0


@dataclass(frozen=True, eq=False)
class Source:
    """A data set. fingerprint: 16 hex digits over all pixels and targets of both parts."""

    name: str
    train: Examples
    heldout: Examples
    classes: tuple[str, ...]
    fingerprint: str

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def shape(self) -> Shape:
        """What a network for this source is built for."""
        _, channels, side, _ = self.train.inputs.shape
        return Shape(self.num_classes, channels, side)


def load_source(data: str, subset: int | None = None) -> Source:
    """A registered source by its name, or a folder of Parquet image tables by its path.

    data: a key of SOURCES, or a folder with train-*.parquet and test-*.parquet.
    subset: keep this many train images, class-balanced, and half as many held-out ones (fewer where
        there are fewer); the choice is a pure function of the source and `subset`.
    Raises DataError, naming file and row, for anything that cannot be used.
    """
    source = SOURCES[data]() if data in SOURCES else _folder(Path(data))
    return source if subset is None else _subset(source, subset)


def make_source(
    name: str, train: Examples, heldout: Examples, classes: tuple[str, ...] | None = None
) -> Source:
    """A checked source: all classes in both parts, no label beyond them, one image shape.

    classes: names; without them "0".."C-1", C from the largest label.
    """
    if train.inputs.shape[1:] != heldout.inputs.shape[1:]:
        shapes = [tuple(part.inputs.shape[1:]) for part in (train, heldout)]
        raise DataError(f"{name}: train images are {shapes[0]}, held-out ones {shapes[1]}: resize")
    if classes is None:
        highest = int(torch.cat([train.targets, heldout.targets]).max())
        classes = tuple(map(str, range(highest + 1)))
    for part, examples in (("train", train), ("held-out", heldout)):
        _check_classes(f"{name}, {part}", examples.targets, classes)
    return Source(name, train, heldout, classes, _fingerprint(train, heldout))


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


def _check_classes(where: str, targets: Tensor, classes: tuple[str, ...]) -> None:
    found = set(targets.unique().tolist())
    if beyond := sorted(found - set(range(len(classes)))):
        row = int((targets == beyond[0]).nonzero()[0])
        raise DataError(
            f"{where}, row {row}: label {beyond[0]}; need 0..{len(classes) - 1}: correct the row"
        )
    for label, name in enumerate(classes):
        if label not in found:
            raise DataError(
                f"{where}: no image of class {label} ({name}): add some, or drop it from both parts"
            )


def _fingerprint(*parts: Examples) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(tuple(part.inputs.shape)).encode())
        digest.update(part.inputs.contiguous().numpy().data)
        digest.update(part.targets.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def _subset(source: Source, count: int) -> Source:
    generator = torch.Generator().manual_seed(SUBSET_SEED)
    train = source.train.take(balanced(source.train.targets, count, generator))
    targets = source.heldout.targets
    available = int(targets.bincount().min()) * source.num_classes
    wanted = max(count // 2, source.num_classes)  # never fewer than one of each class
    heldout = source.heldout.take(balanced(targets, min(wanted, available), generator))
    return make_source(source.name, train, heldout, source.classes)


def _embedded() -> Source:
    return _tables("embedded", [EMBEDDED / "train.parquet"], [EMBEDDED / "heldout.parquet"])


def _folder(folder: Path) -> Source:
    if not folder.is_dir():
        known = ", ".join(SOURCES)
        raise DataError(f"{folder}: no such folder; give one with Parquet image tables, or {known}")
    return _tables(folder.name, _shards(folder, "train"), _shards(folder, "test"))


def _shards(folder: Path, part: str) -> list[Path]:
    shards = sorted(folder.glob(f"{part}-*.parquet"))
    if not shards:
        raise DataError(f"{folder}: no {part}-*.parquet; the {part} images must be named so")
    return shards


def _tables(name: str, train: list[Path], heldout: list[Path]) -> Source:
    classes = class_names(train[0])
    num_classes = len(classes) if classes else None
    return make_source(
        name, read_table(train, num_classes), read_table(heldout, num_classes), classes
    )


SOURCES: dict[str, Callable[[], Source]] = {"embedded": _embedded}
