"""Training speed against the usual way, and unlearning against retraining:
`python benchmarks/pipeline.py`.

1. Images a second of `sgu.training.loop.train`, images on the device, against a DataLoader
   whose workers augment PIL images by torchvision's transforms: the same network, optimiser, batch,
   augmentation and random images. Runs alternate, after one uncounted run of each; medians
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
from sgu.host.devices import precision
from sgu.host.provenance import code_version, device_name, versions
from sgu.models import build
from sgu.training.clock import Clock
from sgu.training.inference import default_device
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

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.targets[index]


def random_examples(count: int) -> Examples:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Examples(images, torch.arange(count) % CLASSES)


def this_pipeline(
    model: str, examples: Examples, optimisation: Optimisation, device: torch.device
) -> Callable[[], None]:
    """Return a function that trains one epoch as the study does."""
    network = build(model, Shape(CLASSES), 0).to(device)
    pipeline, on_device = Pipeline.of(examples.inputs), examples.to(device)
    indices = torch.arange(len(examples))
    return lambda: train(network, on_device, indices, pipeline, optimisation, 0)


def usual_way(
    model: str, examples: Examples, optimisation: Optimisation, device: torch.device, workers: int
) -> Callable[[], None]:
    """Return a function that trains one epoch from a DataLoader whose workers run already."""
    network = build(model, Shape(CLASSES), 0).to(device).train()
    stored = Stored(examples, Pipeline.of(examples.inputs), optimisation.augment)
    loader: DataLoader = DataLoader(
        stored,
        optimisation.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )

    def epoch() -> None:
        steps = steps_of(len(stored), optimisation.batch_size)
        optimiser, schedule = make_optimiser(network, optimisation, steps)
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
    """Return the seconds of each run, taken in turn; a first round is left out."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            times[name].append(seconds(run, device))
    return {name: taken[1:] for name, taken in times.items()}


def throughput(args: argparse.Namespace, device: torch.device) -> list[Row]:
    """Return a row for each way, with and without augmentation."""
    model = "resnet18" if device.type == "cuda" else "small_cnn"
    examples, rows = random_examples(args.images), []
    for augment in (True, False):
        optimisation = Optimisation(epochs=1, lr=0.05, augment=augment, batch_size=128)
        runs = {OURS: this_pipeline(model, examples, optimisation, device)} | {
            f"DataLoader, {count} workers": usual_way(model, examples, optimisation, device, count)
            for count in args.workers
        }
        times = interleaved(runs, args.repeats, device)
        ours = statistics.median(times[OURS])
        for name, taken in times.items():
            speeds = sorted(len(examples) / run_seconds for run_seconds in taken)
            middle = statistics.median(taken)
            rows.append(
                {"part": "throughput", "model": model, "augmented": augment, "way": name}
                | {"images/s": len(examples) / middle, "lowest": speeds[0], "highest": speeds[-1]}
                | {"this is faster by": middle / ours}
            )
    return rows


def epoch_seconds(args: argparse.Namespace, device: torch.device) -> list[Row]:
    """Return the seconds of a ResNet-18 epoch over as many images as CIFAR has."""
    optimisation = Optimisation(epochs=1, lr=0.05, augment=True, batch_size=128)
    runs = {"epoch": this_pipeline("resnet18", random_examples(EPOCH), optimisation, device)}
    taken = interleaved(runs, args.repeats, device)["epoch"]
    row = {"part": "epoch", "model": "resnet18", "images": EPOCH}
    shown = {"seconds": statistics.median(taken), "lowest": min(taken), "highest": max(taken)}
    return [row | shown]


def methods_table(args: argparse.Namespace, device: torch.device) -> list[Row]:
    """Return the seconds of each method on the embedded data, with its game, against retraining."""
    from sgu.experiment import Experiment
    from sgu.methods import METHODS
    from sgu.networks.references import recipe, reference
    from sgu.unlearning import unlearn

    model, rows = "resnet18" if device.type == "cuda" else "small_cnn", list[Row]()
    with tempfile.TemporaryDirectory() as empty:
        cache = Path(empty)
        task = Experiment(model=model).task(cache).to(device)
        original, retrain = (
            reference(recipe(kind, model, task, 0, args.pretrain_epochs), task, cache, device)
            for kind in ("original", "retrain")
        )
        for name in METHODS:
            experiment = Experiment.of(model=model, method=name)
            taken = unlearn(experiment, task, original.model).metrics["seconds"]
            row = {"part": "methods", "model": model, "method": name, "seconds": taken}
            row |= {"of retraining": taken / retrain.seconds}
            rows.append(row | {"epochs": experiment.unlearner().epochs})
    row = {"part": "methods", "model": model, "method": "retrain", "seconds": retrain.seconds}
    epochs = recipe("retrain", model, task, 0, args.pretrain_epochs).optimisation.epochs
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
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device, all_rows = default_device(), list[Row]()
    for name in args.parts:
        if name == "epoch" and device.type != "cuda":
            continue
        rows = PARTS[name](args, device)
        show(rows, device)
        all_rows += rows
    if args.json:
        about = {"device": device_name(device), "threads": args.threads, "versions": versions()}
        about |= {"code_version": code_version()[0], "images": args.images}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(about | {"rows": all_rows}, indent=1))


if __name__ == "__main__":
    main()
