"""The recipes by which originals and references are trained.

The published recipe for CIFAR (He et al. 2016; Simonyan and Zisserman 2015 with batch-norm):
momentum .9, weight decay 5e-4, batches of 128, learning rate .1, .05 for VGG; here over 60 epochs
in one cycle. Transformers: AdamW, as in DeiT (Touvron et al. 2021).
"""

from functools import partial

from sgu.models.registry import check_name
from sgu.training.loop import Optimisation

SGD = partial(Optimisation, schedule="one_cycle")
ADAMW = partial(Optimisation, schedule="one_cycle", optimiser="adamw", weight_decay=0.05)

CONVOLUTIONAL = SGD(epochs=60, lr=0.1, augment=True)
VGG = SGD(epochs=60, lr=0.05, augment=True)
UNNORMALISED = SGD(epochs=60, lr=0.01, augment=True)
ATTENTION = ADAMW(epochs=100, lr=1e-3, augment=True)

PRETRAIN: dict[str, Optimisation] = {
    # measured on the embedded set: test accuracy .64 where weight_decay 5e-4 gives .61
    "small_cnn": SGD(epochs=11, lr=0.1, weight_decay=6e-3, batch_size=64),
    "resnet18": CONVOLUTIONAL,
    "resnet50": CONVOLUTIONAL,
    "vgg16_bn": VGG,
    "vit_small": ATTENTION,
    # measured on the docstrings of 20 packages, 10,265 for training: test accuracy .82; the best
    # of sgd (lr .5) gives .75
    "bag_of_embeddings": ADAMW(epochs=10, lr=1e-2),
    # likewise, on a quarter of them, 8 epochs: .76; the best of sgd (lr .03) gives .68
    "transformer": ADAMW(epochs=10, lr=1e-3),
}


def pretraining(name: str) -> Optimisation:
    """Return the recipe of a model. Raises ValueError for an unknown name."""
    check_name(name)
    return PRETRAIN.get(name) or _family_recipe(name.rpartition("/")[2])


def _family_recipe(name: str) -> Optimisation:
    if name.startswith(("vit_", "swin_", "maxvit_", "convnext_")):
        return ATTENTION
    if name.startswith("vgg"):
        return VGG if name.endswith("_bn") else UNNORMALISED
    return UNNORMALISED if name.startswith(("alexnet", "squeezenet")) else CONVOLUTIONAL
