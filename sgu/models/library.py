"""The classifiers of torchvision, as it defines them, without its weights.

Most are made for 224x224 pixels and shrink an image 32-fold; `name@64` of a folder gives them more
to work on.
"""

from collections.abc import Callable
from typing import Any

import torchvision
from torch import nn

from sgu.data.examples import Shape
from sgu.models.images import with_channels

NAMES = tuple(torchvision.models.list_models(module=torchvision.models))

# beginning of a name -> what its builder must be told of images of so many pixels a side
OPTIONS: dict[str, Callable[[int], dict[str, Any]]] = {
    "vit_": lambda side: {"image_size": side},
    "maxvit_": lambda side: {"input_size": (side, side)},
    "googlenet": lambda _: {"aux_logits": False, "init_weights": True},
    "inception_v3": lambda _: {"aux_logits": False, "init_weights": True},
}


def classifier(name: str, shape: Shape) -> nn.Module:
    """One of NAMES, for the shape's classes and channels. Raises where it cannot take its size."""
    options = next((of(shape.side) for start, of in OPTIONS.items() if name.startswith(start)), {})
    model = torchvision.models.get_model(name, num_classes=shape.classes, **options)
    return with_channels(model, shape.channels)
