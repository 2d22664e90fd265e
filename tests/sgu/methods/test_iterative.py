"""Iterative methods: their equations by hand, the weights they may change, and the game over them.

On the toy task: 120 examples to retain, 30 to forget, three classes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields, replace

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F

from sgu.data.examples import Examples
from sgu.game import Game
from sgu.methods import METHODS, Run
from sgu.methods.amun import AMUN, nearest
from sgu.methods.bad_teacher import BadTeacher, untrained
from sgu.methods.finetune import Finetune
from sgu.methods.gradient_ascent import GradientAscent
from sgu.methods.l1_sparse import L1Sparse
from sgu.methods.neggrad_plus import Forget, NegGradPlus
from sgu.methods.random_label import Labels, RandomLabel
from sgu.methods.salun import SalUn, largest
from sgu.methods.scrub import Scrub, divergence, taught_by
from sgu.methods.undo import Undo
from sgu.task import Task
from sgu.training.clock import Clock
from sgu.training.inference import evaluating, predict
from sgu.training.loop import Batch, Diverged, Optimisation, train

NAMES = (
    "gradient_ascent",
    "neggrad_plus",
    "random_label",
    "l1_sparse",
    "scrub",
    "bad_teacher",
    "salun",
    "amun",
)
SHORT = {"epochs": 2, "lr": 0.02, "batch_size": 32}
ONE_STEP = {  # plain gradient descent on one batch of all
    "epochs": 1,
    "lr": 0.1,
    "optimiser": "sgd",
    "batch_size": 150,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "schedule": "constant",
}
GAME = Game(solve_every=2)
EVERY = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def small(toy) -> Task:
    return toy()


@pytest.fixture(scope="module")
def learnt(small) -> nn.Module:
    """A network that has memorised the toy task, with batch-norm and an odd mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten()
        ).append(nn.Linear(256, 3))
    plan = Optimisation(epochs=20, lr=0.05, batch_size=32)
    indices = torch.arange(len(small.source.train))
    train(model, small.source.train, indices, small.pipeline, plan, 0)
    model[1].eval()
    return model


def prepare(task, original, game=None, seed=0, run_class=Run) -> tuple[Run, list[int]]:
    """Return a run, and the list that will hold the number of rounds of each epoch."""
    played: list[int] = []
    model = copy.deepcopy(original)

    def on_epoch(_, __, rounds) -> None:
        played.append(len(rounds))
        predict(model, task.source.train, task.pipeline)  # as a report would

    run = run_class(
        model=model,
        original=copy.deepcopy(original),
        architecture="small_cnn",
        task=task,
        game=game,
        seed=seed,
        clock=Clock(torch.device("cpu")),
        on_epoch=on_epoch,
    )
    return run, played


def after(method, task, original, game=None, seed=0) -> nn.Module:
    run, _ = prepare(task, original, game, seed)
    method.unlearn(run)
    return run.model


