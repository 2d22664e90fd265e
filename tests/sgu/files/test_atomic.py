"""Readers see the old file or the whole new one, and failed writing leaves nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sgu.files.atomic import atomic_write
from sgu.files.tensors import open_tensors


def test_a_file_appears_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "deep" / "rows.txt"
    with atomic_write(path) as unfinished:
        unfinished.write_text("new")
        assert unfinished.name.startswith("_")  # readers skip it
        assert unfinished.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_failed_writing_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "rows.txt"
    path.write_text("old")

    def write() -> None:
        with atomic_write(path) as unfinished:
            unfinished.write_text("ha")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_decides_who_may_read_a_file(tmp_path: Path, mask: int, mode: int):
    before = os.umask(mask)
    try:
        with atomic_write(tmp_path / "model.safetensors") as unfinished:
            save_file({"w": np.ones(3)}, unfinished)  # on its own for the owner alone
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model.safetensors").stat().st_mode) == mode


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path):
    path = tmp_path / ("é" * 120 + ".parquet")  # 248 bytes of 255
    with atomic_write(path) as unfinished:
        unfinished.write_text("new")
    assert path.read_text() == "new"


def test_a_file_that_may_not_be_read_is_called_so(tmp_path: Path):
    """Root may read all files: another user tries."""
    path = tmp_path / "model.safetensors"
    save_file({"w": np.ones(3)}, path)
    path.chmod(0o600)
    if os.geteuid() == 0:
        os.seteuid(65534)
    else:
        path.chmod(0)
    try:
        with pytest.raises(PermissionError, match="Permission denied"), open_tensors(path):
            pass
    finally:
        os.seteuid(os.getuid())
