"""Files are whole or absent: in a folder, in a bucket, and on a disk that is full."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyarrow.fs import FileSelector

from sgu.files.location import Location, joined


@pytest.fixture(params=["local", "s3"])
def folder(request, tmp_path) -> Location:
    if request.param == "s3":
        return Location.at(request.getfixturevalue("bucket")("files"))
    return Location.at(tmp_path / "some" / "folder")


def test_content_comes_back(folder):
    files = {name: folder.inside(name) for name in "ab"}
    assert files["a"].read() is None
    assert folder.names() == []
    files["b"].write(b"first")
    files["a"].write(b"x" * 10_000_000)
    files["b"].write(b"second")
    folder.inside("deeper").inside("c").write(b"")
    assert files["a"].read() == b"x" * 10_000_000
    assert files["b"].read() == b"second"
    assert folder.inside("deeper").inside("c").read() == b""
    assert folder.names() == ["a", "b"]


def test_a_name_is_inside_a_path_or_an_address():
    assert joined(Path("results/"), "study") == joined("results/", "study") == "results/study"
    address = "s3://bucket/results/?region=us-east-1&scheme=http"
    assert joined(address, "study") == "s3://bucket/results/study?region=us-east-1&scheme=http"


def test_clearing_deletes_folders_first_and_then_files_in_order(folder):
    """A driver killed while it clears leaves no rows without their specification."""
    for name in ("driver.json", "spec.yaml", "optuna.journal"):
        folder.inside(name).write(b"")
    folder.inside("trials").inside("row").write(b"")
    folder.inside("deeper").inside("row").write(b"")
    deleted, filesystem = [], folder.filesystem

    class Recording:
        get_file_info = staticmethod(filesystem.get_file_info)

        def delete_dir(self, path):
            filesystem.delete_dir(path)
            deleted.append(path.split("/")[-1])

        def delete_file(self, path):
            filesystem.delete_file(path)
            deleted.append(path.split("/")[-1])

    mine = ("spec.yaml", "optuna.journal", "trials", "deeper", "absent")
    Location(Recording(), folder.path, folder.shown).clear(mine)
    assert deleted == ["deeper", "trials", "optuna.journal", "spec.yaml"]
    assert folder.names() == ["driver.json"]
    folder.clear()
    assert folder.names() == []


def test_a_file_can_be_removed_twice(folder):
    file = folder.inside("a")
    file.write(b"1")
    file.remove()
    file.remove()
    assert file.read() is None


def test_unfinished_files_are_swept(folder):
    folder.inside("a").write(b"1")
    with folder.filesystem.open_output_stream(f"{folder.path}/_host-1_b") as unfinished:
        unfinished.write(b"half")
    assert folder.names() == ["a"]
    folder.sweep()
    infos = folder.filesystem.get_file_info(FileSelector(folder.path))
    assert [info.base_name for info in infos] == ["a"]


def test_threads_can_write_one_file_at_once(tmp_path):
    file = Location.at(tmp_path / "a")

    def write(content: bytes) -> None:
        for _ in range(50):
            file.write(content)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (b"1" * 1000, b"2" * 1000)))  # raises what a thread raised
    assert file.read() in (b"1" * 1000, b"2" * 1000)


def test_a_reader_sees_a_growing_file_whole(folder):
    file = folder.inside("a")

    def grow() -> None:
        for size in range(150):
            file.write(b"x" * size + b".")

    file.write(b".")
    with ThreadPoolExecutor(1) as pool:
        growing = pool.submit(grow)
        while not growing.done():
            content = file.read()
            assert content is not None
            assert content.endswith(b".")
    growing.result()


def test_a_full_disk_leaves_the_old_file(small_disk: Path):
    file = Location.at(small_disk / "a")
    file.write(b"1" * 100_000)
    with pytest.raises(OSError, match="space") as full:
        file.write(b"2" * 250_000)
    assert full.value.errno == errno.ENOSPC
    assert file.read() == b"1" * 100_000
    assert os.listdir(small_disk) == ["a"]
    file.write(b"3" * 150_000)
    assert file.read() == b"3" * 150_000