def weights(model: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def gradient(model: nn.Module, loss_of) -> torch.Tensor:
    """Return the gradient of a loss, in training mode on a copy; flat like `weights`."""
    model = copy.deepcopy(model).train()
    return torch.cat(
        [g.flatten() for g in torch.autograd.grad(loss_of(model), list(model.parameters()))]
    )


def batch_of(task: Task, indices: torch.Tensor) -> Batch:
    inputs, targets = task.source.train.at(indices, "cpu")
    return Batch(indices, task.pipeline.prepare(inputs), targets)


def cross_entropy_of(task: Task, indices: torch.Tensor, labels: torch.Tensor | None = None):
    batch = batch_of(task, indices)
    targets = batch.targets if labels is None else labels[indices]
    return lambda model: F.cross_entropy(model(batch.inputs), targets)


# every method


@EVERY
def test_a_seed_gives_the_same_bits_and_the_original_stays(small, learnt, bits, same, name):
    before, state = bits(learnt), torch.get_rng_state()
    method = METHODS[name](**SHORT)
    runs = [prepare(small, learnt, seed=seed)[0] for seed in (0, 0, 1)]
    for run in runs:
        method.unlearn(run)
    assert same(bits(runs[0].model), bits(runs[1].model))
    assert not torch.equal(weights(runs[0].model), weights(runs[2].model))
    assert all(same(before, bits(run.original)) for run in runs)
    assert all(w.grad is None for w in runs[0].original.parameters())
    assert torch.equal(torch.get_rng_state(), state)


@EVERY
def test_modes_are_restored_and_all_stays_finite(small, learnt, name):
    run, _ = prepare(small, learnt)
    METHODS[name](**SHORT).unlearn(run)
    for model in (run.model, run.original):
        assert [m.training for m in model.modules()] == [m.training for m in learnt.modules()]
    assert all(value.isfinite().all() for value in run.model.state_dict().values())
    assert not run.model._forward_pre_hooks


@EVERY
def test_every_method_carries_the_game(small, learnt, bits, same, name):
    """Alpha 0 plays no round and changes no bit; else every second step has a round."""
    method = METHODS[name](**SHORT)
    alone = bits(after(method, small, learnt))
    assert same(alone, bits(after(method, small, learnt, replace(GAME, alpha=0.0))))
    run, played = prepare(small, learnt, GAME)
    method.unlearn(run)
    assert sum(played) == sum(run.epoch_steps) // 2 > 0
    assert not torch.equal(weights(run.model), weights(after(method, small, learnt)))


@EVERY
def test_augmentation_is_for_every_method(small, learnt, name):
    plain = after(METHODS[name](**SHORT), small, learnt)
    moved = after(METHODS[name](**SHORT, augment=True), small, learnt)
    assert weights(moved).isfinite().all()
    assert not torch.equal(weights(moved), weights(plain))


@EVERY
def test_the_published_defaults_lie_in_the_space(name):
    method, settings = METHODS[name](), {field.name for field in fields(METHODS[name])}
    assert method.source
    assert {"lr", "epochs"} <= set(method.space) <= settings
    for key, domain in method.space.items():
        default = getattr(method, key)
        if isinstance(domain, list):
            assert default in domain
        else:
            assert domain["low"] <= default <= domain["high"]


@EVERY
def test_no_setting_is_also_one_of_the_experiment(name):
    from sgu.experiment import SETTINGS

    assert not SETTINGS & {field.name for field in fields(METHODS[name])}


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("neggrad_plus", "beta", 1.1),
        ("l1_sparse", "gamma", -1e-4),
        ("l1_sparse", "decay", "cosine"),
        ("scrub", "temperature", 0.0),
        ("scrub", "max_epochs", -1),
        ("scrub", "distill", -1.0),
        ("bad_teacher", "retain_share", 0.0),
        ("bad_teacher", "temperature", float("inf")),
        ("salun", "salient", 0.0),
        ("random_label", "lr", 0.0),
    ],
)
def test_settings_are_checked(name, setting, value):
    with pytest.raises(ValueError, match=setting):
        METHODS[name](**{setting: value})


# gradient ascent


def test_a_step_of_gradient_ascent(small, learnt):
    """theta + lr dCE(forget)."""
    unlearned = after(GradientAscent(**ONE_STEP), small, learnt)
    g = gradient(learnt, cross_entropy_of(small, small.splits.forget))
    torch.testing.assert_close(weights(unlearned), weights(learnt) + 0.1 * g)


def test_ascent_out_of_bounds_is_reported(small, learnt):
    with pytest.raises(Diverged, match="lower lr"):
        after(GradientAscent(lr=1e20, epochs=3), small, learnt)


# neggrad_plus


