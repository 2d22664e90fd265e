"""CIFAR-10, CIFAR-100 and SVHN, read and checked by torchvision, from the folder SGU_DATA.

Sources: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; Y. Netzer et
al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011.
"""

import http.client
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import CIFAR10, CIFAR100, SVHN
from torchvision.datasets.utils import check_integrity

from sgu.data.base import Source, make_source
from sgu.data.examples import Examples
from sgu.data.memmap import root
from sgu.files.errors import DataError

PATIENCE = 30.0  # seconds for an answer of the network; torchvision itself would wait for ever


@dataclass(frozen=True)
class Published:
    """A set that torchvision knows. files, archives: paths below the root, and their md5 sums;
    download: fetches the set into a folder, but for an archive that is whole there."""

    name: str
    files: dict[str, str]
    archives: dict[str, str]
    download: Callable[[Path], None]

    def folder(self) -> Path:
        """The root, with all files whole: they are downloaded where they are not.

        A download goes into a folder of its own, and its files are moved when all are whole: what
        is cut short leaves nothing behind, and processes that start together do not meet.
        """
        folder = root()
        if unfit := _unfit(folder, self.files):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=folder, prefix="unfinished-") as temporary:
                    self._fetch(folder, Path(temporary))
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                raise DataError(self._advice(folder, unfit, error)) from error
        return folder

    def _fetch(self, folder: Path, temporary: Path) -> None:
        for archive, md5 in self.archives.items():
            if check_integrity(folder / archive, md5):
                (temporary / archive).symlink_to(folder / archive)
        with patience():
            self.download(temporary)
        for file in self.files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            os.replace(temporary / file, folder / file)

    def _advice(self, folder: Path, unfit: list[str], error: Exception) -> str:
        wanted = " or ".join([*self.archives, f"the {len(self.files)} files themselves"])
        return (
            f"{self.name}: {', '.join(unfit)} in {folder}, and the download failed ({error}): put "
            f"{wanted} there, set SGU_DATA to a folder that has them, or give --data a folder of "
            "Parquet image tables instead of the name"
        )


def cifar10() -> Source:
    """60,000 images of 10 classes."""
    return _cifar("cifar10", CIFAR10)


def cifar100() -> Source:
    """60,000 images of the 100 fine classes."""
    return _cifar("cifar100", CIFAR100)


def svhn() -> Source:
    """Cropped house numbers, 73,257 and 26,032, without the extra ones; class 0 is the digit 0."""
    parts = ("train", "test")

    def download(folder: Path) -> None:
        for part in parts:
            SVHN(folder, part, download=True)

    files = {file: md5 for _, file, md5 in (SVHN.split_list[part] for part in parts)}
    folder = Published("svhn", files, {}, download).folder()
    read = (SVHN(folder, part) for part in parts)
    train, heldout = (_examples(part.data, part.labels) for part in read)
    return make_source("svhn", train, heldout, tuple("0123456789"))


def _cifar(name: str, kind: type[CIFAR10]) -> Source:
    def download(folder: Path) -> None:
        kind(folder, download=True)

    listed = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    files = {f"{kind.base_folder}/{file}": md5 for file, md5 in listed}
    folder = Published(name, files, {kind.filename: kind.tgz_md5}, download).folder()
    read = [kind(folder, train=part) for part in (True, False)]
    train, heldout = (_examples(part.data.transpose(0, 3, 1, 2), part.targets) for part in read)
    return make_source(name, train, heldout, tuple(read[0].classes))


def _examples(images: np.ndarray, targets: np.ndarray | list[int]) -> Examples:
    """images: uint8 (N, C, H, W)."""
    inputs = torch.from_numpy(np.ascontiguousarray(images))
    return Examples(inputs, torch.as_tensor(targets, dtype=torch.int64))


def _unfit(folder: Path, files: dict[str, str]) -> list[str]:
    """Each file that is missing or not the published one, with the reason."""
    return [
        f"{file} is {'damaged' if (folder / file).is_file() else 'missing'}"
        for file, md5 in files.items()
        if not check_integrity(folder / file, md5)
    ]


@contextmanager
def patience() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
