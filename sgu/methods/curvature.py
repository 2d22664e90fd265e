"""Derivatives of the loss around a network's weights, for the one-step methods.

For an example with logits f(θ), p = softmax(f), J = df/dθ and S = diag(p) - p p^T:
    g = J^T (p - e_y)    the gradient of its cross-entropy
    G = J^T S J          its Fisher information, which is its Gauss-Newton matrix
G is the Hessian where f is linear in θ. Vectors over the weights are flat (d,), in the order of
`parameters`, without those that are frozen (`requires_grad` False). All is in evaluation mode,
without augmentation, and in the precision of the weights: bfloat16 or TF32 would lose the
differences that conjugate gradients need.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from sgu.data.examples import Examples
from sgu.data.pipeline import Pipeline
from sgu.host.devices import full_float32, to_device
from sgu.task import Task
from sgu.training.inference import device_of, evaluating
from sgu.training.loop import Diverged

VALUES_AT_ONCE = 2**29  # of gradients of single examples: 2 GiB in float32

Saw = Callable[[int], None]
# logits (n, classes), targets (n,) -> vectors over the logits (draws, n, classes)
Pull = Callable[[Tensor, Tensor], Tensor]


def residual(logits: Tensor, targets: Tensor) -> Tensor:
    """Return p - e_y, (1, n, classes), which J^T maps to the gradient of the cross-entropy."""
    classes = logits.shape[1]
    return (logits.softmax(1) - nn.functional.one_hot(targets, classes))[None]


@dataclass(frozen=True, eq=False)
class Curvature:
    """Means over the examples at indices (n,), at the current weights of the model.

    saw: called with the number of examples that went forward and backward.
    """

    model: nn.Module
    examples: Examples
    pipeline: Pipeline
    saw: Saw = lambda _: None

    @classmethod
    def of(cls, model: nn.Module, task: Task, saw: Saw = lambda _: None) -> Curvature:
        """Return the curvature over the examples of train."""
        return cls(model, task.source.train, task.pipeline, saw)

    def gradient(self, indices: Tensor) -> Tensor:
        """Return the mean of g."""

        def summed(inputs: Tensor, targets: Tensor) -> Weights:
            answer: tuple[Any, ...] = vjp(self._logits(inputs), self._weights())
            logits, pull = answer
            self.saw(len(inputs))
            return pull(residual(logits, targets)[0])[0]

        return self._mean(indices, self._at_once(), summed)

    def gauss_newton(self, indices: Tensor, v: Tensor) -> Tensor:
        """Return (mean of G) v, for v (d,)."""
        weights, tangents = self._weights(), self._named(v)

        def summed(inputs: Tensor, _: Tensor) -> Weights:
            def both(weights: Weights) -> Any:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", FutureWarning)  # torch's own, at its first jvp
                    return jvp(self._logits(inputs), (weights,), (tangents,))

            answer: tuple[Any, ...] = vjp(both, weights, has_aux=True)
            logits, pull, u = answer  # f, J^T and Jv, of one forward pass
            p = logits.softmax(1)
            self.saw(len(inputs))
            return pull(p * u - p * (p * u).sum(1, keepdim=True))[0]

        return self._mean(indices, self._at_once(), summed)

    def squares(self, indices: Tensor, pull: Pull) -> Tensor:
        """Return the mean of the sum of (J^T c)^2 over the vectors c of `pull` for each example.

        With c = p - e_y it is the mean of squared gradients, not the square of their mean.
        """

        def score(weights: Weights, one: Tensor, c: Tensor) -> Tensor:
            return (self._logits(one[None])(weights)[0] * c).sum()

        def summed(inputs: Tensor, targets: Tensor) -> Weights:
            weights, total = self._weights(), dict[str, Tensor]()
            for c in pull(self._logits(inputs)(weights), targets):
                gradients = vmap(grad(score), (None, 0, 0))(weights, inputs, c)
                self.saw(len(inputs))
                for name, value in gradients.items():
                    total[name] = total.get(name, 0) + value.square().sum(0)
            return total

        size = sum(weight.numel() for weight in self._weights().values())
        return self._mean(indices, min(max(VALUES_AT_ONCE // size, 1), self._at_once()), summed)

    def squares_of_batches(self, indices: Tensor, batch_size: int) -> Tensor:
        """Return the mean over batches, in the order of indices, of the square of their mean g."""
        parts = indices.split(batch_size)
        return torch.stack([self.gradient(part).square() for part in parts]).mean(0)

    def _at_once(self) -> int:
        """Return how many examples to take at once: 64 on a CPU, as 128 took up to a fifth longer
        each (small_cnn); else as many as fit in 512 images of 32x32, which keep a GPU busy."""
        if device_of(self.model).type == "cpu":
            return 64
        image = 3 * 32 * 32
        return max(512 * image // max(self.examples.inputs[0].numel(), image), 1)

    def _mean(self, indices: Tensor, at_once: int, summed: Summed) -> Tensor:
        """Return the sum over all parts of the examples, divided by n, as a flat vector."""
        if len(indices) == 0:
            raise ValueError("no examples to take a mean over: choose one or more")
        device, dtype = device_of(self.model), next(self.model.parameters()).dtype
        indices, pipeline = to_device(indices, device), self.pipeline.to(device)
        total = torch.zeros((), device=device)
        # the fused kernels of attention have no forward derivative
        with evaluating(self.model), sdpa_kernel(SDPBackend.MATH), full_float32():
            for batch in indices.split(at_once):
                inputs, targets = self.examples.at(batch, device)
                prepared = pipeline.prepare(inputs)
                if prepared.is_floating_point():  # images, not tokens
                    prepared = prepared.to(dtype)
                total = total + _flat(summed(prepared, targets))
        return total / len(indices)

    def _logits(self, inputs: Tensor) -> Callable[[Weights], Tensor]:
        return lambda weights: functional_call(self.model, weights, (inputs,))

    def _weights(self) -> Weights:
        return {name: weight.detach() for name, weight in trained(self.model).items()}

    def _named(self, vector: Tensor) -> Weights:
        weights = self._weights()
        parts = vector.split([weight.numel() for weight in weights.values()])
        return {n: part.view_as(w) for (n, w), part in zip(weights.items(), parts, strict=True)}


Weights = dict[str, Tensor]
Summed = Callable[[Tensor, Tensor], Weights]  # inputs, targets -> a sum over them


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights that may change by name: those that are not frozen."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def weights_of(model: nn.Module) -> Tensor:
    """Return a copy of the weights, flat (d,)."""
    return _flat({name: weight.detach() for name, weight in trained(model).items()})


def set_weights(model: nn.Module, vector: Tensor) -> None:
    """Write a flat vector (d,) into the weights. Raises Diverged where it is not finite."""
    if not vector.isfinite().all():
        raise Diverged("the updated weights are not finite: choose a smaller update")
    weights = list(trained(model).values())
    parts = vector.split([weight.numel() for weight in weights])
    with torch.no_grad():
        for weight, part in zip(weights, parts, strict=True):
            weight.copy_(part.view_as(weight))


def _flat(weights: Weights) -> Tensor:
    return torch.cat([weight.reshape(-1) for weight in weights.values()])
