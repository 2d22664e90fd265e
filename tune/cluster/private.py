"""What only the study's owner may read: Ray's token, and the folder of its sockets and logs.

Ray makes both readable for all, and its folder writable: another user of the machine could run code
in the owner's name.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LONGEST = 30  # bytes: paths of Ray's sockets have 107 at most, and some 60 come below its folder


def private_token() -> None:
    """Let only the owner read Ray's token, if there is one, and the folder it is kept in."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    home = os.path.expanduser("~")
    folder = Path(home) / ".ray"
    with suppress(OSError):  # of another user, say: then it is not ours to protect
        if not named and os.path.isabs(home):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
        token = Path(named) if named else folder / "auth_token"
        if token.is_file():
            token.chmod(0o600)


@contextmanager
def private_folder() -> Iterator[str]:
    """Yield a place for Ray in a new folder that nobody else may enter, and delete it at the end:
    Ray opens its own folder to all, so that one lies in another.

    It lies in RAY_TMPDIR or the system's temporary folder, unless that has too long a name.
    """
    places = [os.environ.get("RAY_TMPDIR"), tempfile.gettempdir(), "/tmp"]
    place = next(place for place in places if place and len(os.fsencode(place)) <= LONGEST)
    folder = tempfile.mkdtemp(prefix="sgu-", dir=place)
    try:
        yield f"{folder}/ray"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
