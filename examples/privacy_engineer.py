"""A privacy engineer: a folder of photos, a torchvision ResNet-18 in a .pt file, and a list of
photos to forget.

    .venv/bin/python examples/privacy_engineer.py

`prepare` makes what this engineer has already. The rest are two commands: unlearn the network, and
audit the result beside retrained ones. Some minutes on one CPU core; with photos of 224 x 224
pixels, say `--data photos@224` and take a GPU.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import torch
from PIL import Image
from torch.nn import functional as F
from torchvision.models import resnet18
from torchvision.transforms.functional import normalize

import sgu

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # the network's own, ImageNet's


def prepare(folder: Path, subset: int, epochs: int) -> None:
    """Write photos/train/CLASS/FILE, photos/test/CLASS/FILE, network.pt and forget.csv."""
    source = sgu.load_source("embedded", subset)
    for name, part in (("train", source.train), ("test", source.heldout)):
        for number, (pixels, label) in enumerate(zip(part.inputs, part.targets, strict=True)):
            path = folder / "photos" / name / source.classes[label] / f"{number:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    torch.save({"state_dict": train(source.train, epochs), "epoch": epochs}, folder / "network.pt")
    with (folder / "forget.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for path in sorted((folder / "photos" / "train").glob("*/*.png"))[::6]:
            rows.writerow([path, path.parent.name])


def train(part: sgu.Examples, epochs: int) -> dict[str, torch.Tensor]:
    """Return the weights of a ResNet-18 trained as usual, and not by this project."""
    torch.manual_seed(0)
    model = resnet18(num_classes=10)
    optimiser = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9)
    inputs = normalize(part.inputs / 255, list(MEAN), list(STD))
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs)).split(50):
            optimiser.zero_grad()
            F.cross_entropy(model(inputs[batch]), part.targets[batch]).backward()
            optimiser.step()
    return model.state_dict()


def commands(pretrain_epochs: int, oracles: int, shadows: int) -> list[list[str]]:
    """Return what the engineer types: `sgu ...` to unlearn, and `sgu audit ...` to judge it."""
    shared = ["--data", "photos", "--model", "torchvision/resnet18", "--original", "network.pt"]
    shared += ["--forget", "forget.csv", "--mean", ",".join(map(str, MEAN))]
    shared += ["--std", ",".join(map(str, STD)), "--pretrain-epochs", str(pretrain_epochs)]
    run = ["--epochs", "3", "--lr", "0.01", "--solve-every", "2", "--save", "forgotten.safetensors"]
    judged = ["audit", "forgotten.safetensors", "--oracles", str(oracles)]
    return [[*shared, *run], [*judged, *shared, "--shadows", str(shadows)]]


def main(
    folder: Path, subset: int = 600, epochs: int = 12, oracles: int = 4, shadows: int = 4
) -> list[str]:
    """Run the example in a folder, and return what the commands print."""
    prepare(folder, subset, epochs)
    printed = []
    for words in commands(epochs, oracles, shadows):
        print("sgu", *words)
        command = [sys.executable, "-m", "sgu", *words]
        printed.append(subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE,
                                      text=True).stdout)  # fmt: skip
        print(printed[-1])
    return printed


if __name__ == "__main__":
    main(Path("results/privacy_engineer"))
