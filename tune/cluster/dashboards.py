"""Ray's dashboard and Optuna's, for who asks for them; on this machine's loopback alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from optuna.storages import JournalStorage

from tune.search.journal import Journal
from tune.spec.errors import SpecError

HOST = "127.0.0.1"
PORT = 8080  # Optuna's; another where it is taken
NEEDED = {"aiohttp": "ray[default]", "optuna_dashboard": "optuna-dashboard"}

_asked: ContextVar[bool] = ContextVar("dashboards", default=False)


@contextmanager
def dashboards(asked: bool) -> Iterator[None]:
    """Whether a study run inside has them. Raises SpecError where they are not installed."""
    for module, package in NEEDED.items() if asked else ():
        if find_spec(module) is None:
            raise SpecError(f"--dashboard: needs {package}: .venv/bin/pip install '{package}'")
    token = _asked.set(asked)
    try:
        yield
    finally:
        _asked.reset(token)


def of_ray() -> dict[str, Any]:
    """Arguments of `ray.init`, for a node of our own."""
    return {"include_dashboard": _asked.get(), "dashboard_host": HOST}


def serve(journal: Journal, ray_url: str, say: Callable[[str], None]) -> None:
    """Optuna's, from here on, while the process lives; and say where both are."""
    if not _asked.get():
        return
    from optuna_dashboard import wsgi

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing: the terminal has the study's own lines."""

    def server(port: int) -> Any:
        app = wsgi(JournalStorage(journal))
        return make_server(HOST, port, app, handler_class=Quiet)

    try:
        made = server(PORT)
    except OSError:
        made = server(0)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    say(f"Optuna's dashboard: http://{HOST}:{made.server_port}")
    if ray_url:
        say(f"Ray's dashboard: http://{ray_url} (it asks for the token: `ray get-auth-token`)")
