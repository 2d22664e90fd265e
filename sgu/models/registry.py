"""The registry of networks, and how one is built.

Beside the names in MODELS: a classifier of torchvision by its name (in its own form
torchvision/NAME, also where MODELS has a form of the name for small images), timm/NAME where timm
is installed, and module:Class, a class of the user's that can be imported from here. It is called
with num_classes if it takes that, else with nothing, and gives logits (n, classes).
"""

import difflib
import inspect
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import nn

from sgu.data.examples import Shape
from sgu.models.images import small_cnn, small_resnet, vgg16_bn, vit_small
from sgu.models.library import classifier, names
from sgu.models.texts import BagOfEmbeddings, Transformer
from sgu.training.inference import evaluating

Maker = Callable[[Shape], nn.Module]

IMAGE_MODELS: dict[str, Maker] = {
    "small_cnn": small_cnn,
    "resnet18": partial(small_resnet, "resnet18"),
    "resnet50": partial(small_resnet, "resnet50"),
    "vgg16_bn": vgg16_bn,
    "vit_small": vit_small,
}
TEXT_MODELS: dict[str, Maker] = {"bag_of_embeddings": BagOfEmbeddings, "transformer": Transformer}
TORCHVISION, TIMM = "torchvision/", "timm/"
MODELS = IMAGE_MODELS | TEXT_MODELS  # all others are torchvision's


def build(name: str, shape: Shape, seed: int) -> nn.Module:
    """Return the model `name` on the CPU, drawn from `seed`; the global generator is untouched.

    name: a key of MODELS, or a classifier of torchvision.
    Raises ValueError for an unknown name or a model that cannot take inputs of this shape.
    """
    make = _maker(name, shape)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach the devices too
        try:
            model = make(shape)
            _run_once(model, shape)
        except (RuntimeError, ValueError, AssertionError) as error:
            raise ValueError(_unfit(name, shape, error)) from error
    # measured with small_cnn on the CPU: 1.5 times as fast as channels first
    return model.to(memory_format=torch.channels_last)


def check_name(name: str) -> None:
    """Raise ValueError, with similar names, if no model has this name."""
    if ":" in name:
        _users(name)
    elif name.startswith(TIMM):
        _check_timm(name.removeprefix(TIMM))
    elif name not in MODELS and name.removeprefix(TORCHVISION) not in names():
        close = difflib.get_close_matches(name, [*MODELS, *names()], n=4)
        guess = f" (did you mean {', '.join(close)}?)" if close else ""
        raise ValueError(
            f"model = {name!r}: must be one of {', '.join(MODELS)}, a classifier of torchvision, "
            f"timm/NAME, or module:Class{guess}"
        )


def _maker(name: str, shape: Shape) -> Maker:
    check_name(name)
    if ":" in name:
        return partial(_made, _users(name))
    if name.startswith(TIMM):
        return partial(_of_timm, name.removeprefix(TIMM))
    if shape.text != (name in TEXT_MODELS):
        data, other = ("texts", "images") if shape.text else ("images", "texts")
        suited = TEXT_MODELS if shape.text else IMAGE_MODELS
        raise ValueError(
            f"model = {name!r} is for {other}, the data are {data}: choose {', '.join(suited)}"
        )
    return MODELS.get(name) or partial(classifier, name.removeprefix(TORCHVISION))


def _users(name: str) -> Callable[..., nn.Module]:
    """Return the class or function that module:Class names. Raises ValueError."""
    module, _, member = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return getattr(import_module(module), member)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"model = {name!r}: cannot be imported ({error}): name module:Class as Python would "
            "import it from this folder"
        ) from error


def _made(network: Callable[..., nn.Module], shape: Shape) -> nn.Module:
    takes = "num_classes" in inspect.signature(network).parameters
    return network(num_classes=shape.classes) if takes else network()


def _check_timm(name: str) -> None:
    if find_spec("timm") is None:
        raise ValueError(f"model = 'timm/{name}': timm is not installed: pip install timm")
    from timm import is_model, list_models

    if not is_model(name):
        close = difflib.get_close_matches(name, list_models(), n=4)
        raise ValueError(f"model = 'timm/{name}': timm has none (did you mean {', '.join(close)}?)")


def _of_timm(name: str, shape: Shape) -> nn.Module:
    from timm import create_model

    return create_model(name, num_classes=shape.classes, in_chans=shape.channels)


def _run_once(model: nn.Module, shape: Shape) -> None:
    """Run the network on an input of this shape, for the error that it may raise."""
    inputs = (
        torch.ones(1, shape.length, dtype=torch.int64)
        if shape.text
        else torch.zeros(1, shape.channels, shape.side, shape.side)
    )
    with evaluating(model), torch.no_grad():
        model(inputs)


def _unfit(name: str, shape: Shape, error: Exception) -> str:
    size = f"{shape.channels} x {shape.side} x {shape.side}"
    inputs = f"texts of {shape.length} tokens" if shape.text else f"images of {size}"
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return (
        f"model = {name!r} cannot take {inputs} ({reason}): choose another model, or another size "
        "(@64 after a folder's name gives 64 x 64 pixels)"
    )
