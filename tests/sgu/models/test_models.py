"""Models: seeded, of the published size, refused for unfit data, and saved without loss."""

import os

import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from sgu.data.examples import Examples, Shape
from sgu.data.pipeline import Pipeline
from sgu.models import MODELS, PRETRAIN, build, load_model, pretraining, save_model
from sgu.models.library import names
from sgu.models.registry import IMAGE_MODELS, TEXT_MODELS
from sgu.training.loop import Optimisation, train

TEXT = Shape(10, vocabulary=50, length=12)


def shape_of(name: str, classes: int = 10) -> Shape:
    return Shape(classes, vocabulary=50, length=12) if name in TEXT_MODELS else Shape(classes)


def examples_of(name: str, count: int, classes: int) -> Examples:
    generator = torch.Generator().manual_seed(0)
    inputs = (
        torch.randint(1, 50, (count, 12), generator=generator, dtype=torch.int32)
        if name in TEXT_MODELS
        else torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    )
    return Examples(inputs, torch.arange(count) % classes)


SMALLER = [name for name in MODELS if name != "resnet50"]  # it is resnet18, larger


@pytest.mark.parametrize("name", SMALLER)
def test_a_seed_gives_its_weights_and_leaves_the_global_generator_alone(name):
    before = torch.get_rng_state()
    first, again, other = (build(name, shape_of(name), seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_logits_have_a_column_for_each_class(name):
    model = build(name, Shape(7, channels=1, side=64), 0)
    assert model.training
    assert model(torch.randn(2, 1, 64, 64)).shape == (2, 7)


def test_sizes():
    """He et al. 2016 and Simonyan and Zisserman 2015 for CIFAR-10; the others by their formulas."""
    vit_layer = 4 * 192 + 4 * (192 * 192 + 192) + 2 * 192 * 768 + 768 + 192
    text_layer = 4 * 128 + 4 * (128 * 128 + 128) + 2 * 128 * 256 + 256 + 128
    wanted = {
        "resnet18": 11_173_962,
        "resnet50": 23_520_842,
        "vgg16_bn": 14_728_266,
        "vit_small": 6 * vit_layer + (3 * 16 + 1) * 192 + (1 + 65) * 192 + 2 * 192 + 1930,
        "bag_of_embeddings": 50 * 128 + 128 * 128 + 128 + 1290,
        "transformer": 2 * text_layer + (50 + 12) * 128 + 2 * 128 + 1290,
    }
    sizes = {
        name: sum(p.numel() for p in build(name, shape_of(name), 0).parameters()) for name in MODELS
    }
    assert 1e5 < sizes.pop("small_cnn") < 3e5
    assert sizes == wanted


@pytest.mark.parametrize("name", SMALLER)
def test_every_recipe_moves_every_weight_of_its_model(name):
    """Two steps: torchvision starts the head of a ViT at 0, so that only it moves in the first."""
    model, examples = build(name, shape_of(name, 4), 0), examples_of(name, 4, 4)
    before = {key: weight.clone() for key, weight in model.named_parameters()}
    recipe = pretraining(name)
    once = Optimisation(
        epochs=2, lr=recipe.lr, optimiser=recipe.optimiser, augment=recipe.augment, batch_size=4
    )
    train(model, examples, torch.arange(4), Pipeline.of(examples.inputs), once, 0)
    for key, weight in model.named_parameters():
        assert weight.isfinite().all(), key
        assert not torch.equal(weight, before[key]), key


@pytest.mark.parametrize("name", ["vit_small", "bag_of_embeddings", "transformer"])
def test_curvature_can_be_taken(name):
    """Per-example gradients by vmap equal autograd's; a forward derivative, finite differences."""
    model = build(name, shape_of(name, 4), 0).double().eval()
    examples = examples_of(name, 3, 4)
    inputs = Pipeline.of(examples.inputs).prepare(examples.inputs)
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    weights = {key: weight.detach() for key, weight in model.named_parameters()}

    def loss(weights, one, target):
        logits = functional_call(model, weights, (one[None],))
        return nn.functional.cross_entropy(logits, target[None])

    with sdpa_kernel(SDPBackend.MATH):
        gradients = vmap(grad(loss), (None, 0, 0))(weights, inputs, examples.targets)
        for index in range(3):
            logits = model(inputs[index : index + 1])
            nn.functional.cross_entropy(logits, examples.targets[index : index + 1]).backward()
            for key, weight in model.named_parameters():
                torch.testing.assert_close(gradients[key][index], weight.grad)
            model.zero_grad()
        along = {key: torch.randn_like(weight) for key, weight in weights.items()}
        _, slope = jvp(lambda w: functional_call(model, w, (inputs,)), (weights,), (along,))
        step = 1e-6
        ends = [
            functional_call(model, {k: weights[k] + s * along[k] for k in weights}, (inputs,))
            for s in (-step, step)
        ]
    torch.testing.assert_close(slope, (ends[1] - ends[0]) / (2 * step), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "side", "size"),
    [("vgg16_bn", 16, "3 x 16 x 16"), ("small_cnn", 4, "3 x 4 x 4"), ("vit_small", 30, "30 x 30")],
)
def test_a_size_that_a_model_cannot_take_is_refused_when_it_is_built(name, side, size):
    with pytest.raises(ValueError, match=rf"{name}.* cannot take .*{size} .*choose another"):
        build(name, Shape(10, side=side), 0)


@pytest.mark.parametrize(
    ("name", "shape", "choose"),
    [
        ("resnet18", TEXT, "bag_of_embeddings, transformer"),
        ("mobilenet_v2", TEXT, "bag_of_embeddings, transformer"),
        ("transformer", Shape(10), "small_cnn, resnet18"),
    ],
)
def test_a_model_for_other_data_is_refused(name, shape, choose):
    with pytest.raises(ValueError, match=f"{name}.*the data are .*choose {choose}"):
        build(name, shape, 0)


@pytest.mark.parametrize("use", [lambda name: build(name, Shape(10), 0), pretraining])
def test_an_unknown_name_lists_the_known_and_the_similar_ones(use):
    with pytest.raises(ValueError, match=r"small_cnn, resnet18.*did you mean vgg1"):
        use("vgg")


def test_each_network_has_a_recipe():
    assert set(PRETRAIN) == set(MODELS)
    for name in names():
        assert pretraining(name).augment
    assert pretraining("resnet34") == pretraining("resnet18")
    assert pretraining("vgg11_bn") == pretraining("vgg16_bn")
    assert pretraining("vgg11").lr < pretraining("vgg11_bn").lr  # without batch-norm
    assert pretraining("swin_t") == pretraining("vit_small")


def test_a_file_restores_every_bit_and_the_info(tmp_path):
    model = build("small_cnn", Shape(10), 0).to(memory_format=torch.channels_last)
    model(torch.randn(8, 3, 32, 32))  # moves the running statistics
    path = tmp_path / "model.safetensors"
    save_model(path, model, {"seed": "0"})
    other = build("small_cnn", Shape(10), 1)
    assert load_model(path, other) == {"seed": "0"}
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    assert os.listdir(tmp_path) == ["model.safetensors"]
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"seed": "0"}


def test_another_architecture_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, build("small_cnn", Shape(10), 0), {})
    with pytest.raises(ValueError, match="holds another model"):
        load_model(path, build("small_cnn", Shape(7), 0))
