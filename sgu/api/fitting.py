"""The check that a network can answer a task, before anything takes time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sgu.task import Task
from sgu.training.inference import device_of, evaluating


def check_task(task: object) -> None:
    """Raise ValueError for what is no task."""
    if not isinstance(task, Task):
        kind = type(task).__name__
        raise ValueError(f"task is a {kind}; need sgu.Task.of(train, heldout, forget=indices)")


def check_network(model: nn.Module, task: Task, name: str = "model") -> None:
    """Raise ValueError unless the network gives logits (n, C) for the task's inputs.

    C may exceed the number of classes in the data. name: of the network, for the error.
    """
    if not isinstance(model, nn.Module):
        inside = ": give its .model" if hasattr(model, "model") else ""
        raise ValueError(f"{name} is a {type(model).__name__}; need a torch.nn.Module{inside}")
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
    if (logits >= 0).all() and torch.allclose(logits.sum(1), torch.ones(()).to(logits)):
        raise ValueError(
            f"{name} gives probabilities; need logits (n, C): leave the softmax at its end out"
        )


def check_trainable(model: nn.Module) -> None:
    """Raise ValueError for a network all of whose weights are frozen."""
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ValueError(
            "all weights of the model are frozen: set requires_grad for those that may change"
        )
