"""Training speed against the usual way, and unlearning against retraining:
`python benchmarks/pipeline.py`.

1. Images a second of `sgu.training.loop.train`, images on the device, against a DataLoader
   whose workers augment PIL images by torchvision's transforms: the same network, optimiser, batch,
   augmentation and random images. Runs alternate, after one of each that does not count; medians
   with the range. small_cnn on the CPU, ResNet-18 in bfloat16 where there is a GPU.
2. On a GPU: seconds of a ResNet-18 epoch over 50,000 images, CIFAR's number.
3. Seconds of each method, with its published number of epochs, against retraining in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from sgu.data.examples import Examples, Shape
from sgu.data.pipeline import SHIFT, Pipeline
from sgu.host.provenance import code_version, device_name, versions
from sgu.models import build
from sgu.training.clock import Clock
from sgu.training.inference import default_device, precision
from sgu.training.loop import Optimisation, make_optimiser, steps_of, train

Row = dict[str, Any]
OURS = "this pipeline"
CLASSES, EPOCH = 10, 50_000


class Stored(Dataset):
    """Images in memory, decoded to PIL and transformed one by one, as torchvision's CIFAR10 is."""

    def __init__(self, examples: Examples, pipeline: Pipeline, augment: bool):
        self.images = examples.inputs.permute(0, 2, 3, 1).contiguous().numpy()
        self.targets = examples.targets.tolist()
        crop = transforms.RandomCrop(self.images.shape[1], SHIFT, padding_mode="reflect")
        self.transform = transforms.Compose(
            [
                *([crop, transforms.RandomHorizontalFlip()] if augment else []),
                transforms.ToTensor(),
                transforms.Normalize(pipeline.mean / 255, pipeline.std / 255),
            ]
        )

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[row])), self.targets[row]


def random_examples(count: int) -> Examples:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Examples(images, torch.arange(count) % CLASSES)


def this_pipeline(
    model: str, examples: Examples, made: Optimisation, device: torch.device
) -> Callable[[], None]:
    """A function that trains one epoch as the study does."""
    network = build(model, Shape(CLASSES), 0).to(device)
    pipeline, there = Pipeline.of(examples.inputs), examples.to(device)
    rows = torch.arange(len(examples))
    return lambda: train(network, there, rows, pipeline, made, 0)


def usual_way(
    model: str, examples: Examples, made: Optimisation, device: torch.device, workers: int
) -> Callable[[], None]:
    """A function that trains one epoch from a DataLoader, whose workers are there already."""
    network = build(model, Shape(CLASSES), 0).to(device).train()
    stored = Stored(examples, Pipeline.of(examples.inputs), made.augment)
    loader: DataLoader = DataLoader(
        stored,
        made.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )

    def epoch() -> None:
        optimiser, schedule = make_optimiser(network, made, steps_of(len(stored), made.batch_size))
        for images, targets in loader:
            inputs = images.to(device, non_blocking=True, memory_format=torch.channels_last)
            targets = targets.to(device, non_blocking=True)
            with precision(device):
                loss = F.cross_entropy(network(inputs), targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()

    return epoch


def seconds(run: Callable[[], object], device: torch.device) -> float:
    clock = Clock(device)
    with clock.part("run"):
        run()
    return clock.seconds("run")


def interleaved(
    runs: dict[str, Callable[[], None]], repeats: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each, run in turn; a first round is left out."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            times[name].append(seconds(run, device))
    return {name: taken[1:] for name, taken in times.items()}


def throughput(given: argparse.Namespace, device: torch.device) -> list[Row]:
    """One row for each way, with and without augmentation."""
    model = "resnet18" if device.type == "cuda" else "small_cnn"
    examples, rows = random_examples(given.images), []
    for augment in (True, False):
        made = Optimisation(epochs=1, lr=0.05, augment=augment, batch_size=128)
        runs = {OURS: this_pipeline(model, examples, made, device)} | {
            f"DataLoader, {count} workers": usual_way(model, examples, made, device, count)
            for count in given.workers
        }
        times = interleaved(runs, given.repeats, device)
        ours = statistics.median(times[OURS])
        for name, taken in times.items():
            speeds = sorted(len(examples) / each for each in taken)
            middle = statistics.median(taken)
            rows.append(
                {"part": "throughput", "model": model, "augmented": augment, "way": name}
                | {"images/s": len(examples) / middle, "lowest": speeds[0], "highest": speeds[-1]}
                | {"this is faster by": middle / ours}
            )
    return rows


def epoch_seconds(given: argparse.Namespace, device: torch.device) -> list[Row]:
    """A ResNet-18 epoch over as many images as CIFAR has."""
    made = Optimisation(epochs=1, lr=0.05, augment=True, batch_size=128)
    runs = {"epoch": this_pipeline("resnet18", random_examples(EPOCH), made, device)}
    taken = interleaved(runs, given.repeats, device)["epoch"]
    row = {"part": "epoch", "model": "resnet18", "images": EPOCH}
    shown = {"seconds": statistics.median(taken), "lowest": min(taken), "highest": max(taken)}
    return [row | shown]


def methods_table(given: argparse.Namespace, device: torch.device) -> list[Row]:
    """Seconds of each method on the embedded data, with its game, against retraining."""
    from sgu.experiment import Experiment
    from sgu.methods import METHODS
    from sgu.networks.references import recipe, reference
    from sgu.unlearning import unlearn

    model, rows = "resnet18" if device.type == "cuda" else "small_cnn", list[Row]()
    with tempfile.TemporaryDirectory() as empty:
        cache = Path(empty)
        task = Experiment(model=model).task(cache).to(device)
        original, retrain = (
            reference(recipe(kind, model, task, 0, given.pretrain_epochs), task, cache, device)
            for kind in ("original", "retrain")
        )
        for name in METHODS:
            experiment = Experiment.of(model=model, method=name)
            taken = unlearn(experiment, task, original.model).metrics["seconds"]
            row = {"part": "methods", "model": model, "method": name, "seconds": taken}
            row |= {"of retraining": taken / retrain.seconds}
            rows.append(row | {"epochs": experiment.unlearner().epochs})
    row = {"part": "methods", "model": model, "method": "retrain", "seconds": retrain.seconds}
    epochs = recipe("retrain", model, task, 0, given.pretrain_epochs).optimisation.epochs
    return [row | {"of retraining": 1.0, "epochs": epochs}, *rows]


PARTS = {"throughput": throughput, "epoch": epoch_seconds, "methods": methods_table}


def show(rows: list[Row], device: torch.device) -> None:
    columns = [column for column in rows[0] if column != "part"]
    title = f"{rows[0]['part']}: {device_name(device)}, {torch.get_num_threads()} threads"
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(_text(row[column]) for column in columns))
    Console(width=120).print(table)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return str(value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=list(PARTS))
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[4])
    parser.add_argument("--threads", type=int, default=1, help="of torch, on the CPU")
    parser.add_argument("--pretrain-epochs", type=int, help="of the references; default: as usual")
    parser.add_argument("--json", type=Path, help="write the rows here, too")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device, found = default_device(), list[Row]()
    for name in given.parts:
        if name == "epoch" and device.type != "cuda":
            continue
        rows = PARTS[name](given, device)
        show(rows, device)
        found += rows
    if given.json:
        about = {"device": device_name(device), "threads": given.threads, "versions": versions()}
        about |= {"code_version": code_version()[0], "images": given.images}
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(about | {"rows": found}, indent=1))


if __name__ == "__main__":
    main()
