"""Errors on the way to a cluster, or of an address without one, are one line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tune.cluster.connection import connected
from tune.cluster.submit import SubmitError, submit
from tune.spec.errors import SpecError
from tune.spec.spec import Spec

SPEC = Spec.model_validate({"name": "sent", "search": {"alpha": [0.1, 1.0]}})
AGENTS = "Traceback (most recent call last):\nException: No available agent to submit job, later.\n"


class Dashboard(BaseHTTPRequestHandler):
    """A head's dashboard that has all packages, starts jobs if it has agents, and has no logs."""

    agents = False

    def do_GET(self) -> None:
        answer = {"version": "4", "ray_version": "2.60.0", "ray_commit": "0", "session_name": "s"}
        self._answer(404 if "logs" in self.path else 200, json.dumps(answer))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        job = json.dumps({"job_id": "a", "submission_id": "sent-1"})
        self._answer(*((200, job) if self.agents else (500, AGENTS)))

    def _answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def dashboard() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Dashboard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_head_without_agents_is_named(dashboard):
    with pytest.raises(SubmitError, match=rf"^{dashboard}: .*No available agent[^\n]*$"):
        submit(SPEC, dashboard, "/shared/results", print)


def test_if_the_log_breaks_off_the_error_says_how_to_follow_the_job(dashboard, monkeypatch):
    monkeypatch.setattr(Dashboard, "agents", True)
    lines: list[str] = []
    with pytest.raises(SubmitError, match=r"tells no more of job sent-1 .*ray job logs[^\n]*$"):
        submit(SPEC, dashboard, "/shared/results", lines.append)
    assert lines[0].startswith("job sent-1 runs study sent")


@pytest.mark.parametrize("address", ["foo", "foo:bar"])
def test_a_malformed_address_is_named(address):
    message = rf"^--address {address} \(expected auto[^\n]*$"
    with pytest.raises(SpecError, match=message), connected(SPEC, address):
        pass
