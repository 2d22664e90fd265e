"""The classifiers of torchvision, as it defines them, without its weights.

Most are made for 224x224 pixels and shrink an image 32-fold; a folder's `name@64` gives larger
ones.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from torch import nn

from sgu.data.examples import Shape
from sgu.models.images import with_channels

# beginning of a name -> options of its builder for images of `side` x `side` pixels
OPTIONS: dict[str, Callable[[int], dict[str, Any]]] = {
    "vit_": lambda side: {"image_size": side},
    "maxvit_": lambda side: {"input_size": (side, side)},
    "googlenet": lambda _: {"aux_logits": False, "init_weights": True},
    "inception_v3": lambda _: {"aux_logits": False, "init_weights": True},
}


@cache
def names() -> tuple[str, ...]:
    """Return the names of all classifiers. torchvision is imported late, as in `images`."""
    from torchvision import models

    return tuple(models.list_models(module=models))


def classifier(name: str, shape: Shape) -> nn.Module:
    """Return the classifier `name` for the shape. Raises torchvision's errors for a wrong size."""
    from torchvision.models import get_model

    prefix = next((prefix for prefix in OPTIONS if name.startswith(prefix)), None)
    options = OPTIONS[prefix](shape.side) if prefix else {}
    model = get_model(name, num_classes=shape.classes, **options)
    return with_channels(model, shape.channels)
