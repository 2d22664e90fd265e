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
from tune.cluster.dashboards import HOST, View, dashboards, guarded, ray_arguments, serve
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


def asked(headers: dict[str, str], method: str = "GET") -> tuple[str, bool]:
    """Return the status of an answer, and if the application behind the guard was asked."""
    reached, status = [], []

    def app(_, start_response):
        reached.append(True)
        start_response("200 OK", [])
        return [b""]

    environ = {"REQUEST_METHOD": method} | {f"HTTP_{k}": v for k, v in headers.items()}
    list(guarded(app)(environ, lambda line, _: status.append(line)))
    return status[0], bool(reached)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(method):
    assert asked({"HOST": "127.0.0.1:8080"}, method) == ("405 Method Not Allowed", False)


@pytest.mark.parametrize("host", ["evil.example:8080", "evil.example", "", "127.0.0.1.evil:8080"])
def test_a_page_that_had_its_name_point_here_sees_nothing(host):
    assert asked({"HOST": host} if host else {}) == ("403 Forbidden", False)


def test_a_browser_of_this_machine_sees_the_page():
    for host in ("127.0.0.1:8080", "localhost:9", "localhost"):
        assert asked({"HOST": host}) == ("200 OK", True)


def test_behind_the_guard_nothing_can_be_written_either(tmp_path):
    journal = Journal(Location.at(tmp_path))
    optuna.create_study(storage=JournalStorage(journal), study_name="s")
    seen = optuna.load_study(storage=JournalStorage(View(journal)), study_name="s")
    lines = list(journal.lines)
    with pytest.raises(PermissionError, match="only shows the study"):
        seen.set_user_attr("x", 1)
    assert journal.lines == lines


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
