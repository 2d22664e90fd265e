"""The classifiers of torchvision, as it defines them, without its weights.

Most are made for 224x224 pixels and shrink an image 32-fold; `name@64` of a folder gives them more
to work on.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from torch import nn

from sgu.data.examples import Shape
from sgu.models.images import with_channels

# beginning of a name -> what its builder must be told of images of so many pixels a side
OPTIONS: dict[str, Callable[[int], dict[str, Any]]] = {
    "vit_": lambda side: {"image_size": side},
    "maxvit_": lambda side: {"input_size": (side, side)},
    "googlenet": lambda _: {"aux_logits": False, "init_weights": True},
    "inception_v3": lambda _: {"aux_logits": False, "init_weights": True},
}


@cache
def names() -> tuple[str, ...]:
    """All that there are. torchvision is imported late, as in `images`."""
    from torchvision import models

    return tuple(models.list_models(module=models))


def classifier(name: str, shape: Shape) -> nn.Module:
    """One of `names` for the classes and channels. Raises where it cannot take its size."""
    from torchvision.models import get_model

    options = next((of(shape.side) for start, of in OPTIONS.items() if name.startswith(start)), {})
    model = get_model(name, num_classes=shape.classes, **options)
    return with_channels(model, shape.channels)
