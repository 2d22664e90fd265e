"""The scenarios: which examples are to be forgotten, by name, with their settings checked."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from sgu.checks import FRACTION, check, one_of
from sgu.data.base import Source
from sgu.data.splits.splits import (
    Splits,
    class_splits,
    memorised_splits,
    random_splits,
    subgroup_splits,
)

ScenarioName = Literal["random", "class", "most_memorised", "least_memorised", "subgroup"]
OF_CLASSES = ("class", "subgroup")
Memorisation = Callable[[Source], Tensor]  # returns that of each train example, (N,)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """The examples to forget, and the number of requests for them.

    scenario: `random`, a share of train; `most_memorised`, `least_memorised`, the share where
    training on an example changes its own prediction most, least; `class`, all of forget_classes;
    `subgroup`, a share of each of them. forget_fraction: that share, unused by `class`.
    forget_classes: one class or several, by name or number (`class_labels`). requests: the parts in
    which forget is asked for in turn.
    """

    scenario: ScenarioName = "random"
    forget_fraction: float = 0.1
    forget_classes: tuple[int | str, ...] = ()
    requests: int = 1

    def __post_init__(self) -> None:
        classes = self.forget_classes
        classes = (classes,) if isinstance(classes, int | str) else tuple(classes)
        object.__setattr__(self, "forget_classes", classes)
        by_class = self.scenario in OF_CLASSES
        check(
            self,
            scenario=one_of(get_args(ScenarioName)),
            forget_fraction=FRACTION,
            forget_classes=(
                lambda classes: bool(classes) == by_class and _are_classes(classes),
                f"names or numbers of classes, none twice, for scenario {self.scenario}"
                if by_class
                else f"left out for scenario {self.scenario}",
            ),
            requests=(lambda n: isinstance(n, int) and n >= 1, "a whole number >= 1"),
        )
        if self.scenario == "class" and self.requests > len(classes):
            raise ValueError(
                f"requests = {self.requests}: must be <= {len(classes)}, "
                "at least one of forget_classes in each"
            )

    def labels(self, source: Source) -> list[int]:
        """Return the labels of forget_classes in a source. Raises ValueError."""
        return class_labels(self.forget_classes, source.classes)

    def of(self, source: Source) -> str:
        """Return the classes that are to be forgotten, such as "class 3 (cat) and 5 (dog)"; empty
        for a scenario that names none. Raises ValueError."""
        names = [source.named(label) for label in self.labels(source)]
        return f"class {' and '.join(names)}" if names else ""

    def splits(self, source: Source, seed: int, memorisation: Memorisation | None = None) -> Splits:
        """Return the splits of a source.

        memorisation: required by most_memorised and least_memorised.
        Raises ValueError if the source does not allow the scenario.
        """
        share, requests, labels = self.forget_fraction, self.requests, self.labels(source)
        if self.scenario == "random":
            return random_splits(source, share, seed, requests=requests)
        if self.scenario == "class":
            return class_splits(source, labels, seed, requests=requests)
        if self.scenario == "subgroup":
            return subgroup_splits(source, labels, share, seed, requests=requests)
        if memorisation is None:
            raise ValueError(
                f"scenario = {self.scenario!r} needs the memorisation of each train example: "
                "pass a function, as `Experiment.task` does"
            )
        most = self.scenario == "most_memorised"
        return memorised_splits(source, memorisation(source), share, most, seed, requests=requests)


def class_labels(wanted: Sequence[int | str], names: Sequence[str]) -> list[int]:
    """Return the labels of classes given by name, or by number. names: of all classes, by label.

    Raises ValueError for an unknown one, and for a number that is another class's name: a folder 2
    need not be the third.
    """
    return [_label(name, names) for name in wanted]


def _label(wanted: int | str, names: Sequence[str]) -> int:
    found = {label for label, name in enumerate(names) if name == str(wanted)}
    if isinstance(wanted, int) and wanted < len(names):
        found.add(wanted)
    if len(found) == 1:
        return found.pop()
    if not found:
        near = difflib.get_close_matches(str(wanted), names, 3)
        guess = f" (did you mean {', '.join(near)}?)" if near else ""
        shown = ", ".join(f"{label} ({name})" for label, name in enumerate(names[:30]))
        more = ", ..." if len(names) > 30 else ""
        raise ValueError(f"forget_classes = {wanted!r}: no such class{guess}: {shown}{more}")
    named = names.index(str(wanted))
    raise ValueError(
        f"forget_classes = {wanted}: is the name of class {named} and the number of class "
        f'"{names[int(wanted)]}": give a name in quotes, as in --forget-classes '
        f"""'"{wanted}"' or '"{names[int(wanted)]}"'"""
    )


def _are_classes(classes: tuple[int | str, ...]) -> bool:
    return len(set(classes)) == len(classes) and all(
        isinstance(label, str) or label >= 0 for label in classes
    )
