"""Who is forgotten and who judges: retain, forget (train); audit, val, test (held-out).

Every split is a pure function of (source, scenario, seed). The held-out parts depend on the seed
and the shares alone, so that two scenarios with one seed are judged on the same examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from sgu.data.sources import Source, balanced
from sgu.data.splits.stratify import (
    checked_fraction,
    cut,
    deal,
    joined,
    of_classes,
    rows_of,
    share_of,
)

Targets = tuple[Tensor, Tensor]  # of train and of held-out, int64 (N,) each
PARTS = ("retain", "forget", "audit", "val", "test")
SHARES = (0.4, 0.2, 0.4)
PAPER_SHARES = (0.5, 0.5)


@dataclass(frozen=True, eq=False)
class Splits:
    """Ascending int64 indices (n,). retain, forget: into train; audit, val, test: into held-out.

    requests: the parts in which forget is asked for, first to last; without any: all at once.
    """

    retain: Tensor
    forget: Tensor
    audit: Tensor
    val: Tensor
    test: Tensor
    requests: tuple[Tensor, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "requests", tuple(self.requests) or (self.forget,))
        asked = torch.cat(self.requests).sort().values
        if not torch.equal(asked, self.forget.sort().values) or not all(map(len, self.requests)):
            sizes = [len(part) for part in self.requests]
            raise ValueError(
                f"requests have {sizes} examples, forget has {len(self.forget)}: cut all of forget "
                "into parts that share no example, none of them empty"
            )

    @property
    def digest(self) -> str:
        """16 hex digits over names and indices; a single request leaves no mark of its own."""
        named = [(name, getattr(self, name)) for name in PARTS]
        if len(self.requests) > 1:
            named += [("request", part) for part in self.requests]
        whole = hashlib.sha256()
        for name, indices in named:
            whole.update(f"{name}{len(indices)}".encode())
            whole.update(indices.numpy().astype("<i8").tobytes())
        return whole.hexdigest()[:16]

    def steps(self) -> list[tuple[Splits, Splits]]:
        """For each request: the splits of it alone, and those of all that is asked for up to it.

        retain of both still holds what later requests ask for.
        """
        judges = (self.audit, self.val, self.test)
        found = []
        for number, part in enumerate(self.requests, 1):
            retain = joined([self.retain, *self.requests[number:]])
            so_far = joined(self.requests[:number])
            found.append((Splits(retain, part, *judges), Splits(retain, so_far, *judges)))
        return found

    def audited(self, count: int, targets: Tensor, seed: int) -> Splits:
        """The same with `count` of audit, class-balanced. targets: of held-out, int64 (N,)."""
        generator = torch.Generator().manual_seed(seed)
        chosen = balanced(targets[self.audit], count, generator)
        return replace(self, audit=self.audit[chosen])

    def to_table(self) -> pa.Table:
        """Columns split (string), index (int64), request (int64, from 0; null but for forget)."""
        rows: list[tuple[str, int | None, Tensor]] = [("retain", None, self.retain)]
        rows += [("forget", number, part) for number, part in enumerate(self.requests)]
        rows += [(name, None, getattr(self, name)) for name in PARTS[2:]]
        requests = [number for _, number, part in rows for _ in range(len(part))]
        return pa.table(
            {
                "split": [name for name, _, part in rows for _ in range(len(part))],
                "index": torch.cat([part for _, _, part in rows]).numpy(),
                "request": pa.array(requests, pa.int64()),
            }
        )

    @classmethod
    def from_table(cls, table: pa.Table) -> Splits:
        """The inverse of to_table; without column request, all of forget is one request.

        Raises ValueError where a split is missing.
        """
        for name in pc.unique(table["split"]).to_pylist():
            if name not in PARTS:
                raise ValueError(f"split {name!r} is none of {', '.join(PARTS)}")
        parts = {name: table.filter(pc.field("split") == name) for name in PARTS}
        for name, rows in parts.items():
            if not len(rows):
                raise ValueError(
                    f"the table holds no rows of split {name!r}: write it with to_table"
                )
        retain, forget, audit, val, test = (_indices(parts[name], "index") for name in PARTS)
        requests: tuple[Tensor, ...] = ()
        if "request" in table.column_names:
            asked = _indices(parts["forget"], "request")
            requests = tuple(forget[asked == number] for number in asked.unique())
        return cls(retain, forget.sort().values, audit, val, test, requests)


def random_splits(
    source: Source | Targets,
    fraction: float = 0.1,
    seed: int = 0,
    shares: Sequence[float] = SHARES,
    paper: bool = False,
    requests: int = 1,
) -> Splits:
    """Forget a class-stratified random `fraction` of train.

    source: a source, or the targets (N,) of its train and held-out parts.
    shares: of held-out for audit, val, test; they sum to 1.
    paper: the published protocol instead of `shares`: held-out halved, audit = val.
    requests: parts in which it is asked for, cut at random and class by class.
    Raises ValueError where a class is too small to have an example in each split.
    """
    train, heldout, generator = *_targets(source), torch.Generator().manual_seed(seed)
    judges = _judges(heldout, PAPER_SHARES if paper else shares, generator)
    forget = share_of(train, torch.arange(len(train)), fraction, generator)
    return _splits(train, deal(train, forget, requests, generator), judges)


def subgroup_splits(
    source: Source | Targets,
    classes: Sequence[int],
    fraction: float = 0.1,
    seed: int = 0,
    shares: Sequence[float] = SHARES,
    requests: int = 1,
) -> Splits:
    """Forget a random `fraction` of the train examples of each of `classes`; else random_splits."""
    train, heldout, generator = *_targets(source), torch.Generator().manual_seed(seed)
    _check_classes(classes, train)
    judges = _judges(heldout, shares, generator)
    forget = share_of(train, of_classes(train, classes), fraction, generator)
    return _splits(train, deal(train, forget, requests, generator), judges)


def class_splits(
    source: Source | Targets,
    classes: Sequence[int],
    seed: int = 0,
    shares: Sequence[float] = SHARES,
    requests: int = 1,
) -> Splits:
    """Forget all train examples of `classes`; held-out is split as in random_splits.

    requests: each asks for whole classes, in the order given, as many as any other (+- 1).
    Raises ValueError for an unknown class, or where none or all of them are named.
    """
    train, heldout = _targets(source)
    _check_classes(classes, train)
    if len(classes) == len(train.unique()):
        raise ValueError(f"classes are {list(classes)}, which is all: leave one to be retained")
    if not 1 <= requests <= len(classes):
        raise ValueError(
            f"requests = {requests}: must be 1..{len(classes)}, a class or more in each"
        )
    judges = _judges(heldout, shares, torch.Generator().manual_seed(seed))
    parts = torch.tensor(list(classes)).tensor_split(requests)
    return _splits(train, [of_classes(train, part.tolist()) for part in parts], judges)


def memorised_splits(
    source: Source | Targets,
    memorisation: Tensor,
    fraction: float = 0.1,
    most: bool = True,
    seed: int = 0,
    shares: Sequence[float] = SHARES,
    requests: int = 1,
) -> Splits:
    """Forget the `fraction` of train that is memorised most, or least; else as random_splits.

    memorisation: (N,) of train, see `sgu.networks.memorisation`; of equals the lower index is
    first.
    The choice is over all classes together: how unevenly it falls on them is what tells such a
    request from a random one. Only the last example of a class is never taken.
    """
    train, heldout, generator = *_targets(source), torch.Generator().manual_seed(seed)
    if memorisation.shape != train.shape or not memorisation.isfinite().all():
        raise ValueError(
            f"memorisation is {tuple(memorisation.shape)}; need {tuple(train.shape)}, all finite"
        )
    judges = _judges(heldout, shares, generator)
    order = memorisation.cpu().argsort(descending=most, stable=True)
    last = [int((train[order] == kind).nonzero()[-1]) for kind in train.unique()]
    order = order[~torch.isin(torch.arange(len(order)), torch.tensor(last))]
    forget = order[: max(1, round(checked_fraction(fraction) * len(train)))].sort().values
    return _splits(train, deal(train, forget, requests, generator), judges)


def _splits(
    train: Tensor, requests: Sequence[Tensor], judges: tuple[Tensor, Tensor, Tensor]
) -> Splits:
    forget = joined(requests)
    retained = ~torch.isin(torch.arange(len(train)), forget)
    return Splits(rows_of(retained), forget, *judges, requests=tuple(requests))


def _indices(table: pa.Table, column: str) -> Tensor:
    return torch.tensor(table[column].to_numpy())


def _check_classes(classes: Sequence[int], targets: Tensor) -> None:
    known = targets.unique().tolist()
    if not classes or len(set(classes)) < len(classes) or not set(classes) <= set(known):
        raise ValueError(f"classes are {list(classes)}; name at least one of {known}, none twice")


def _targets(source: Source | Targets) -> Targets:
    if isinstance(source, Source):
        return source.train.targets.cpu(), source.heldout.targets.cpu()
    return source


def _judges(
    targets: Tensor, shares: Sequence[float], generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """audit, val and test; two shares mean that audit is val."""
    if len(shares) not in (2, 3) or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"shares are {tuple(shares)}; need three, each > 0, with sum 1")
    *audit, val, test = cut(targets, shares, generator, "held-out")
    return (audit[0] if audit else val), val, test