def test_a_step_of_neggrad_plus(small, learnt):
    """theta - lr (beta dCE(retain) - (1 - beta) dCE(forget))."""
    unlearned = after(NegGradPlus(**ONE_STEP, beta=0.7), small, learnt)
    descent = gradient(learnt, cross_entropy_of(small, small.splits.retain))
    ascent = gradient(learnt, cross_entropy_of(small, small.splits.forget))
    wanted = weights(learnt) - 0.1 * (0.7 * descent - 0.3 * ascent)
    torch.testing.assert_close(weights(unlearned), wanted)


def test_neggrad_plus_without_forget_is_finetuning(small, learnt):
    """The weights are the same; batch-norm's running statistics have seen forget."""
    unlearned = after(NegGradPlus(**SHORT, beta=1.0), small, learnt)
    assert torch.equal(weights(unlearned), weights(after(Finetune(**SHORT), small, learnt)))


def test_forget_comes_round_in_another_order(small, learnt):
    run, _ = prepare(small, learnt)
    forget = Forget(NegGradPlus(batch_size=12), run)  # 30 of them
    batches = [next(forget).indices for _ in range(6)]
    assert [len(batch) for batch in batches] == [12, 12, 6, 12, 12, 6]
    turns = [torch.cat(batches[:3]), torch.cat(batches[3:])]
    assert all(torch.equal(turn.sort().values, run.forget) for turn in turns)
    assert not torch.equal(*turns)


# random_label


def test_labels_are_drawn_anew_from_all_classes_with_the_true_one_among_them():
    """Shares of 6,000 draws of three classes within five deviations of 1/3; and a restored state
    goes on with the same labels."""
    labels, targets = Labels(3, torch.Generator().manual_seed(0)), torch.arange(6000) % 3
    drawn = labels.draw(targets)
    agree = (drawn == targets).sum()
    deviation = (6000 * 1 / 3 * 2 / 3) ** 0.5
    for count in (*drawn.bincount(minlength=3), agree):
        assert abs(count - 2000) < 5 * deviation
    state = labels.state()
    again = labels.draw(targets)
    assert not torch.equal(drawn, again)
    labels.restore(state)
    assert torch.equal(again, labels.draw(targets))


def test_the_two_steps_of_random_label(small, learnt):
    """All of forget with drawn labels, and then all of retain with its own."""
    method = RandomLabel(**ONE_STEP, least_steps=1)
    run, _ = prepare(small, learnt)
    method.unlearn(run)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    batch = batch_of(small, small.splits.forget[order])
    drawn = Labels(3, run.generator()).draw(batch.targets)
    model = copy.deepcopy(learnt)
    for loss in (
        lambda model: F.cross_entropy(model(batch.inputs), drawn),
        cross_entropy_of(small, small.splits.retain),
    ):
        moved = weights(model) - 0.1 * gradient(model, loss)
        nn.utils.vector_to_parameters(moved, model.parameters())
    torch.testing.assert_close(weights(run.model), weights(model))


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"least_steps": 1}, 32),
        ({"least_steps": 5}, 30),  # 150 images in 5 steps
        ({"least_steps": 4}, 32),  # they make 5 of 32 anyway
        ({}, 16),  # batch-norm's least
        ({"batch_size": 8}, 8),
    ],
)
def test_a_small_set_takes_as_many_steps_of_smaller_batches(small, learnt, settings, size):
    plan = plan_of(RandomLabel(**(SHORT | settings)), small, learnt)
    assert [[part.batch_size for part in epoch] for epoch in plan] == [[size, size]] * 2


def test_batches_stay_on_the_data_that_they_were_found_on():
    """195 steps of 256 on 50,000 images, 62 of 64 on the embedded 4,000."""
    sizes = (50_000, 4_000, 2_000)
    assert [RandomLabel().batch_of(size) for size in sizes] == [256, 20, 16]
    assert [Undo().batch_of(size) for size in sizes] == [64, 64, 32]


# amun


