"""Downloads into the data folder: what arrives is whole, and what fails leaves nothing behind."""

import http.client
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sgu.files.errors import DataError

PATIENCE = 30.0  # seconds to wait for an answer; torchvision itself would wait for ever


@contextmanager
def downloading(folder: Path, advice: Callable[[Exception], str]) -> Iterator[Path]:
    """Yield a temporary folder in `folder` to download into; move files from it once all are whole.

    So processes that start together do not collide. Raises DataError with `advice` on a failure.
    """
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="unfinished-") as temporary:
            yield Path(temporary)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise DataError(advice(error)) from error
    finally:
        socket.setdefaulttimeout(patience)
