"""CIFAR-10, CIFAR-100 and SVHN, read and checked by torchvision, from the folder SGU_DATA.

Sources: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; Y. Netzer et
al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import CIFAR10, CIFAR100, SVHN
from torchvision.datasets.utils import check_integrity

from sgu.data.base import Source, make_source
from sgu.data.download import downloading
from sgu.data.examples import Examples
from sgu.data.memmap import data_folder

Sums = dict[str, str]  # md5 sums of files, by their paths in the data folder


def svhn() -> Source:
    """Return SVHN: 73,257 + 26,032 cropped digits, without the extra ones; class 0 is digit 0."""
    parts = ("train", "test")

    def download(folder: Path) -> None:
        for part in parts:
            SVHN(folder, part, download=True)

    files = {file: md5 for _, file, md5 in (SVHN.split_list[part] for part in parts)}
    folder = _downloaded("svhn", files, {}, download)
    sets = (SVHN(folder, part) for part in parts)
    train, heldout = (_examples(part.data, part.labels) for part in sets)
    return make_source("svhn", train, heldout, tuple("0123456789"))


def _cifar(name: str, cifar: type[CIFAR10]) -> Source:
    def download(folder: Path) -> None:
        cifar(folder, download=True)

    listed = [*cifar.train_list, *cifar.test_list, (cifar.meta["filename"], cifar.meta["md5"])]
    files = {f"{cifar.base_folder}/{file}": md5 for file, md5 in listed}
    folder = _downloaded(name, files, {cifar.filename: cifar.tgz_md5}, download)
    sets = [cifar(folder, train=part) for part in (True, False)]
    train, heldout = (_examples(part.data.transpose(0, 3, 1, 2), part.targets) for part in sets)
    return make_source(name, train, heldout, tuple(sets[0].classes))


cifar10 = partial(_cifar, "cifar10", CIFAR10)  # 60,000 images of 10 classes
cifar100 = partial(_cifar, "cifar100", CIFAR100)  # 60,000 images of the 100 fine classes


def _examples(images: np.ndarray, targets: np.ndarray | list[int]) -> Examples:
    inputs = torch.from_numpy(np.ascontiguousarray(images))
    return Examples(inputs, torch.as_tensor(targets, dtype=torch.int64))


def _downloaded(name: str, files: Sums, archives: Sums, download: Callable[[Path], None]) -> Path:
    """Return the data folder, after downloading a set if one of its files is not whole.

    download: fetches the set into a folder, except for an archive that is whole in it.
    """
    folder = data_folder()
    if unfit := _unfit(folder, files):
        with downloading(folder, partial(_advice, name, folder, unfit, archives)) as temporary:
            for archive, md5 in archives.items():
                if check_integrity(folder / archive, md5):
                    (temporary / archive).symlink_to(folder / archive)
            download(temporary)
            for file in files:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                os.replace(temporary / file, folder / file)
    return folder


def _unfit(folder: Path, files: Sums) -> list[str]:
    """Return each file that is missing or not as published, with the reason."""
    return [
        f"{file} is {'damaged' if (folder / file).is_file() else 'missing'}"
        for file, md5 in files.items()
        if not check_integrity(folder / file, md5)
    ]


def _advice(name: str, folder: Path, unfit: list[str], archives: Sums, error: Exception) -> str:
    wanted = " or ".join([*archives, "the files themselves"])
    return (
        f"{name}: {', '.join(unfit)} in {folder}, and the download failed ({error}): put {wanted} "
        "there, set SGU_DATA to a folder that has them, or give --data a folder of Parquet image "
        "tables instead of the name"
    )
