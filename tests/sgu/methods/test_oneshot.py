"""One-step methods: their curvature and updates against exact solutions, and what stays unchanged.

On the toy task: 120 examples to retain, 30 to forget, three classes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.func import functional_call, hessian
from torch.nn import functional as F

from sgu.data.examples import Examples, Shape
from sgu.data.pipeline import Pipeline
from sgu.data.splits.splits import random_splits
from sgu.experiment import Experiment
from sgu.methods import METHODS, search_space
from sgu.methods.curvature import Curvature, residual, set_weights, weights_of
from sgu.methods.fisher import Fisher, roots
from sgu.methods.influence import Influence
from sgu.methods.ssd import SSD
from sgu.models import build
from sgu.task import Task
from sgu.training.inference import evaluating
from sgu.training.loop import Diverged, Optimisation, train
from sgu.unlearning import unlearn

STRONG = {  # settings that move the toy's weights
    "influence": {"iterations": 3},
    "fisher": {"strength": 1e-7},
    "ssd": {"select": 1.0},
}
EVERY = pytest.mark.parametrize("name", STRONG)
DECAY = 0.05  # l2 of the convex model


@pytest.fixture
def after(run_of) -> Callable[..., nn.Module]:
    """Return a function that gives a copy of a network after a method."""

    def unlearned(method: Any, task: Task, original: nn.Module, seed: int = 0) -> nn.Module:
        run = run_of(task, original, seed=seed)
        method.unlearn(run)
        return run.model

    return unlearned


@pytest.fixture(scope="module")
def small(toy) -> Task:
    return toy()


@pytest.fixture(scope="module")
def learnt(small) -> nn.Module:
    """A network with batch-norm after some training; all but its ReLU is in training mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()
        model = nn.Sequential(*layers, nn.Linear(128, 3))
    indices = torch.arange(len(small.source.train))
    plan = Optimisation(epochs=6, lr=0.05, batch_size=32)
    train(model, small.source.train, indices, small.pipeline, plan, 0)
    model[2].eval()
    return model


# --- curvature, against loops, finite differences and dense matrices


