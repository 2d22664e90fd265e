"""Files are whole or absent: in a folder, in a bucket, and on a disk that is full."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyarrow.fs import FileSelector

from sgu.files.folder import Folder


@pytest.fixture(params=["local", "s3"])
def folder(request, tmp_path) -> Folder:
    if request.param == "s3":
        return Folder.at(request.getfixturevalue("bucket")("files"))
    return Folder.at(tmp_path / "some" / "folder")


def test_a_file_comes_back(folder):
    assert folder.get("a") is None
    assert folder.names() == []
    folder.put("b", b"first")
    folder.put("a", b"x" * 10_000_000)
    folder.put("b", b"second")
    folder.inside("deeper").put("c", b"")
    assert folder.get("a") == b"x" * 10_000_000
    assert folder.get("b") == b"second"
    assert folder.inside("deeper").get("c") == b""
    assert folder.names() == ["a", "b"]


def test_clearing_deletes_files_after_folders_in_order(folder):
    """A driver killed within it leaves no rows without the specification that says whose."""
    for name in ("driver.json", "spec.yaml", "optuna.journal"):
        folder.put(name, b"")
    folder.inside("trials").put("row", b"")
    folder.inside("deeper").put("row", b"")
    gone, filesystem = [], folder.filesystem

    class Seen:
        get_file_info = staticmethod(filesystem.get_file_info)

        def delete_dir(self, path):
            filesystem.delete_dir(path)
            gone.append(path.split("/")[-1])

        def delete_file(self, path):
            filesystem.delete_file(path)
            gone.append(path.split("/")[-1])

    Folder(Seen(), folder.path, folder.shown).clear(but="driver.json")
    assert gone == ["deeper", "trials", "optuna.journal", "spec.yaml"]
    assert folder.names() == ["driver.json"]


def test_a_file_is_removed_once_or_twice(folder):
    folder.put("a", b"1")
    folder.remove("a")
    folder.remove("a")
    assert folder.get("a") is None


def test_what_was_not_finished_is_swept(folder):
    folder.put("a", b"1")
    with folder.filesystem.open_output_stream(f"{folder.path}/_host-1_b") as left:
        left.write(b"half")
    assert folder.names() == ["a"]
    folder.sweep()
    left_over = folder.filesystem.get_file_info(FileSelector(folder.path))
    assert [info.base_name for info in left_over] == ["a"]


def test_threads_that_write_one_file_are_in_nobodys_way(tmp_path):
    folder = Folder.at(tmp_path)

    def write(content: bytes) -> None:
        for _ in range(50):
            folder.put("a", content)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (b"1" * 1000, b"2" * 1000)))  # raises what a thread raised
    assert folder.get("a") in (b"1" * 1000, b"2" * 1000)


def test_who_reads_while_it_grows_sees_it_whole(folder):
    def grow() -> None:
        for size in range(150):
            folder.put("a", b"x" * size + b".")

    folder.put("a", b".")
    with ThreadPoolExecutor(1) as pool:
        growing = pool.submit(grow)
        while not growing.done():
            content = folder.get("a")
            assert content is not None
            assert content.endswith(b".")
    growing.result()


def test_a_full_disk_leaves_the_file_before(small_disk: Path):
    folder = Folder.at(small_disk)
    folder.put("a", b"1" * 100_000)
    with pytest.raises(OSError, match="space") as full:
        folder.put("a", b"2" * 250_000)
    assert full.value.errno == errno.ENOSPC
    assert folder.get("a") == b"1" * 100_000
    folder.sweep()
    assert os.listdir(small_disk) == ["a"]
    folder.put("a", b"3" * 150_000)
    assert folder.get("a") == b"3" * 150_000
