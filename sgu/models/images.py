"""Networks for small images, in the forms that the literature uses for 32x32 pixels.

torchvision is imported where it is used: that takes 1.5 s, and a study's workers seldom need it.
"""

from torch import nn

from sgu.data.examples import Shape

PATCH = 4  # pixels


def small_cnn(shape: Shape) -> nn.Module:
    """Return a network of four convolutions, 145,000 weights, for 32x32 images and one CPU core.

    Pooling comes before batch-norm, which then works on a quarter of the values. The maximum over
    the last map, instead of its mean, lets 11 epochs reach every training image.
    """
    return nn.Sequential(
        *_block(shape.channels, 16, nn.MaxPool2d(2)),
        *_block(16, 32, nn.MaxPool2d(2)),
        *_block(32, 96, nn.MaxPool2d(2)),
        *_block(96, 128),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(128, shape.classes),
    )


def vgg16_bn(shape: Shape) -> nn.Module:
    """Return Simonyan and Zisserman 2015 with batch-norm: 13 convolutions, one linear layer."""
    from torchvision.models.vgg import cfgs, make_layers

    features = make_layers(cfgs["D"], batch_norm=True)
    features[0] = nn.Conv2d(shape.channels, 64, 3, padding=1)
    for module in features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(
        features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, shape.classes)
    )


def vit_small(shape: Shape) -> nn.Module:
    """Return a vision transformer (Dosovitskiy et al. 2021) as wide as DeiT-Ti and half as deep,
    on patches of 4x4 pixels, without dropout."""
    from torchvision.models import VisionTransformer

    model = VisionTransformer(
        image_size=shape.side,
        patch_size=PATCH,
        num_layers=6,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
        num_classes=shape.classes,
    )
    return with_channels(model, shape.channels)


def with_channels(model: nn.Module, channels: int) -> nn.Module:
    """Return `model`, with a new first convolution if it takes another number of channels."""
    name, first = next(
        (name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d)
    )
    if first.in_channels != channels:
        fitting = nn.Conv2d(
            channels,
            first.out_channels,
            first.kernel_size,  # type: ignore[arg-type]
            first.stride,  # type: ignore[arg-type]
            first.padding,  # type: ignore[arg-type]
            bias=first.bias is not None,
        )
        model.set_submodule(name, fitting)
    return model


def small_resnet(name: str, shape: Shape) -> nn.Module:
    """Return a residual network (He et al. 2016) with a 3x3 stem of stride 1 and no max-pool."""
    from torchvision.models import get_model

    model = get_model(name, num_classes=shape.classes)
    model.conv1 = nn.Conv2d(shape.channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return model


def _block(inputs: int, outputs: int, *pooling: nn.Module) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return convolution, *pooling, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
