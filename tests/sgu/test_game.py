"""The game: fair draws, the right gradient, and no other change in the network."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgu.auditor import LinearAuditor
from sgu.auditor.folds import cross_fits, shuffle_splits
from sgu.data.sources import Examples, make_source
from sgu.data.splits.splits import class_splits, random_splits
from sgu.game import Game, Match, margins
from sgu.metrics.shadow import margins as of_numpy
from sgu.task import Task
from sgu.training.clock import Clock
from sgu.training.inference import predict

CPU = torch.device("cpu")
SMOOTH = LinearAuditor(loss="logistic", reg=0.1)


@dataclass(frozen=True)
class Watched:
    """The linear auditor, and all that it was asked to fit."""

    fitted: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def fit(self, scores, members, weight=None, start=None):
        self.fitted.append((scores.detach(), members, weight))
        return SMOOTH.fit(scores, members, weight, start)


def linear(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, classes))


def normed() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(128, 3),
    )


def match_of(task, seed: int = 0, **rules) -> Match:
    game = Game(**({"auditor": SMOOTH} | rules))
    return Match(game, task, seed, Clock(CPU))


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters()]


def examples_of(task: Task, split: str) -> Examples:
    examples, indices = task.part(split)
    return examples.take(indices)


def first_round(task: Task, model: nn.Module, **rules) -> list[Tensor]:
    model.zero_grad(set_to_none=True)
    match_of(task, **rules).play(model)
    return gradients(model)


class TestFolds:
    @pytest.mark.parametrize("counts", [[7], [10, 10, 10], [12, 5, 2], [2, 2]], ids=str)
    @pytest.mark.parametrize("share", [0.3, 0.05, 0.9])
    def test_every_problem_parts_its_own_group(self, counts, share):
        drawn = shuffle_splits(torch.tensor(counts), 3, share, torch.Generator().manual_seed(0))
        total, starts = sum(counts), [sum(counts[:group]) for group in range(len(counts))]
        assert len(drawn.fitted) == len(drawn.judged) == 3 * len(counts)
        for problem in range(3 * len(counts)):
            group = problem % len(counts)
            examples = list(range(starts[group], starts[group] + counts[group]))
            held = []
            for side in (0, 1):
                halves = [
                    indices[problem].view(2, -1)[side][used[problem].view(2, -1)[side]].tolist()
                    for indices, used in (
                        (drawn.fitted, drawn.fitted_used),
                        (drawn.judged, drawn.judged_used),
                    )
                ]
                fitted, judged = halves
                assert sorted(fitted + judged) == [index + side * total for index in examples]
                assert len(fitted) >= 1
                held.append(len(judged))
            assert held[0] == held[1]  # stratified
            wanted = min(max(counts[group] * share, 1), counts[group] - 1)
            assert abs(held[0] - wanted) <= 0.5

    def test_each_row_is_held_out_as_often_as_any_other(self):
        folds = 4000
        drawn = shuffle_splits(torch.tensor([10]), folds, 0.3, torch.Generator().manual_seed(0))
        frequency = drawn.judged.flatten().bincount(minlength=20) / folds
        assert (frequency - 0.3).abs().max() < 4 * math.sqrt(0.3 * 0.7 / folds)

    @pytest.mark.parametrize("counts", [[7], [10, 10, 10], [12, 5, 2]], ids=str)
    @pytest.mark.parametrize(("folds", "repeats"), [(2, 3), (5, 1)])
    def test_crossed_every_row_is_judged_once_by_auditors_that_did_not_see_it(
        self, counts, folds, repeats
    ):
        generator = torch.Generator().manual_seed(0)
        drawn, total = cross_fits(torch.tensor(counts), folds, repeats, generator), sum(counts)
        assert len(drawn.judged) == repeats * folds * len(counts)
        for rows, used, times in (
            (drawn.judged, drawn.judged_used, 1),
            (drawn.fitted, drawn.fitted_used, folds - 1),
        ):
            for part, known in zip(rows.chunk(repeats), used.chunk(repeats), strict=True):
                assert (part[known].bincount(minlength=2 * total) == times).all()
        group_of = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).repeat(2)
        for problem in range(len(drawn.judged)):
            judged = drawn.judged[problem][drawn.judged_used[problem]]
            fitted = drawn.fitted[problem][drawn.fitted_used[problem]]
            assert not torch.isin(judged, fitted).any()
            assert set(group_of[torch.cat([judged, fitted])].tolist()) == {problem % len(counts)}
            assert (judged < total).sum() == (judged >= total).sum()

    def test_the_generator_alone_decides(self):
        drawn = [
            shuffle_splits(torch.tensor([9, 4]), 2, 0.3, torch.Generator().manual_seed(seed)).judged
            for seed in (0, 0, 1)
        ]
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[0], drawn[2])

    def test_a_group_of_one_says_what_to_do(self):
        with pytest.raises(ValueError, match=r"has 1 examples a side; need >= 2 .* audit_batch"):
            shuffle_splits(torch.tensor([5, 1]), 3, 0.3, torch.Generator())


class TestGradient:
    @pytest.mark.parametrize("view", ["logits+loss", "loss"])
    @pytest.mark.parametrize("statistics", ["batch", "running"])
    @pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
    def test_it_is_that_of_alpha_times_the_utility(self, toy, view, statistics, loss):
        """Central differences along random directions; all draws start from the same seed."""
        rules = {
            "alpha": 3.0,
            "view": view,
            "statistics": statistics,
            "auditor": LinearAuditor(loss=loss, reg=0.1),
        }
        task, model = toy(), normed()
        model(task.pipeline.prepare(examples_of(task, "retain").inputs))  # sets running statistics
        gradient = first_round(task, model, **rules)
        generator, eps = torch.Generator().manual_seed(1), 1e-2
        for _ in range(3):
            along = [torch.randn(p.shape, generator=generator) for p in model.parameters()]
            length = math.sqrt(sum(float(a.square().sum()) for a in along))
            along = [a / length for a in along]
            ends = []
            for sign in (1, -1):
                moved = copy.deepcopy(model)
                with torch.no_grad():
                    for parameter, a in zip(moved.parameters(), along, strict=True):
                        parameter += sign * eps * a
                ends.append(float(match_of(task, **rules).play(moved).utility))
            quotient = 3.0 * (ends[0] - ends[1]) / (2 * eps)
            slope = sum(float((g * a).sum()) for g, a in zip(gradient, along, strict=True))
            scale = math.sqrt(sum(float(g.square().sum()) for g in gradient) / 16)
            assert slope == pytest.approx(quotient, abs=0.02 * scale)

    def test_it_is_added_to_what_is_there_and_scaled_by_alpha(self, toy):
        task, model = toy(), linear()
        single, double = (first_round(task, model, alpha=alpha) for alpha in (1.0, 2.0))
        for one, two in zip(single, double, strict=True):
            assert one.abs().max() > 1e-4
            torch.testing.assert_close(two, 2 * one)
        model.zero_grad()
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 5.0)
        match_of(task, alpha=1.0).play(model)
        for one, added in zip(single, gradients(model), strict=True):
            torch.testing.assert_close(added, one + 5.0)

    def test_a_network_that_tells_nothing_is_worth_minus_one(self, toy):
        """Equal scores: m = +-(w.x - b) cancels in pairs, so the mean hinge is 1, and flat."""
        model = linear()
        nn.init.zeros_(model[1].weight)
        nn.init.zeros_(model[1].bias)
        played = match_of(toy(), auditor=LinearAuditor(reg=0.1), view="loss").play(model)
        assert float(played.utility) == pytest.approx(-1, abs=1e-6)
        assert int(played.unsolved) == 0

    def test_a_network_that_tells_all_is_worth_nothing(self, toy):
        """Forget all bright, audit all dark, and a logit that is the brightness: no hinge left."""
        splits, source = toy().splits, toy().source
        forgotten = torch.isin(torch.arange(150), splits.forget).view(-1, 1, 1, 1)
        images = torch.where(forgotten, 255, 0).expand(-1, 1, 4, 4).to(torch.uint8)
        source = make_source(
            "two shades",
            Examples(images.contiguous(), source.train.targets),
            Examples(torch.zeros_like(source.heldout.inputs), source.heldout.targets),
        )
        match = match_of(Task.of(source, splits), auditor=LinearAuditor(reg=1e-4))
        assert float(match.play(linear()).utility) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_buffers_and_modes_stay_as_they_were(toy, bits, same, statistics):
    model = normed().train()
    model[1].eval()
    modes, before = [module.training for module in model.modules()], bits(model)
    match_of(toy(), statistics=statistics).play(model)
    assert same(before, bits(model))
    assert [module.training for module in model.modules()] == modes
    assert model[1].track_running_stats


@pytest.mark.parametrize("view", ["logits+loss", "loss"])
def test_each_auditor_sees_one_class_and_true_members(toy, view):
    """With a net without batch-norm, a score says which image it comes from."""
    task, model, auditor = toy(), linear(), Watched()
    match_of(task, auditor=auditor, view=view).play(model)
    ((scores, members, weight),) = auditor.fitted
    assert scores.shape[::2] == (3 * 3, 4 if view == "logits+loss" else 1)
    losses = {
        split: [
            F.cross_entropy(logits, examples_of(task, split).targets, reduction="none")[
                examples_of(task, split).targets == label
            ]
            for label in range(3)
        ]
        for split in ("forget", "audit")
        for logits in [predict(model, examples_of(task, split), task.pipeline)]
    }
    for problem in range(9):
        assert int(members[problem].sum()) == len(members[problem]) / 2
        for member, split in ((True, "forget"), (False, "audit")):
            used = (members[problem] == member) & (weight[problem] > 0)
            known = losses[split][problem % 3]
            gap = (scores[problem, used, -1][:, None] - known).abs().amin(1)
            assert gap.max() < 1e-5


def test_a_calibrated_auditor_sees_both_margins(toy):
    """Rows of logits, loss, margin and the margin of the reference, by SciPy's own formulas."""
    task, model, auditor = toy(), linear(), Watched()
    torch.manual_seed(1)
    reference = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    game = Game(auditor=auditor, view="calibrated")
    Match(game, task, 0, Clock(CPU), reference).play(model)
    ((scores, members, weight),) = auditor.fitted
    assert scores.shape[2] == 3 + 3
    for member, split in ((True, "forget"), (False, "audit")):
        examples = examples_of(task, split)
        own, other = (predict(m, examples, task.pipeline) for m in (model, reference))
        loss = F.cross_entropy(own, examples.targets, reduction="none")[:, None]
        pair = [of_numpy(z.numpy(), examples.targets.numpy()) for z in (own, other)]
        known = torch.cat([own, loss, torch.tensor(np.stack(pair, 1)).float()], 1)
        seen = scores[(members == member) & (weight > 0)]
        assert (seen[:, None] - known).abs().amax(2).amin(1).max() < 1e-4


