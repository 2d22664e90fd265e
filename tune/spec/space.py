"""Domains of a search: ranges and choices, as a specification states them and Optuna takes them."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
from optuna import distributions
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Range(Strict):
    """Values from low to high. log: uniform in the logarithm; step: whole numbers so far apart."""

    low: FiniteFloat
    high: FiniteFloat
    log: bool = False
    step: Annotated[int, Field(ge=1)] | None = None

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low = {self.low} and high = {self.high}: low must be below high")
        if self.log and not self.low > 0:
            raise ValueError(f"low = {self.low}: must be > 0 with log")
        if self.step and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"low = {self.low} and high = {self.high}: must be whole with step")
        if self.log and self.step and self.step > 1:
            raise ValueError(f"step = {self.step}: must be 1 with log")
        return self

    def ends(self) -> list[Any]:
        """Return the values to check: both ends."""
        return [int(v) if self.step else v for v in (self.low, self.high)]

    @property
    def points(self) -> int | None:
        """The number of values; None: not finite."""
        return int((self.high - self.low) // self.step) + 1 if self.step else None

    def distribution(self) -> distributions.BaseDistribution:
        if self.step:
            low, high = self.ends()
            return distributions.IntDistribution(low, high, log=self.log, step=self.step)
        return distributions.FloatDistribution(self.low, self.high, log=self.log)


class Choice(pydantic.RootModel, frozen=True):
    """One of the values listed."""

    root: Annotated[tuple[int | float | str, ...], Field(min_length=1)]

    def ends(self) -> list[Any]:
        return list(self.root)

    @property
    def points(self) -> int:
        return len(set(self.root))

    def distribution(self) -> distributions.BaseDistribution:
        return distributions.CategoricalDistribution(self.root)


def _domain(value: Any) -> Any:
    if isinstance(value, list):
        return Choice.model_validate(value)
    if isinstance(value, dict):
        return Range.model_validate(value)
    raise ValueError("must be a list of values, or low and high (with log or step)")


Domain = Annotated[Range | Choice, BeforeValidator(_domain)]
Space = dict[str, Domain]
