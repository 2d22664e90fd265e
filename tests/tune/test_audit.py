"""`sgu-study audit` without a cluster."""

from __future__ import annotations

from functools import cache

import pytest
from typer.testing import CliRunner

from tune.cli import app


@pytest.mark.parametrize(
    ("address", "message"),
    [("auto", "Could not find any running Ray instance"), ("nowhere", "Invalid address format")],
)
def test_without_a_cluster_the_error_is_one_line(address, message, monkeypatch):
    """Clusters that other tests run on this machine do not count, either."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", cache(set))
    monkeypatch.setattr("ray._private.services.find_bootstrap_address", lambda _: None)
    result = CliRunner().invoke(app, ["audit", "--address", address])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"sgu-study audit: {message}")
    assert result.stderr.count("\n") == 1