def test_a_margin_that_is_far_out_keeps_its_gradient():
    """log(p / (1 - p)) where p rounds to 1; d margin / d z_y = 1, the others share -1."""
    logits = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    margin = margins(logits, torch.tensor([0]))
    assert margin.item() == pytest.approx(60 - math.log(2))
    (gradient,) = torch.autograd.grad(margin.sum(), logits)
    torch.testing.assert_close(gradient, torch.tensor([[1.0, -0.5, -0.5]]))


def test_a_calibrated_view_without_a_reference_is_refused(toy):
    with pytest.raises(ValueError, match='view = "calibrated": the method has no reference'):
        match_of(toy(), view="calibrated")


@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_scores_are_those_of_the_statistics_asked_for(toy, statistics):
    task, model, auditor, inputs = toy(), normed(), Watched(), []
    model(task.pipeline.prepare(examples_of(task, "retain").inputs) * 2 + 1)
    model[0].register_forward_pre_hook(lambda _, args: inputs.append(args[0].detach()))
    match_of(task, auditor=auditor, statistics=statistics).play(model)
    (images,), ((scores, _, weight),) = inputs, auditor.fitted
    by_hand = copy.deepcopy(model).eval()
    by_hand[1].train(statistics == "batch")
    logits = by_hand(images)
    scored = scores[weight > 0][:, :3]
    assert (scored[:, None] - logits).abs().amax(2).amin(1).max() < 1e-4