def answers(task: Task, model: nn.Module, indices: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits (1, classes), with their graph, and target (1,), example by example."""
    inputs, targets = task.source.train.at(indices, "cpu")
    dtype = next(model.parameters()).dtype
    with evaluating(model):
        for one, target in zip(task.pipeline.prepare(inputs), targets, strict=True):
            yield model(one[None].to(dtype)), target[None]


def gradient_of(value: Tensor, model: nn.Module) -> Tensor:
    parts = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
    return torch.cat([part.flatten() for part in parts])


def empirical(task: Task, model: nn.Module, indices: Tensor) -> Tensor:
    """Return the mean squared gradient of the loss, example by example."""
    pairs = answers(task, model, indices)
    squared = [gradient_of(F.cross_entropy(z, y), model).square() for z, y in pairs]
    return torch.stack(squared).mean(0)


def fisher_diagonal(task: Task, model: nn.Module, indices: Tensor) -> Tensor:
    """Return the mean over examples of E[(d log p_y)^2] over labels y drawn from the model."""
    total = []
    for logits, _ in answers(task, model, indices):
        log_p = logits.log_softmax(1)[0]
        total.append(sum(one.exp().detach() * gradient_of(one, model).square() for one in log_p))
    return torch.stack(total).mean(0)


def test_squares_are_of_single_examples(small, learnt):
    indices = small.splits.retain[:90]  # one part and a smaller one
    squares = Curvature.of(learnt, small).squares(indices, residual)
    torch.testing.assert_close(squares, empirical(small, learnt, indices))
    mean = Curvature.of(learnt, small).gradient(indices)
    assert (squares - mean.square() > -1e-7).all()  # Jensen
    assert squares.sum() > 2 * mean.square().sum()


def test_the_gradient_is_that_of_the_mean_loss(small, learnt):
    indices = small.splits.retain
    losses = [F.cross_entropy(z, y) for z, y in answers(small, learnt, indices)]
    wanted = gradient_of(torch.stack(losses).mean(), learnt)
    gradient = Curvature.of(learnt, small).gradient(indices)
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)


def test_fisher_information_over_all_classes_is_exact(small, learnt):
    indices = small.splits.retain[:70]
    exact = Curvature.of(learnt, small).squares(indices, roots(None, torch.Generator()))
    torch.testing.assert_close(exact, fisher_diagonal(small, learnt, indices), rtol=1e-4, atol=1e-8)


def test_random_roots_are_right_on_average():
    """S = diag(p) - p p^T; the standard error of 40,000 draws is at most .0025 (S_ij <= 1/4)."""
    logits = torch.tensor([[0.0, 1.0, -2.0, 3.0], [8.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    p = logits.softmax(1)
    S = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    for draws, tolerance in ((None, 1e-12), (40_000, 0.01)):
        c = roots(draws, torch.Generator().manual_seed(0))(logits, torch.tensor([0, 0]))
        mean = torch.einsum("mni,mnj->nij", c, c)
        torch.testing.assert_close(mean, S, rtol=0, atol=tolerance)


def texts() -> tuple[nn.Module, Examples]:
    tokens = torch.randint(1, 30, (12, 6), generator=torch.Generator().manual_seed(0))
    tokens[:, 4:] = 0
    model = build("transformer", Shape(classes=3, vocabulary=30, length=6), 0)
    return model, Examples(tokens.int(), torch.arange(12) % 3)


@pytest.mark.parametrize("inputs", ["images", "texts"])
def test_gauss_newton_products_against_finite_differences(small, learnt, inputs):
    """v'Gv = mean of u'Su with u = Jv."""
    model, examples = (learnt, small.source.train) if inputs == "images" else texts()
    model, indices = copy.deepcopy(model).double(), torch.arange(12)
    curvature = Curvature(model, examples, Pipeline.of(examples.inputs))
    theta = weights_of(model)
    v = torch.randn(len(theta), generator=torch.Generator().manual_seed(0), dtype=theta.dtype)

    def logits(weights: Tensor) -> Tensor:
        moved = copy.deepcopy(model)
        set_weights(moved, weights)
        prepared = curvature.pipeline.prepare(examples.inputs[indices])
        with evaluating(moved), torch.no_grad():
            return moved(prepared.double() if inputs == "images" else prepared)

    step, p = 1e-7, logits(theta).softmax(1)
    u = (logits(theta + step * v) - logits(theta - step * v)) / (2 * step)
    wanted = ((p * u**2).sum(1) - (p * u).sum(1) ** 2).mean()
    product = v @ curvature.gauss_newton(indices, v)
    assert product.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_curvature_of_nothing_is_refused(small, learnt):
    with pytest.raises(ValueError, match="no examples"):
        Curvature.of(learnt, small).gradient(torch.empty(0, dtype=torch.int64))


# --- influence, on multinomial logistic regression with l2, where everything is known


def objective(task: Task, indices: Tensor, model: nn.Module):
    """Return mean cross-entropy + DECAY/2 |θ|^2 as a function of θ (d,)."""
    inputs, targets = task.source.train.at(indices, "cpu")
    inputs, shapes = task.pipeline.prepare(inputs).double(), dict(model.named_parameters())

    def value(theta: Tensor) -> Tensor:
        parts = theta.split([w.numel() for w in shapes.values()])
        weights = {n: part.view_as(shapes[n]) for n, part in zip(shapes, parts, strict=True)}
        logits = functional_call(model, weights, (inputs,))
        return F.cross_entropy(logits, targets) + DECAY / 2 * theta @ theta

    return value


def optimum(value, theta: Tensor) -> Tensor:
    """Return the minimiser, by Newton's method with dense Hessians."""
    for _ in range(30):
        g = torch.func.grad(value)(theta)
        theta = theta - torch.linalg.solve(hessian(value)(theta), g)
    assert g.norm() < 1e-12
    return theta


@pytest.fixture(scope="module")
def convex(toy_source, toy):
    """A task with few examples to forget, a model at the optimum of train, and both optima."""
    task = toy(random_splits(toy_source, 0.04))
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    everyone = torch.cat([task.splits.retain, task.splits.forget])
    start = torch.zeros(51, dtype=torch.float64)
    whole, without = (
        optimum(objective(task, indices, model), start)
        for indices in (everyone, task.splits.retain)
    )
    set_weights(model, whole)
    return task, model, whole, without


EXACT = Influence(damping=DECAY, iterations=200)


def test_influence_finds_the_retrained_optimum(convex, after):
    """The step errs by the square of the share forgotten."""
    task, model, whole, without = convex
    unlearned = weights_of(after(EXACT, task, model))
    assert (unlearned - without).norm() < 0.1 * (whole - without).norm()
    cosine = F.cosine_similarity(unlearned - whole, without - whole, dim=0)
    assert cosine > 0.995


def test_influence_is_newtons_step_by_the_dense_hessian(convex, after):
    task, model, whole, _ = convex
    retained = objective(task, task.splits.retain, model)
    step = -torch.linalg.solve(hessian(retained)(whole), torch.func.grad(retained)(whole))
    for scale in (1.0, 2.5):
        method = Influence(damping=DECAY, iterations=200, scale=scale)
        taken = weights_of(after(method, task, model)) - whole
        assert (taken - scale * step).norm() < 1e-6 * (scale * step).norm()


def test_influence_is_no_training_step_away_from_the_optimum(convex, after):
    """v = grad L - grad L_r at any weights; the weight decay cancels in it."""
    task, model, whole, _ = convex
    model, theta = copy.deepcopy(model), 0.5 * whole
    set_weights(model, theta)
    splits = task.splits
    both = objective(task, torch.cat([splits.retain, splits.forget]), model)
    retained = objective(task, splits.retain, model)
    v = torch.func.grad(both)(theta) - torch.func.grad(retained)(theta)
    wanted = torch.linalg.solve(hessian(retained)(theta), v)
    taken = weights_of(after(EXACT, task, model)) - theta
    assert (taken - wanted).norm() < 1e-6 * wanted.norm()


# --- fisher


def test_the_noise_has_the_deviation_of_the_paper(small, learnt, after, run_of):
    run, method = run_of(small, learnt), Fisher(strength=1e-6, limit=15, draws=None)
    deviation = method.deviation(run, run.generator())
    information = fisher_diagonal(small, learnt, small.splits.retain)
    wanted = 1e-6**0.25 * information.clamp(min=1 / 15) ** -0.25
    torch.testing.assert_close(deviation, wanted, rtol=1e-4, atol=0)
    assert 0 < (information < 1 / 15).float().mean() < 1  # the limit bites, not everywhere
    noise = (weights_of(after(method, small, learnt)) - weights_of(learnt)) / deviation
    assert stats.kstest(noise.numpy(), "norm").pvalue > 0.01


def test_few_draws_are_near_the_exact_noise(small, learnt, run_of):
    run = run_of(small, learnt)
    exact, one = (
        Fisher(draws=draws).deviation(run, run.generator()) for draws in (None, Fisher().draws)
    )
    assert (one / exact).log().abs().median() < 0.05
    assert (one / exact).log().abs().max() < 0.5


# --- selective synaptic dampening


def test_dampening_by_hand():
    I_D = torch.tensor([1.0, 1.0, 1.0, 0.0, 2.0])
    I_f = torch.tensor([20.0, 10.0, 5.0, 0.0, 80.0])
    by_hand = torch.tensor([0.05, 1.0, 1.0, 1.0, 0.025])
    torch.testing.assert_close(SSD().factor(I_D, I_f), by_hand)
    by_hand = torch.tensor([0.15, 0.3, 0.6, 1.0, 0.075])
    torch.testing.assert_close(SSD(select=4, dampen=3).factor(I_D, I_f), by_hand)
    longer = SSD(select=0.1, dampen=5).factor(torch.tensor([1.0]), torch.tensor([2.0]))
    assert longer.item() == 1  # never made larger


def test_dampened_are_the_weights_that_forget_needs(small, learnt, after):
    method, theta = SSD(select=1.2, dampen=0.5, squared_batch=1), weights_of(learnt)
    forget, everyone = small.splits.forget, torch.cat([small.splits.retain, small.splits.forget])
    I_f, I_D = (empirical(small, learnt, indices) for indices in (forget, everyone))
    wanted = torch.where(I_f > 1.2 * I_D, theta * (0.5 * I_D / I_f).clamp(max=1), theta)
    dampened = weights_of(after(method, small, learnt))
    torch.testing.assert_close(dampened, wanted, rtol=1e-4, atol=1e-7)
    assert 0.05 < (dampened != theta).float().mean() < 0.95


def test_the_mean_gradients_of_batches_are_squared(small, learnt, run_of):
    """Retain before forget, each shuffled, in batches of 50: 50, 50, 20 + 30; forget alone: 30."""
    run, splits = run_of(small, learnt), small.splits
    I_D, I_f = SSD(squared_batch=50).importances(run)
    order = [
        split[torch.randperm(len(split), generator=g)]
        for g in [run.generator()]
        for split in (splits.retain, splits.forget)
    ]

    def squared(indices: Tensor) -> Tensor:
        losses = [F.cross_entropy(z, y) for z, y in answers(small, learnt, indices)]
        return gradient_of(torch.stack(losses).mean(), learnt).square()

    wanted = torch.stack([squared(part) for part in torch.cat(order).split(50)]).mean(0)
    torch.testing.assert_close(I_D, wanted, rtol=1e-3, atol=1e-8)
    torch.testing.assert_close(I_f, squared(splits.forget), rtol=1e-3, atol=1e-8)


# --- all of them


def method_of(name: str, **settings):
    return METHODS[name](**(STRONG[name] | {"lr": 0.02, "batch_size": 32} | settings))


@EVERY
def test_the_update_moves_weights_alone(small, learnt, bits, same, name, after):
    before, modes = bits(learnt), [module.training for module in learnt.modules()]
    model = after(method_of(name), small, learnt)
    assert same(before, bits(learnt))
    assert [module.training for module in model.modules()] == modes
    assert not torch.equal(weights_of(model), weights_of(learnt))
    for (key, buffer), (_, was) in zip(model.named_buffers(), learnt.named_buffers(), strict=True):
        assert torch.equal(buffer, was), key


@EVERY
def test_a_seed_gives_the_same_bits(small, learnt, bits, same, name, after):
    states = [bits(after(method_of(name), small, learnt, seed)) for seed in (1, 1, 2)]
    assert same(states[0], states[1])
    assert same(states[0], states[2]) == (name == "influence")  # the only one without a draw


@EVERY
def test_the_repair_is_fine_tuning_from_the_updated_weights(small, learnt, bits, same, name, after):
    by_hand, method = after(method_of(name), small, learnt), method_of(name, epochs=2)
    train(by_hand, small.source.train, small.splits.retain, small.pipeline, method, 0)
    assert same(bits(by_hand), bits(after(method, small, learnt)))


@EVERY
def test_the_game_is_played_in_the_repair(task, original, name):
    """360 images to retain by 64: six steps."""
    settings = STRONG[name] | {"epochs": 1, "lr": 0.02, "batch_size": 64, "solve_every": 2}
    reports: list[dict[str, float]] = []
    unlearn(Experiment.of(method=f"sg+{name}", **settings), task, original, reports.append)
    assert [report["solves"] for report in reports] == [3]
    with pytest.raises(ValueError, match="epochs = 0"):
        Experiment.of(method=f"sg+{name}")


@EVERY
def test_settings_and_spaces(name):
    published = METHODS[name]()
    assert published.epochs == 0
    for setting, values in search_space(name).items():
        value = getattr(published, setting)
        inside = value in values if isinstance(values, list) else values["low"] <= value
        assert inside, setting
        assert isinstance(values, list) or value <= values["high"], setting


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("influence", "scale", 0.0),
        ("influence", "damping", 0.0),
        ("influence", "iterations", 0),
        ("fisher", "strength", -1.0),
        ("fisher", "limit", float("inf")),
        ("fisher", "draws", 0),
        ("ssd", "select", 0.0),
        ("ssd", "dampen", float("nan")),
        ("ssd", "squared_batch", 0),
        ("ssd", "lr", 0.0),  # the optimisation's own rules hold too
    ],
)
def test_settings_out_of_bounds_are_refused(name, setting, value):
    with pytest.raises(ValueError, match=f"{setting} = {value}"):
        METHODS[name](**{setting: value})


def test_an_update_beyond_all_numbers_is_a_divergence(small, learnt, after):
    with pytest.raises(Diverged, match="not finite"):
        after(Influence(scale=1e300), small, learnt)