def test_adversarial_examples_are_near_and_wrong(small, learnt):
    run, _ = prepare(small, learnt)
    images, targets = small.source.train.at(small.splits.forget, "cpu")
    with evaluating(copy.deepcopy(learnt)) as model:
        right = model(small.pipeline.prepare(images)).argmax(1) == targets
        found, labels = nearest(run, images, targets, radius=0.01, steps=5)
        predicted = model(small.pipeline.standardised(found)).argmax(1)
    assert right.float().mean() > 0.8
    assert torch.equal(predicted, labels)
    assert (labels != targets).all()
    assert 0 <= found.min() <= found.max() <= 255
    distance = (found - images).flatten(1).norm(dim=1)
    assert torch.equal(distance > 0, right)
    assert run.clock.examples >= 30


def test_a_linear_boundary_is_found_at_its_distance(toy):
    """The distance to it is |w.x + b| / |w|; radii of .04 times powers of two find it within two,
    and the first step over it is shorter still."""
    task, network = toy(), nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        network[1].weight[1] = torch.linspace(-1, 1, 16)
        network[1].bias[2] = -1e9  # two classes
        network[1].bias[1] = 0.3
    run, _ = prepare(task, network)
    images, _ = task.source.train.at(task.splits.forget, "cpu")
    prepared = task.pipeline.prepare(images).flatten(1)
    m = network(prepared.view(-1, 1, 4, 4))[:, 1].detach()
    exact = m.abs() / network[1].weight[1].norm() * task.pipeline.std / 255
    found, _ = nearest(run, images, (m > 0).long(), radius=0.04, steps=20)
    distance = (found - images).flatten(1).norm(dim=1) / 255
    inside = ((found > 0) & (found < 255)).flatten(1).all(1)  # the border does not bend the way
    assert inside.sum() > 5
    ratio = (distance / exact)[inside]
    assert 1 <= ratio.min() <= ratio.max() < 2.2


@pytest.mark.parametrize("keep_forget", [True, False])
def test_a_step_of_amun(small, learnt, keep_forget):
    """theta - lr dCE(retain, the adversarial examples, and forget if it is kept)."""
    method = AMUN(**ONE_STEP, keep_forget=keep_forget)
    run, _ = prepare(small, learnt)
    adversarial, labels = method.attack(run)
    method.unlearn(run)
    splits = small.splits
    known = batch_of(small, torch.cat([splits.retain, splits.forget][: 1 + keep_forget]))
    inputs, targets = (
        torch.cat([known.inputs, adversarial]), torch.cat([known.targets, labels]),
    )  # fmt: skip
    g = gradient(learnt, lambda model: F.cross_entropy(model(inputs), targets))
    torch.testing.assert_close(weights(run.model), weights(learnt) - 0.1 * g)


def test_texts_are_not_attacked(small, learnt):
    tokens = Examples(torch.ones(150, 5, dtype=torch.int32), small.source.train.targets)
    source = replace(small.source, train=tokens)
    with pytest.raises(ValueError, match="attacks images"):
        after(AMUN(), replace(small, source=source), learnt)


# l1_sparse


def test_without_a_penalty_l1_is_finetuning(small, learnt, bits, same):
    finetuned = after(Finetune(**SHORT), small, learnt)
    assert same(bits(finetuned), bits(after(L1Sparse(**SHORT, gamma=0.0), small, learnt)))
    norms = [
        weights(after(L1Sparse(**SHORT, gamma=gamma), small, learnt)).norm(1)
        for gamma in (0.0, 1e-3, 1e-2)
    ]
    assert norms[0] > norms[1] > norms[2]


def test_a_step_of_l1_sparse(small, learnt):
    """theta - lr (dCE(retain) + gamma sign(theta))."""
    unlearned = after(L1Sparse(**ONE_STEP, gamma=0.3), small, learnt)
    g = gradient(learnt, cross_entropy_of(small, small.splits.retain))
    old = weights(learnt)
    torch.testing.assert_close(weights(unlearned), old - 0.1 * (g + 0.3 * old.sign()))


