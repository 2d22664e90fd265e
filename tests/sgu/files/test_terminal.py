"""A table's numbers are whole on a terminal of any width."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from sgu.api.tables import metric_table
from sgu.files.terminal import show


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_number_and_no_name_is_broken(width):
    metrics = {"forget_acc": 0.87654, "retain_acc": 0.12345, "seconds": 12345.678}
    console = Console(width=width, file=StringIO())
    show(metric_table({"original": metrics, "unlearned": metrics}), console)
    words = console.file.getvalue().split()
    for word in ("forget_acc", "retain_acc", "original", "unlearned", "0.877", "0.123"):
        assert word in words
    assert words.count("12345.678") == 2
