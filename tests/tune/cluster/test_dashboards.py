"""Dashboards are served only if wanted, on loopback only; one line if they are not installed."""

from __future__ import annotations

import json
import urllib.request
from importlib.util import find_spec

import optuna
import pytest
from optuna.storages import JournalStorage

from sgu.files.location import Location
from tune.cluster import dashboards as module
from tune.cluster.dashboards import HOST, dashboards, ray_arguments, serve
from tune.search.journal import Journal
from tune.spec.errors import SpecError


def test_optunas_dashboard_shows_the_journal_on_loopback(tmp_path):
    pytest.importorskip("optuna_dashboard")
    pytest.importorskip("aiohttp")
    journal, lines = Journal(Location.at(tmp_path)), []
    storage = JournalStorage(journal)
    optuna.create_study(storage=storage, study_name="embedded/sg")
    with dashboards(wanted=True):
        assert ray_arguments() == {"include_dashboard": True, "dashboard_host": "127.0.0.1"}
        serve(journal, f"{HOST}:8265", lines.append)
    url = lines[0].removeprefix("Optuna's dashboard: ")
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{url}/api/studies", timeout=30) as answer:
        (study,) = json.load(answer)["study_summaries"]
    assert study["study_name"] == "embedded/sg"
    assert "8265" in lines[1]


def test_without_the_option_there_is_none(tmp_path):
    lines: list[str] = []
    with dashboards(wanted=False):
        assert ray_arguments()["include_dashboard"] is False
        serve(Journal(Location.at(tmp_path)), "", lines.append)
    assert lines == []


def test_a_missing_package_is_named_before_anything_starts(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None if "optuna" in name else find_spec)
    with pytest.raises(SpecError, match=r"needs optuna-dashboard: .*pip install"):
        dashboards(wanted=True).__enter__()