def test_the_penalty_falls():
    falling, steady = L1Sparse(epochs=4, gamma=0.8), L1Sparse(epochs=4, gamma=0.8, decay="none")
    assert [falling.gamma_at(t) for t in range(4)] == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert [steady.gamma_at(t) for t in range(4)] == [0.8] * 4


# scrub


def test_scrub_lowers_its_rate_where_its_authors_do(small, learnt):
    plan = plan_of(Scrub(epochs=10, forget_batch=8), small, learnt)
    rates = [{part.rate for part in epoch} for epoch in plan]
    assert rates == [{0.1**k} for k in (0, 0, 0, 1, 1, 2, 2, 2, 2, 3)]
    assert [part.batch_size for part in plan[0]] == [8, None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Planned(Run):
    """A run that trains nothing and keeps the passes of each epoch."""

    passes: list

    def train(self, optimisation, plan=None, adjust=None):  # noqa: ARG002
        self.passes.extend(plan(epoch) for epoch in range(optimisation.epochs))


def plan_of(method, task, original) -> list:
    passes: list = []
    run, _ = prepare(task, original, run_class=lambda **fields: Planned(**fields, passes=passes))
    method.unlearn(run)
    return passes


def test_scrub_ascends_first_and_in_the_first_epochs_alone(small, learnt):
    parts = {"forget": small.splits.forget, "retain": small.splits.retain}
    plan = plan_of(Scrub(epochs=4, max_epochs=2), small, learnt)
    names = [
        [n for p in epoch for n in parts if torch.equal(p.indices, parts[n])] for epoch in plan
    ]
    assert names == [["forget", "retain"]] * 2 + [["retain"]] * 2


def test_scrub_drives_forget_away_and_holds_retain(small, learnt):
    """Each pass by itself: KL to the teacher grows on forget, and then falls on retain."""
    [(ascent, descent), *_] = plan_of(Scrub(distill=1.0, classify=0.0), small, learnt)
    student, settings = copy.deepcopy(learnt), Optimisation(epochs=1, lr=0.05, batch_size=16)

    def far(indices: torch.Tensor) -> torch.Tensor:
        answers = (
            predict(m, small.source.train, small.pipeline, indices) for m in (learnt, student)
        )
        return divergence(*answers, 4.0)

    def follow(part) -> None:
        train(student, small.source.train, lambda _: [part], small.pipeline, settings, 0)

    for _ in range(3):
        before = far(small.splits.forget)
        follow(ascent)
        assert far(small.splits.forget) > before
    driven = far(small.splits.retain)
    follow(descent)
    assert far(small.splits.retain) < driven


def test_the_objectives_of_scrub(small, learnt):
    """Against the Kullback-Leibler divergence of torch.distributions."""
    [(ascent, descent), *_] = plan_of(
        Scrub(temperature=2.0, distill=0.3, classify=0.6), small, learnt
    )
    student = untrained(learnt, 0)
    for part, wanted in (
        (ascent, lambda kl, _: -kl),
        (descent, lambda kl, ce: 0.3 * kl + 0.6 * ce),
    ):
        batch = batch_of(small, part.indices[:20])
        with evaluating(copy.deepcopy(learnt)) as teacher:
            t, s = (model(batch.inputs) for model in (teacher, student))
        kl = 4 * kl_divergence(Categorical(logits=t / 2), Categorical(logits=s / 2)).mean()
        ce = F.cross_entropy(s, batch.targets)
        torch.testing.assert_close(part.objective(student, batch), wanted(kl, ce))


def test_a_teacher_answers_the_same_at_once_and_batch_by_batch(small, learnt):
    indices = small.splits.forget
    run, _ = prepare(small, learnt)
    modes = [module.training for module in run.original.modules()]
    at_once, one_by_one = (
        taught_by(run.original, run, indices, augment) for augment in (False, True)
    )
    for part in indices.split(7):
        batch = batch_of(small, part)
        torch.testing.assert_close(at_once(batch), one_by_one(batch))
        assert not one_by_one(batch).requires_grad
    assert [module.training for module in run.original.modules()] == modes


# bad_teacher


def test_forget_comes_to_look_untaught_and_retain_does_not(small, learnt):
    teacher = untrained(learnt, 0)
    student = after(BadTeacher(epochs=20, lr=3e-3, batch_size=32, retain_share=1.0), small, learnt)

    def far(indices: torch.Tensor, target: nn.Module, model: nn.Module) -> torch.Tensor:
        answers = (predict(m, small.source.train, small.pipeline, indices) for m in (target, model))
        return divergence(*answers, 1.0)

    forget, retain = small.splits.forget, small.splits.retain
    assert far(forget, teacher, student) < far(forget, teacher, learnt) / 2
    assert far(retain, learnt, student) < far(retain, teacher, student)


def test_bad_teaching_uses_a_share_of_retain(small, learnt):
    [[only]] = plan_of(BadTeacher(retain_share=0.3), small, learnt)
    assert len(only.indices) == len(only.indices.unique()) == 36 + 30
    assert torch.isin(small.splits.forget, only.indices).all()


def test_the_untrained_teacher_knows_nothing_of_the_original(bits, same):
    """Weights that modules cannot draw themselves (attention's projections) are new, too."""
    network = nn.Sequential(nn.Linear(8, 8), nn.MultiheadAttention(8, 2), nn.BatchNorm1d(8))
    with torch.no_grad():
        for value in network.state_dict().values():
            value.fill_(7)
    state = torch.get_rng_state()
    drawn = [untrained(network, seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert same(bits(drawn[0]), bits(drawn[1]))
    assert not same(bits(drawn[0]), bits(drawn[2]))
    assert all((value != 7).all() for value in drawn[0].state_dict().values())
    assert all((value == 7).all() for value in network.state_dict().values())


# salun


def chosen_by_hand(task: Task, original: nn.Module, share: float) -> torch.Tensor:
    """Return the salient weights by the full gradient in evaluation mode, sorted."""
    with evaluating(copy.deepcopy(original)) as model:
        loss = cross_entropy_of(task, task.splits.forget)(model)
        parts = torch.autograd.grad(loss, list(model.parameters()))
    size = torch.cat([part.abs().flatten() for part in parts])
    return size >= size.sort(descending=True).values[round(share * len(size)) - 1]


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("game", [None, GAME, replace(GAME, update="alternate", lr=0.1)])
def test_salun_moves_salient_weights_alone(small, learnt, optimiser, game):
    """Momentum, weight decay and the game would move the others too."""
    method = SalUn(**SHORT, optimiser=optimiser, weight_decay=0.1, salient=0.3)
    run, played = prepare(small, learnt, game)
    method.unlearn(run)
    moved, chosen = weights(run.model) != weights(learnt), chosen_by_hand(small, learnt, 0.3)
    assert chosen.sum() == round(0.3 * len(chosen))
    assert not (moved & ~chosen).any()
    assert moved.sum() > 0.99 * chosen.sum()
    assert (sum(played) > 0) == (game is not None)


def test_salun_with_all_weights_is_random_label(small, learnt, bits, same):
    unlearned = after(SalUn(**SHORT, salient=1.0), small, learnt)
    assert same(bits(unlearned), bits(after(RandomLabel(**SHORT), small, learnt)))


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_the_share_chosen_is_exact(share):
    values = torch.rand(1001, generator=torch.Generator().manual_seed(0))
    chosen = largest(values, share)
    assert chosen.sum() == round(share * 1001)
    assert values[chosen].min() > values[~chosen].max() if share < 1 else chosen.all()
    assert largest(torch.zeros(10), 0.5).sum() == 5  # all alike
