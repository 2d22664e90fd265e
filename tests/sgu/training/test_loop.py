"""Training: repeatable to the bit, modes and buffers restored, and able to learn."""

import copy
import shutil
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from sgu.data.sources import Examples
from sgu.training.inference import batch_statistics, evaluating, predict
from sgu.training.loop import (
    SCHEDULES,
    Diverged,
    Optimisation,
    Pipeline,
    batches,
    make_optimiser,
    train,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Nets this small only make threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_images(count: int, side: int = 8) -> Examples:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)
    return Examples(images, torch.arange(count) % 4)


def tiny_net() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Dropout(0.0),
            nn.Flatten(),
            nn.Linear(1024, 4),
        )


def bits(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


def odd_modes(model: nn.Sequential) -> list[bool]:
    model.train()
    model[1].eval()
    return [module.training for module in model.modules()]


def fit(model: nn.Module, examples: Examples, seed: int = 0, **options) -> None:
    settings = {"epochs": 2, "lr": 0.05, "batch_size": 16} | options
    pipeline = Pipeline.of(examples.inputs)
    train(model, examples, torch.arange(len(examples)), pipeline, Optimisation(**settings), seed)


@pytest.mark.parametrize("augment", [False, True])
def test_a_seed_gives_the_same_bits(augment):
    images = random_images(33, 8)
    models = [tiny_net() for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        fit(model, images, seed, augment=augment)
    assert same(bits(models[0]), bits(models[1]))
    assert not same(bits(models[0]), bits(models[2]))


def test_training_leaves_global_state_and_modes_alone():
    model = tiny_net()
    modes, before = odd_modes(model), torch.get_rng_state()
    fit(model, random_images(16), augment=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in model.modules()] == modes


def test_a_tiny_net_overfits_64_images():
    examples, losses = random_images(64), []
    model, pipeline = tiny_net(), Pipeline.of(examples.inputs)
    optimisation = Optimisation(epochs=30, lr=0.05, batch_size=16)
    indices = torch.arange(64)
    train(model, examples, indices, pipeline, optimisation, 0, lambda _, loss: losses.append(loss))
    logits = predict(model, examples, pipeline)
    assert torch.equal(logits.argmax(1), examples.targets)
    assert len(losses) == 30
    assert losses[-1] < 0.05 < losses[0]


def test_a_step_is_that_of_the_textbook():
    """One step of plain descent: w - lr (gradient + weight_decay w)."""
    examples, model = random_images(16), tiny_net()
    pipeline = Pipeline.of(examples.inputs)
    by_hand = copy.deepcopy(model).train()
    loss = nn.functional.cross_entropy(by_hand(pipeline.prepare(examples.inputs)), examples.targets)
    loss.backward()
    wanted = [w - 0.05 * (w.grad + 0.01 * w) for w in by_hand.parameters()]
    fit(model, examples, epochs=1, momentum=0.0, weight_decay=0.01, schedule="constant")
    torch.testing.assert_close(list(model.parameters()), wanted, rtol=1e-4, atol=1e-6)


def test_divergence_is_named():
    with pytest.raises(Diverged, match="lower lr"):
        fit(tiny_net(), random_images(64), lr=1e30, epochs=5)


def test_evaluating_restores_odd_modes_even_after_an_error():
    model = tiny_net()
    modes = odd_modes(model)
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == modes
    model.eval()[4].train()
    modes = [module.training for module in model.modules()]
    with pytest.raises(ZeroDivisionError), evaluating(model):
        _ = 1 / 0
    assert [module.training for module in model.modules()] == modes


def test_batch_statistics_normalise_by_the_batch_and_write_nothing():
    model = tiny_net()
    model(torch.randn(8, 3, 8, 8))
    modes, before = odd_modes(model), bits(model)
    images = torch.randn(32, 3, 8, 8) * 5 + 3
    with batch_statistics(model), torch.no_grad():
        normalised = model[:2](images)
    # beta is 0 and gamma 1 at the start
    torch.testing.assert_close(normalised.mean((0, 2, 3)), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        normalised.var((0, 2, 3), correction=0), torch.ones(16), atol=1e-3, rtol=0
    )
    assert same(before, bits(model))
    assert [module.training for module in model.modules()] == modes
    assert model[1].track_running_stats


def test_predict_is_independent_of_the_batch_size_and_can_be_differentiated_through():
    examples, model = random_images(10), tiny_net().train()
    pipeline = Pipeline.of(examples.inputs)
    logits = predict(model, examples, pipeline)
    pieces = predict(model, examples, pipeline, batch_size=3)
    torch.testing.assert_close(logits, pieces)
    assert model.training
    weight = torch.ones(4, requires_grad=True)
    (logits * weight).sum().backward()  # an inference tensor would refuse
    assert torch.equal(weight.grad, logits.sum(0))


def test_the_pipeline_standardises_its_own_images():
    images = random_images(200).inputs // 3 + 20
    prepared = Pipeline.of(images).prepare(images).double()
    assert prepared.mean((0, 2, 3)).abs().max() < 1e-5
    torch.testing.assert_close(
        prepared.std((0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64)
    )


def test_augmentation_flips_and_shifts_whole_images():
    """Every output is one of the 50 flipped and shifted, mirror-padded forms of its image."""
    images = random_images(300, 6).inputs
    pipeline = Pipeline(torch.zeros(3), torch.ones(3))
    moved = pipeline.prepare(images, torch.Generator().manual_seed(0))
    padded = nn.functional.pad(images.float(), (2, 2, 2, 2), mode="reflect")
    crops = [padded[..., y : y + 6, x : x + 6] for y in range(5) for x in range(5)]
    forms = torch.stack([*crops, *[crop.flip(-1) for crop in crops]])
    equal = (forms == moved).flatten(2).all(2)
    assert equal.any(0).all()
    assert equal.any(1).sum() == 50  # each form occurs


@pytest.mark.parametrize(("count", "size"), [(10, 4), (9, 4), (3, 8), (1, 4)])
def test_batches_cover_each_index_once_but_for_a_last_single_one(count, size):
    indices = torch.arange(count) * 7
    covered = torch.cat([torch.empty(0), *batches(indices, size, torch.Generator().manual_seed(0))])
    left_out = 1 if count % size == 1 else 0
    assert len(set(covered.tolist())) == len(covered) == count - left_out
    assert set(covered.tolist()) <= set(indices.tolist())


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_stay_between_nothing_and_the_highest_rate(name):
    optimisation = Optimisation(epochs=1, lr=0.2, schedule=name)
    optimiser, schedule = make_optimiser(tiny_net(), optimisation, 100)
    rates = []
    for _ in range(100):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert min(rates) > 0
    assert max(rates) == pytest.approx(0.2, rel=0.02)
    assert rates[-1] == (0.2 if name == "constant" else pytest.approx(0, abs=0.003))


def test_no_epochs_train_nothing():
    model, images = tiny_net(), random_images(8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, images, epochs=0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": -1},
        {"optimiser": "adam"},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"momentum": 1.0},
        {"weight_decay": -1.0},
        {"batch_size": 1},
        {"schedule": "linear"},
    ],
)
def test_an_impossible_optimisation_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Optimisation(**({"epochs": 1, "lr": 0.1} | wrong))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_learns_the_same():
    images, networks = random_images(64), [tiny_net(), tiny_net()]
    for network, compiled in zip(networks, (False, True), strict=True):
        fit(network, images, compile=compiled)
    plain, compiled = (network.state_dict() for network in networks)
    assert plain.keys() == compiled.keys()
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-3, atol=1e-4)
