"""The classifiers of torchvision by name: torchvision's own weights, for the data's shape."""

import pytest
import torch
import torchvision

from sgu.data.examples import Shape
from sgu.models import MODELS, build
from sgu.models.library import names
from sgu.models.recipes import pretraining

FAMILIES = [
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet34",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "vit_b_32",
]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.filterwarnings("error")  # torchvision's advice on its constructors
def test_a_family_trains_and_predicts_on_small_grey_images(name):
    model = build(name, Shape(7, channels=1), 0)
    logits = model(torch.randn(2, 1, 32, 32))
    assert logits.shape == (2, 7)
    logits.square().sum().backward()
    with torch.no_grad():
        assert model.eval()(torch.randn(1, 1, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet34"])
def test_with_three_channels_the_network_is_torchvisions(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        wanted = torchvision.models.get_model(name, num_classes=5).state_dict()
    weights = build(name, Shape(5), 3).state_dict()
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(weights[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize(("name", "side", "larger"), [("alexnet", 32, 64), ("vit_b_32", 40, 64)])
def test_a_size_is_refused_or_taken(name, side, larger):
    with pytest.raises(ValueError, match=rf"{name}.* 3 x {side} x {side} .*choose another"):
        build(name, Shape(10, side=side), 0)
    assert pretraining(name).epochs > 0
    model = build(name, Shape(10, side=larger), 0).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, larger, larger)).shape == (1, 10)


def test_names_are_those_of_the_classifiers():
    assert {"resnet101", "vit_b_16", "inception_v3"} <= set(names())
    assert not {"deeplabv3_resnet50", "fasterrcnn_resnet50_fpn", "raft_small"} & set(names())
    assert {"resnet18", "resnet50", "vgg16_bn"} == set(names()) & set(MODELS)  # in our own form
