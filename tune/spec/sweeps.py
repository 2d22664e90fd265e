"""Scaling studies: the data sets are sizes of one data set, in a sweep for each kind of size.

Each size has its own original and retrained model, and the method runs on it as published; the same
rows hold what unlearning saves against retraining. The sweep over workers repeats one size with
that many runs at a time and no others beside them, which measures the study's throughput.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tune.spec.errors import SpecError, one_line
from tune.spec.spec import Spec, changed

SWEEPS: dict[str, tuple[Any, ...]] = {
    "subset": (500, 1000, 2000, 4000),
    "classes": (2, 5, 10),
    "audit": (100, 200, 400, 800),
    "forget_fraction": (0.05, 0.1, 0.2, 0.4),
    "workers": (1, 2),
}
"""Default sweeps on the embedded data; they take a few minutes on two cores."""

BASE: dict[str, Any] = {
    "name": "scaling",
    "experiment": {"data": "embedded", "epochs": 5, "lr": 0.05},
    "oracles": 0,
    "slots": 2,
}


def scaled(sweeps: Mapping[str, Sequence[Any]], changes: Sequence[str] = ()) -> Spec:
    """Return the study of all sizes. changes: to BASE, such as experiment.epochs=2.

    Raises SpecError with one line.
    """
    try:
        base = changed(BASE, changes)
        shared = dict(base["experiment"])
        data = shared.pop("data")
        sizes = [
            {"data": data, "name": f"{kind}-{value}", kind: value}
            for kind, values in sweeps.items()
            for value in values
        ]
        return Spec.model_validate(base | {"experiment": shared, "data": sizes, "phase": "scaling"})
    except ValueError as error:
        raise SpecError(one_line(error)) from error


def sweeps_of(words: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Return the sweeps of words such as subset=500,1000; without words, SWEEPS."""
    if not words:
        return SWEEPS
    sweeps = {}
    for word in words:
        kind, equals, values = word.partition("=")
        if not (equals and values and kind in SWEEPS):
            kinds = ", ".join(SWEEPS)
            raise SpecError(f"--sweep {word}: expected KIND=VALUE,VALUE,... with one of {kinds}")
        sweeps[kind] = tuple(values.split(","))
    return sweeps
