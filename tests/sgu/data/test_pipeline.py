"""The pipeline: exact statistics in bounded memory, and augmentation that only moves pixels."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sgu.data import pipeline as module
from sgu.data.pipeline import COUNTED, Pipeline


def random_images(count: int, side: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    size = (count, channels, side, side)
    return torch.randint(0, 200, size, generator=generator, dtype=torch.uint8)


class Largest(TorchDispatchMode):
    """A measure: the most bytes of a tensor that is created inside and is no view of `base`."""

    def __init__(self, base: torch.Tensor):
        super().__init__()
        self.storage, self.size = base.untyped_storage().data_ptr(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            view = result.untyped_storage().data_ptr() == self.storage
            self.size = max(self.size, 0 if view else result.nbytes)
        return result


def test_statistics_are_those_of_all_pixels(monkeypatch):
    images = random_images(50, 7)
    whole = Pipeline.of(images)
    np.testing.assert_allclose(whole.mean, images.numpy().mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(whole.std, images.numpy().std((0, 2, 3)), rtol=1e-6)
    monkeypatch.setattr(module, "COUNTED", 1000)  # six images a part, and a rest of two
    parts = Pipeline.of(images)
    assert torch.equal(parts.mean, whole.mean)
    assert torch.equal(parts.std, whole.std)


def test_statistics_of_a_set_larger_than_memory_take_little():
    """200 MB that take no memory, since all images are one; only parts of them are copied."""
    images = random_images(1, 32).expand(65_536, 3, 32, 32)
    with Largest(images) as largest:
        Pipeline.of(images)
    assert 0 < largest.size <= COUNTED


def test_images_are_standardised_channel_by_channel():
    images = random_images(20, 6) // 3 + 20
    pipeline = Pipeline.of(images)
    prepared = pipeline.prepare(images)
    pixels = images.numpy().astype(np.float64)
    wanted = (pixels - pixels.mean((0, 2, 3), keepdims=True)) / pixels.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(prepared, wanted, atol=1e-5)
    assert prepared.dtype == torch.float32
    assert prepared.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_is_a_flip_and_a_crop_of_the_mirrored_image(channels):
    """Each of the 50 forms is expected 100 times in 5000 draws, and appears about as often."""
    image = random_images(1, 6, channels)
    pipeline = Pipeline(torch.zeros(channels), torch.ones(channels))
    draws = pipeline.prepare(image.expand(5000, -1, -1, -1), torch.Generator().manual_seed(0))
    padded = np.pad(image[0].numpy(), ((0, 0), (2, 2), (2, 2)), mode="reflect")
    crops = [padded[:, y : y + 6, x : x + 6] for y in range(5) for x in range(5)]
    forms = np.stack([*crops, *[crop[..., ::-1] for crop in crops]])
    matches = (draws.numpy()[:, None] == forms[None]).all((2, 3, 4))
    assert (matches.sum(1) == 1).all()
    assert matches.sum(0).min() > 60  # four standard deviations
    assert matches.sum(0).max() < 140


def test_augmentation_follows_its_generator_alone():
    images = random_images(40, 8)
    pipeline, before = Pipeline.of(images), torch.get_rng_state()
    first, again, other = (
        pipeline.prepare(images, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_tokens_stay_what_they_are():
    tokens = torch.tensor([[5, 2, 0], [1, 0, 0]], dtype=torch.int32)
    prepared = Pipeline.of(tokens).prepare(tokens)
    assert prepared.dtype == torch.int64
    assert prepared.tolist() == tokens.tolist()
    with pytest.raises(ValueError, match=r"augment = True: texts .*turn it off"):
        Pipeline.of(tokens).prepare(tokens, torch.Generator())
