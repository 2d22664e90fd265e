"""The splits of a data set: retain, forget (of train); audit, val, test (of held-out).

Splits are a pure function of (source, scenario, seed). The held-out parts depend on the seed
alone, so that all scenarios with one seed are judged on the same examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from sgu.data.base import Source, balanced
from sgu.data.splits.stratify import (
    deal,
    indices_of_classes,
    merged,
    stratified_share,
    stratified_split,
)

PARTS = ("retain", "forget", "audit", "val", "test")
SHARES = (0.4, 0.2, 0.4)  # of held-out, for audit, val and test


@dataclass(frozen=True, eq=False)
class Splits:
    """Ascending int64 indices (n,). retain, forget: into train; audit, val, test: into held-out.

    requests: the parts in which forget is asked for, first to last; by default all at once.
    """

    retain: Tensor
    forget: Tensor
    audit: Tensor
    val: Tensor
    test: Tensor
    requests: tuple[Tensor, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "requests", tuple(self.requests) or (self.forget,))
        whole = torch.equal(merged(self.requests), self.forget.sort().values)
        if not whole or not all(map(len, self.requests)):
            sizes = [len(part) for part in self.requests]
            raise ValueError(
                f"requests have {sizes} examples, forget has {len(self.forget)}: cut all of forget "
                "into parts that share no example, none of them empty"
            )

    @property
    def digest(self) -> str:
        """Return 16 hex digits over names and indices; a single request adds nothing to them."""
        named = [(name, getattr(self, name)) for name in PARTS]
        if len(self.requests) > 1:
            named += [("request", part) for part in self.requests]
        whole = hashlib.sha256()
        for name, indices in named:
            whole.update(f"{name}{len(indices)}".encode())
            whole.update(indices.numpy().astype("<i8").tobytes())
        return whole.hexdigest()[:16]

    def steps(self) -> list[tuple[Splits, Splits]]:
        """Return two splits for each request: of it alone, and of all requests up to it.

        retain of both still holds what later requests ask for.
        """
        judges = (self.audit, self.val, self.test)
        steps = []
        for number, part in enumerate(self.requests, 1):
            retain = merged([self.retain, *self.requests[number:]])
            so_far = merged(self.requests[:number])
            steps.append((Splits(retain, part, *judges), Splits(retain, so_far, *judges)))
        return steps

    def audited(self, count: int, targets: Tensor, seed: int) -> Splits:
        """Return the splits with `count` class-balanced examples of audit.

        targets: of held-out, int64 (N,). Raises DataError if a class of audit has too few.
        """
        generator = torch.Generator().manual_seed(seed)
        chosen = balanced(targets[self.audit], count, generator)
        return replace(self, audit=self.audit[chosen])

    def halved(self, targets: Tensor, seed: int) -> Splits:
        """Return the splits with half of held-out as both audit and val, the other half as test.

        targets: of held-out, int64 (N,). Raises ValueError if a class has a single example.
        """
        generator = torch.Generator().manual_seed(seed)
        audit, test = stratified_split(targets.cpu(), (0.5, 0.5), generator, "held-out")
        return replace(self, audit=audit, val=audit, test=test)

    def to_table(self) -> pa.Table:
        """Return columns split (string), index (int64), request (int64; null outside forget)."""
        parts: list[tuple[str, int | None, Tensor]] = [("retain", None, self.retain)]
        parts += [("forget", number, part) for number, part in enumerate(self.requests)]
        parts += [(name, None, getattr(self, name)) for name in PARTS[2:]]
        requests = [number for _, number, part in parts for _ in range(len(part))]
        return pa.table(
            {
                "split": [name for name, _, part in parts for _ in range(len(part))],
                "index": torch.cat([part for _, _, part in parts]).numpy(),
                "request": pa.array(requests, pa.int64()),
            }
        )

    @classmethod
    def from_table(cls, table: pa.Table) -> Splits:
        """Return the splits in a table of to_table; without `request`, forget is one request.

        Raises ValueError for a missing or unknown split.
        """
        for name in pc.unique(table["split"]).to_pylist():
            if name not in PARTS:
                raise ValueError(f"split {name!r} is none of {', '.join(PARTS)}")
        parts = {name: table.filter(pc.field("split") == name) for name in PARTS}
        for name, part in parts.items():
            if not len(part):
                raise ValueError(f"the table has no rows of split {name!r}: add some")
        retain, forget, audit, val, test = (_indices(parts[name], "index") for name in PARTS)
        requests: tuple[Tensor, ...] = ()
        if "request" in table.column_names:
            numbers = _indices(parts["forget"], "request")
            requests = tuple(forget[numbers == number] for number in numbers.unique())
        return cls(retain, forget.sort().values, audit, val, test, requests)


def random_splits(
    source: Source, fraction: float = 0.1, seed: int = 0, requests: int = 1
) -> Splits:
    """Forget a class-stratified random `fraction` of train.

    requests: the parts in which forget is asked for, cut at random and class by class.
    Raises ValueError if a class is too small to have an example in each split.
    """
    classes = _targets(source)[0].unique().tolist()
    return subgroup_splits(source, classes, fraction, seed, requests)


def subgroup_splits(
    source: Source, classes: Sequence[int], fraction: float = 0.1, seed: int = 0, requests: int = 1
) -> Splits:
    """Forget a random `fraction` of each of `classes` in train; otherwise like random_splits."""
    train, heldout, generator = *_targets(source), torch.Generator().manual_seed(seed)
    _check_classes(classes, train)
    judges = _judges(heldout, generator)
    forget = stratified_share(train, indices_of_classes(train, classes), fraction, generator)
    return _splits(train, deal(train, forget, requests, generator), judges)


def class_splits(
    source: Source, classes: Sequence[int], seed: int = 0, requests: int = 1
) -> Splits:
    """Forget all train examples of `classes`; held-out is split as in random_splits.

    requests: each asks for whole classes in the order given, equally many (+- 1).
    Raises ValueError for an unknown class, and if no class or every class is named.
    """
    train, heldout = _targets(source)
    _check_classes(classes, train)
    if len(classes) == len(train.unique()):
        raise ValueError(f"classes are {list(classes)}, which is all: leave one to be retained")
    if not 1 <= requests <= len(classes):
        raise ValueError(
            f"requests = {requests}: must be 1..{len(classes)}, at least one class in each"
        )
    judges = _judges(heldout, torch.Generator().manual_seed(seed))
    parts = torch.tensor(list(classes)).tensor_split(requests)
    return _splits(train, [indices_of_classes(train, part.tolist()) for part in parts], judges)


def memorised_splits(
    source: Source,
    memorisation: Tensor,
    fraction: float = 0.1,
    most: bool = True,
    seed: int = 0,
    requests: int = 1,
) -> Splits:
    """Forget the `fraction` of train that is memorised most, or least; otherwise random_splits.

    memorisation: (N,) of train, see `sgu.networks.memorisation`; ties go to the lower index.
    The choice is over all classes together: its unevenness is what tells such a request from a
    random one. Only the last example of a class is never taken.
    """
    train, heldout, generator = *_targets(source), torch.Generator().manual_seed(seed)
    if memorisation.shape != train.shape or not memorisation.isfinite().all():
        raise ValueError(
            f"memorisation is {tuple(memorisation.shape)}; need {tuple(train.shape)}, all finite"
        )
    judges = _judges(heldout, generator)
    order = memorisation.cpu().argsort(descending=most, stable=True)
    last = [int(torch.where(train[order] == label)[0][-1]) for label in train.unique()]
    order = order[~torch.isin(torch.arange(len(order)), torch.tensor(last))]
    forget = order[: max(1, round(fraction * len(train)))].sort().values
    return _splits(train, deal(train, forget, requests, generator), judges)


Indices = Sequence[int] | Set[int] | np.ndarray | Tensor
"""Indices into train (n,), in any order, or a mask (N,) of it."""


def stated_splits(source: Source, forget: Indices, seed: int = 0) -> Splits:
    """Forget the train examples at the indices `forget`, or where a mask (N,) of train is True.

    Held-out is split as by the other scenarios with this seed.
    Raises ValueError for an index that train does not have, one that is there twice, none or all of
    train, and for a class of forget without held-out examples.
    """
    train, heldout = _targets(source)
    chosen = _stated(forget, len(train))
    outside = chosen[(chosen < 0) | (chosen >= len(train))].tolist()
    if outside:
        raise ValueError(f"forget has index {outside[0]}: must be 0..{len(train) - 1}")
    if len(twice := chosen[1:][chosen.diff() == 0]):
        raise ValueError(f"forget has index {int(twice[0])} twice: name each example once")
    if not 0 < len(chosen) < len(train):
        raise ValueError(f"forget has {len(chosen)} of train's {len(train)} examples: name some")
    if unseen := sorted(set(train[chosen].tolist()) - set(heldout.tolist())):
        raise ValueError(
            f"held-out has no example of class {unseen[0]}, which forget has: add some, as an "
            "attack compares the two"
        )
    return _splits(train, [chosen], _judges(heldout, torch.Generator().manual_seed(seed)))


def _stated(forget: Indices, size: int) -> Tensor:
    """Return the indices that `forget` states, ascending (n,). size: of train."""
    wanted = f"need indices into train (n,), or a mask ({size},)"
    if isinstance(forget, Tensor):
        forget = forget.numpy(force=True)
    try:
        stated = np.array(list(forget) if isinstance(forget, Set) else forget)
    except ValueError as error:  # numpy's, of a ragged one
        raise ValueError(f"forget is a {type(forget).__name__}; {wanted}") from error
    if not stated.size:
        return torch.empty(0, dtype=torch.int64)
    if stated.dtype == bool and stated.shape == (size,):
        stated = stated.nonzero()[0]
    if stated.dtype.kind not in "iu" or stated.ndim != 1:
        kind = f"{stated.dtype.name} {stated.shape}" if stated.ndim else type(forget).__name__
        raise ValueError(f"forget is {kind}; {wanted}")
    return torch.from_numpy(np.sort(stated.astype(np.int64)))


def _splits(
    train: Tensor, requests: Sequence[Tensor], judges: tuple[Tensor, Tensor, Tensor]
) -> Splits:
    forget = merged(requests)
    retain = torch.where(~torch.isin(torch.arange(len(train)), forget))[0]
    return Splits(retain, forget, *judges, requests=tuple(requests))


def _indices(table: pa.Table, column: str) -> Tensor:
    return torch.tensor(table[column].to_numpy())


def _check_classes(classes: Sequence[int], targets: Tensor) -> None:
    known = targets.unique().tolist()
    if not classes or len(set(classes)) < len(classes) or not set(classes) <= set(known):
        raise ValueError(f"classes are {list(classes)}; name at least one of {known}, none twice")


def _targets(source: Source) -> tuple[Tensor, Tensor]:
    return source.train.labels, source.heldout.labels


def _judges(targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    audit, val, test = stratified_split(targets, SHARES, generator, "held-out")
    return audit, val, test
