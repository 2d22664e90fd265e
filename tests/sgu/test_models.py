"""Models: seeded, of the stated size, and saved without loss."""

import os

import pytest
import torch
from safetensors import safe_open

from sgu.data.examples import Shape
from sgu.models import MODELS, build, load_model, save_model


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_gives_its_weights_and_leaves_the_global_generator_alone(name):
    before = torch.get_rng_state()
    first, again, other = (build(name, Shape(10), seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("classes", "channels"), [(10, 3), (7, 1)])
def test_logits_have_a_column_for_each_class(name, classes, channels):
    model = build(name, Shape(classes, channels), 0)
    assert model(torch.randn(2, channels, 32, 32)).shape == (2, classes)


def test_sizes():
    sizes = {
        name: sum(p.numel() for p in build(name, Shape(10), 0).parameters()) for name in MODELS
    }
    assert sizes["resnet18"] == 11_173_962  # He et al. 2016 with the 3x3 stem, 10 classes
    assert 1e5 < sizes["small_cnn"] < 3e5


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


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="small_cnn, resnet18"):
        build("vgg", Shape(10), 0)
