"""Readers see the old file or the whole new one, and failed writing leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgu.files.atomic import atomic_write


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
