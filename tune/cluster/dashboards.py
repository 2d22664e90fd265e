"""Serves Ray's dashboard and Optuna's if asked to, on this machine's loopback only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from tune.search.journal import Journal
from tune.spec.errors import SpecError

HOST = "127.0.0.1"
PORT = 8080  # of Optuna's dashboard; if it is taken, another one
NEEDED = {"aiohttp": "ray[default]", "optuna_dashboard": "optuna-dashboard"}

_wanted: ContextVar[bool] = ContextVar("dashboards", default=False)


@contextmanager
def dashboards(wanted: bool) -> Iterator[None]:
    """Turn dashboards on or off within the block. Raises SpecError if one is not installed."""
    for module, package in NEEDED.items() if wanted else ():
        if find_spec(module) is None:
            raise SpecError(f"--dashboard: needs {package}: .venv/bin/pip install '{package}'")
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def ray_arguments() -> dict[str, Any]:
    """Return arguments of `ray.init` for a node on this machine."""
    return {"include_dashboard": _wanted.get(), "dashboard_host": HOST}


class View(BaseJournalBackend):
    """A journal as others may see it: nothing can be written."""

    def __init__(self, journal: Journal):
        self.journal = journal

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return self.journal.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise PermissionError(f"{len(logs)} changes refused: the dashboard only shows the study")


def guarded(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Return a WSGI application that only shows, and only to pages of this machine.

    Optuna's page has no login: any user of the machine may ask it. A Host that is none of this
    machine's is a web page elsewhere that had its name point here (DNS rebinding).
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "").rpartition(":")[0] or environ.get("HTTP_HOST", "")
        if host not in (HOST, "localhost"):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [f"ask for it as {HOST}\n".encode()]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD")])
            return [b"this page only shows the study\n"]
        return app(environ, start_response)

    return answer


def serve(journal: Journal, ray_url: str, say: Callable[[str], None]) -> None:
    """Serve Optuna's dashboard until the process ends, and say where both dashboards are."""
    if not _wanted.get():
        return
    from optuna_dashboard import wsgi

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Print nothing: the terminal is for the study's own lines."""

    def server_at(port: int) -> Any:
        app = guarded(wsgi(JournalStorage(View(journal))))
        return make_server(HOST, port, app, handler_class=Quiet)

    try:
        server = server_at(PORT)
    except OSError:
        server = server_at(0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(f"Optuna's dashboard: http://{HOST}:{server.server_port}")
    if ray_url:
        say(f"Ray's dashboard: http://{ray_url} (it asks for the token: `ray get-auth-token`)")
