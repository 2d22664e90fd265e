"""Nothing that selects sees test: a metric that reads it is refused wherever one may be named."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis import choose
from analysis.pareto import check_selectable
from analysis.schema import METRICS
from tune.spec import parse_spec

SPEC = """
name: blind
experiment: {data: embedded, epochs: 2}
search: {alpha: {low: 0.1, high: 4.0, log: true}}
constraints: {val_acc: {at_least: 0.12}}
"""


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].reads_test])
def test_a_metric_that_reads_test_is_refused_everywhere(name: str):
    frame = pd.DataFrame()
    asked = [
        lambda: parse_spec(SPEC + f"objectives: [val_error, {name}]\n", "here"),
        lambda: parse_spec(SPEC.replace("val_acc:", f"{name}:"), "here"),
        lambda: check_selectable(["val_error", name]),  # as `sgu-report` does
        lambda: choose(frame, minimise=name),
        lambda: choose(frame, minimise="val_error", where={name: "<= 1"}),
    ]
    for ask in asked:
        with pytest.raises(ValueError, match=f"{name}.*reads the test split"):
            ask()
