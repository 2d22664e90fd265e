"""Who is forgotten and who judges: retain, forget (train); audit, val, test (held-out).

Every split is a pure function of (source, scenario, seed). The held-out parts depend on the seed
and the shares alone, so that two scenarios with one seed are judged on the same images.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import pyarrow as pa
import torch
from torch import Tensor

from sgu.data.sources import Source

Targets = tuple[Tensor, Tensor]  # of train and of held-out, int64 (N,) each
SHARES = (0.4, 0.2, 0.4)
PAPER_SHARES = (0.5, 0.5)


@dataclass(frozen=True, eq=False)
class Splits:
    """Ascending int64 indices (n,). retain, forget: into train; audit, val, test: into held-out."""

    retain: Tensor
    forget: Tensor
    audit: Tensor
    val: Tensor
    test: Tensor

    @property
    def digest(self) -> str:
        """16 hex digits over names and indices."""
        whole = hashlib.sha256()
        for field in fields(self):
            indices = getattr(self, field.name)
            whole.update(f"{field.name}{len(indices)}".encode())
            whole.update(indices.numpy().astype("<i8").tobytes())
        return whole.hexdigest()[:16]

    def to_table(self) -> pa.Table:
        """Columns split (string) and index (int64)."""
        names = [field.name for field in fields(self)]
        parts = [getattr(self, name) for name in names]
        column = [name for name, part in zip(names, parts, strict=True) for _ in range(len(part))]
        return pa.table({"split": column, "index": torch.cat(parts).numpy()})

    @classmethod
    def from_table(cls, table: pa.Table) -> "Splits":
        """The inverse of to_table. Raises ValueError where a split is missing."""
        indices: dict[str, list[int]] = {field.name: [] for field in fields(cls)}
        for row in table.to_pylist():
            if row["split"] not in indices:
                raise ValueError(f"split {row['split']!r} is none of {', '.join(indices)}")
            indices[row["split"]].append(row["index"])
        for name, part in indices.items():
            if not part:
                raise ValueError(
                    f"the table holds no rows of split {name!r}: write it with to_table"
                )
        return cls(**{name: torch.tensor(part) for name, part in indices.items()})


def random_splits(
    source: Source | Targets,
    fraction: float = 0.1,
    seed: int = 0,
    shares: Sequence[float] = SHARES,
    paper: bool = False,
) -> Splits:
    """Forget a class-stratified random `fraction` of train.

    source: a source, or the targets (N,) of its train and held-out parts.
    shares: of held-out for audit, val, test; they sum to 1.
    paper: the published protocol instead of `shares`: held-out halved, audit = val.
    Raises ValueError where a class is too small to have an image in each split.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction is {fraction}; need 0 < fraction < 1: give the share to forget")
    train, heldout = _targets(source)
    generator = torch.Generator().manual_seed(seed)
    judges = _judges(heldout, PAPER_SHARES if paper else shares, generator)
    retain, forget = _cut(train, (1 - fraction, fraction), generator, "train")
    return Splits(retain, forget, *judges)


def class_splits(
    source: Source | Targets,
    classes: Sequence[int],
    seed: int = 0,
    shares: Sequence[float] = SHARES,
) -> Splits:
    """Forget all train images of `classes`; held-out is split as in random_splits.

    Raises ValueError for an unknown class, or where none or all of them are named.
    """
    train, heldout = _targets(source)
    known = set(train.unique().tolist())
    if not set(classes) or not set(classes) < known:
        raise ValueError(
            f"classes are {sorted(set(classes))}; name at least one and not all of {sorted(known)}"
        )
    judges = _judges(heldout, shares, torch.Generator().manual_seed(seed))
    forgotten = torch.isin(train, torch.tensor(list(classes)))
    return Splits((~forgotten).nonzero().squeeze(1), forgotten.nonzero().squeeze(1), *judges)


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
    *audit, val, test = _cut(targets, shares, generator, "held-out")
    return (audit[0] if audit else val), val, test


def _cut(
    targets: Tensor, shares: Sequence[float], generator: torch.Generator, part: str
) -> list[Tensor]:
    """Disjoint, covering, ascending index tensors, one a share; each class is cut alike."""
    pieces: list[list[Tensor]] = [[] for _ in shares]
    for kind in targets.unique().tolist():
        rows = (targets == kind).nonzero().squeeze(1)
        rows = rows[torch.randperm(len(rows), generator=generator)]
        ends = [round(sum(shares[: i + 1]) * len(rows)) for i in range(len(shares))]
        sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        if min(sizes) < 1:
            raise ValueError(
                f"{part} has {len(rows)} images of class {kind}, too few for shares "
                f"{tuple(round(share, 4) for share in shares)}: use more data or larger shares"
            )
        for piece, chosen in zip(pieces, rows.split(sizes), strict=True):
            piece.append(chosen)
    return [torch.cat(piece).sort().values for piece in pieces]
