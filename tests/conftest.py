"""Small tasks and a store that several tests share; one thread, since nets this small make threads
wait."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pyarrow.fs import FileSystem
from torch import nn

from sgu.data.sources import Examples, Source, make_source
from sgu.data.splits.splits import Splits, random_splits
from sgu.networks.references import recipe, reference
from sgu.task import Task

torch.set_num_threads(1)
os.environ |= {"RAY_worker_niceness": "0"}  # at Ray's own 15, they hardly run beside other tests
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it

Bits = dict[str, torch.Tensor]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files of long tests first, then those of slow ones: where files are handed out in this
    order (`make test`), none is left to the end."""
    weights = Counter[Path]()
    for item in items:
        for marker, weight in (("long", 10), ("slow", 1)):
            weights[item.path] += weight * (item.get_closest_marker(marker) is not None)
    items.sort(key=lambda item: -weights[item.path])


def _noise(count: int, side: int, classes: int, generator: torch.Generator) -> Examples:
    """Random images, a little brighter with every class; no two are alike."""
    targets = torch.arange(count) % classes
    images = torch.randint(0, 200, (count, 1, side, side), generator=generator)
    return Examples((images + 10 * targets[:, None, None, None]).to(torch.uint8), targets)


@pytest.fixture(scope="session")
def toy_source() -> Source:
    """Three classes of 4x4 noise: 150 train and 150 held-out images."""
    generator = torch.Generator().manual_seed(0)
    return make_source("toy", *(_noise(150, 4, 3, generator) for _ in range(2)))


@pytest.fixture(scope="session")
def toy(toy_source: Source) -> Callable[..., Task]:
    """A task on the toy source; without splits: a random fifth is forgotten."""

    def make(splits: Splits | None = None) -> Task:
        return Task.of(toy_source, splits or random_splits(toy_source, 0.2))

    return make


@pytest.fixture(scope="session")
def memorable() -> Callable[[int, int], Task]:
    """A maker of tasks, of so many train and held-out images of noise, 8x8, five classes, each a
    little brighter than the one before: a network learns some of it and remembers the rest. A fifth
    is forgotten."""

    def make(*counts: int) -> Task:
        generator = torch.Generator().manual_seed(0)
        source = make_source("memorable", *(_noise(count, 8, 5, generator) for count in counts))
        return Task.of(source, random_splits(source, 0.2))

    return make


@pytest.fixture(scope="session")
def task() -> Task:
    """The embedded data, 400 train images, every second row and column of them (a network learns
    four times as fast); a tenth is forgotten."""
    whole = Task.load("embedded", subset=400).source
    parts = (whole.train, whole.heldout)
    train, heldout = (Examples(p.inputs[..., ::2, ::2].clone(), p.targets) for p in parts)
    source = replace(whole, train=train, heldout=heldout)
    return Task.of(source, random_splits(source, 0.1))


@pytest.fixture(scope="session")
def original(task: Task, tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    """A network trained on the task's train images for eight epochs, by one process for all.

    After three the running statistics of batch-norm are so far behind that it guesses.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    made = recipe("original", "small_cnn", task, 0, 8)
    with (folder / "original.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return reference(made, task, folder / "networks", torch.device("cpu")).model


@pytest.fixture(scope="session")
def bits() -> Callable[[nn.Module], Bits]:
    """A copy of weights and buffers."""
    return lambda model: {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="session")
def same() -> Callable[[Bits, Bits], bool]:
    """Return a function that is True if two such copies agree bit for bit."""

    def compare(left: Bits, right: Bits) -> bool:
        return left.keys() == right.keys() and all(
            torch.equal(left[name], right[name]) for name in left
        )

    return compare


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a server on this machine that speaks S3's protocol."""
    server = pytest.importorskip("moto.server", reason="needs moto[s3] and flask")
    from moto.s3.models import FakeKey

    # moto closes an object that is written over while another request still reads it
    FakeKey.dispose = lambda *_, **__: None
    found = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    found.start()
    host, port = found.get_host_and_port()
    yield f"{host}:{port}"
    found.stop()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """An address in it, of a bucket that is made anew."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")

    def address(name: str) -> str:
        query = f"endpoint_override={s3}&scheme=http&region=us-east-1&allow_bucket_creation=true"
        filesystem, path = FileSystem.from_uri(f"s3://{name}-{uuid.uuid4().hex[:8]}?{query}")
        filesystem.create_dir(path)
        return f"s3://{path}/studies?{query}"

    return address


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
