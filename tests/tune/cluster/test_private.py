"""Nobody else may read the token or enter Ray's folder, whose path stays short enough."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tune.cluster.private import LONGEST, private_folder, private_token


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_token_and_its_folder_are_for_their_owner(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    private_token()
    token = tmp_path / ".ray" / "auth_token"
    token.write_text("0")
    token.chmod(0o644)
    private_token()
    assert (mode(token), mode(token.parent)) == (0o600, 0o700)


def test_a_token_elsewhere_is_closed_and_its_folder_left(tmp_path, monkeypatch):
    token = tmp_path / "token"
    token.write_text("0")
    tmp_path.chmod(0o755)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    private_token()
    assert (mode(token), mode(tmp_path)) == (0o600, 0o755)


@pytest.mark.parametrize("place", ["short", "long", "none"])
def test_rays_folder_is_private_short_and_gone_at_the_end(tmp_path, monkeypatch, place):
    long = tmp_path / ("x" * LONGEST)
    long.mkdir()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    if place == "long":
        monkeypatch.setenv("RAY_TMPDIR", str(long))
    with private_folder() as folder:
        assert mode(Path(folder).parent) == 0o700  # Ray makes its own 0777
        assert len(os.fsencode(folder)) <= LONGEST + len("/sgu-12345678/ray")
        (Path(folder) / "session").mkdir(parents=True)
    assert not Path(folder).parent.exists()
