"""The check that a network can answer a task, before anything takes time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sgu.task import Task
from sgu.training.inference import device_of, evaluating


def check_network(model: nn.Module, task: Task, name: str = "model") -> None:
    """Raise ValueError unless the network gives logits (n, C) for the task's inputs.

    C may exceed the number of classes in the data. name: of the network, for the error.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"{name} is a {type(model).__name__}; need a torch.nn.Module")
    if next(model.parameters(), None) is None:
        raise ValueError(f"{name} has no parameters: there is nothing that could forget")
    examples, classes = task.source.train, task.source.num_classes
    inputs, _ = examples.at(torch.arange(min(2, len(examples))), device_of(model))
    prepared = task.pipeline.prepare(inputs)
    try:
        with evaluating(model), torch.no_grad():
            logits = model(prepared)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{name} cannot take what train yields, {prepared.dtype} {tuple(prepared.shape[1:])} "
            f"({reason}): give the data as the network was trained on them"
        ) from error
    if not isinstance(logits, Tensor):
        raise ValueError(f"{name} gives a {type(logits).__name__}; need logits (n, C): wrap it")
    if logits.ndim != 2 or len(logits) != len(inputs) or logits.shape[1] < classes:
        raise ValueError(
            f"{name} gives {tuple(logits.shape)} for {len(inputs)} examples; need logits (n, C), "
            f"C >= {classes}, the largest label + 1"
        )