def test_a_forgotten_class_faces_held_out_examples_of_its_own(toy):
    task = toy(class_splits(toy().source, [1]))
    auditor = Watched()
    match = match_of(task, auditor=auditor, folds=2)
    match.play(linear())
    ((scores, _, _),) = auditor.fitted
    assert len(scores) == 2  # folds x 1
    peers = int((examples_of(task, "audit").targets == 1).sum())
    assert match.counts.tolist() == [min(len(task.splits.forget), peers)]


class TestBatches:
    def images_of_rounds(self, match: Match, rounds: int) -> list[Tensor]:
        inputs, model = [], linear()
        model.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
        for _ in range(rounds):
            match.play(model)
        return inputs

    def numbers(self, task, split: str, images: Tensor) -> list[int]:
        """Return the images' indices into the split."""
        known = task.pipeline.prepare(examples_of(task, split).inputs).flatten(1)
        gaps = (images.flatten(1)[:, None] - known).abs().amax(2)
        assert gaps.amin(1).max() < 1e-3, f"not all from {split}"
        return gaps.argmin(1).tolist()

    @pytest.mark.parametrize(("audit_batch", "batches"), [(None, 1), (30, 2), (12, 5)])
    def test_they_go_through_forget_without_replacement(self, toy, audit_batch, batches):
        """30 of forget, ten a class; the same number of audit images beside them."""
        task = toy()
        match = match_of(task, audit_batch=audit_batch)
        assert match.batches == batches
        for turn in range(2):
            rounds = self.images_of_rounds(match, batches)
            assert all(len(images) <= (audit_batch or 60) for images in rounds)
            forget, audit = [
                [self.numbers(task, split, images.chunk(2)[side]) for images in rounds]
                for side, split in enumerate(("forget", "audit"))
            ]
            assert sorted(chain(*forget)) == list(range(30)), f"turn {turn}"
            assert len(set(chain(*audit))) == 30

    def test_an_uneven_last_batch_still_meets_everyone(self, toy):
        task = toy()
        match = match_of(task, audit_batch=24)  # four a class: 4 + 4 + 2, and 2 again
        rounds = self.images_of_rounds(match, match.batches)
        numbers = chain(*(self.numbers(task, "forget", images.chunk(2)[0]) for images in rounds))
        assert match.batches == 3
        assert set(numbers) == set(range(30))

    def test_fewer_audit_than_forget_examples_meet_everyone_in_time(self, toy):
        """40 a class to forget, 20 to audit: a round takes 20, and the next one draws anew."""
        task = toy(random_splits(toy().source, 0.8))
        match = match_of(task)
        assert match.counts.tolist() == [20, 20, 20]
        rounds = self.images_of_rounds(match, 16)
        numbers = chain(*(self.numbers(task, "forget", images.chunk(2)[0]) for images in rounds))
        assert set(numbers) == set(range(120))

    def test_a_batch_too_small_for_its_auditors_is_refused(self, toy):
        with pytest.raises(ValueError, match=r"audit_batch = 11.* >= 12"):
            match_of(toy(), audit_batch=11)

    def test_a_seed_decides_the_rounds(self, toy):
        task, model = toy(), linear()
        parts = [first_round(task, model, seed=seed)[0] for seed in (0, 0, 1)]
        assert torch.equal(parts[0], parts[1])
        assert not torch.equal(parts[0], parts[2])


def test_a_class_without_audit_examples_is_refused(toy):
    splits = toy().splits
    targets = toy().source.heldout.targets[splits.audit]
    fewer = replace(splits, audit=splits.audit[targets != 2])
    with pytest.raises(ValueError, match="no audit examples: give audit a larger share"):
        match_of(toy(fewer))


def test_the_clock_knows_game_and_solve(toy):
    match = match_of(toy())
    match.play(linear())
    parts = [match.clock.seconds(part) for part in ("game", "audit", "solve")]
    assert parts[0] >= parts[1] + parts[2] > parts[2] > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": -1.0},
        {"alpha": math.nan},
        {"alpha": math.inf},
        {"solve_every": 0},
        {"solve_every": "week"},
        {"solve_every": 2.5},
        {"update": "both"},
        {"folds": 0},
        {"folds": 1, "repeats": 1},
        {"repeats": -1},
        {"heldout_share": 0.0},
        {"heldout_share": 1.0},
        {"view": "images"},
        {"statistics": "none"},
        {"audit_batch": 3},
        {"lr": 0.0},
    ],
    ids=str,
)
def test_bad_rules_are_named_in_one_line(wrong):
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=f"^{name} = ") as caught:
        Game(**wrong)
    assert "\n" not in str(caught.value)
