"""Dashboards: for who asks, on loopback alone, and one line where they are not installed."""

from __future__ import annotations

import json
import urllib.request
from importlib.util import find_spec

import optuna
import pytest
from optuna.storages import JournalStorage

from sgu.files.location import Location
from tune.cluster import dashboards as module
from tune.cluster.dashboards import HOST, dashboards, of_ray, serve
from tune.search.journal import Journal
from tune.spec.errors import SpecError


def test_optunas_shows_the_journal_on_loopback(tmp_path):
    pytest.importorskip("optuna_dashboard")
    pytest.importorskip("aiohttp")
    journal, said = Journal(Location.at(tmp_path)), []
    storage = JournalStorage(journal)
    optuna.create_study(storage=storage, study_name="embedded/sg")
    with dashboards(asked=True):
        assert of_ray() == {"include_dashboard": True, "dashboard_host": "127.0.0.1"}
        serve(journal, f"{HOST}:8265", said.append)
    url = said[0].removeprefix("Optuna's dashboard: ")
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{url}/api/studies", timeout=30) as answer:
        (study,) = json.load(answer)["study_summaries"]
    assert study["study_name"] == "embedded/sg"
    assert "8265" in said[1]


def test_who_does_not_ask_has_none(tmp_path):
    said: list[str] = []
    with dashboards(asked=False):
        assert of_ray()["include_dashboard"] is False
        serve(Journal(Location.at(tmp_path)), "", said.append)
    assert said == []


def test_what_is_missing_is_said_before_anything_starts(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None if "optuna" in name else find_spec)
    with pytest.raises(SpecError, match=r"needs optuna-dashboard: .*pip install"):
        dashboards(asked=True).__enter__()
