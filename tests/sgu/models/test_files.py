"""Checkpoints of others: formats, wrappers' prefixes, the first difference, their preprocessing."""

from __future__ import annotations

import warnings

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet18
from torchvision.transforms.functional import normalize, resize

from sgu.data.examples import Shape
from sgu.data.pipeline import Pipeline
from sgu.experiment import Experiment
from sgu.models import (
    Preprocessing,
    build,
    load_model,
    read_info,
    read_preprocessing,
    save_model,
)
from sgu.models.recipes import pretraining


def network() -> nn.Module:
    return build("small_cnn", Shape(4, side=8), 3)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("inside", [None, "state_dict", "model"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_weights_are_found_wherever_training_programs_put_them(prefix, inside, suffix, tmp_path):
    weights = {f"{prefix}{k}": v.contiguous() for k, v in network().state_dict().items()}
    path = tmp_path / f"model{suffix}"
    if suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save({inside: weights, "epoch": 3, "optimizer": {}} if inside else weights, path)
    other = build("small_cnn", Shape(4, side=8), 0)
    load_model(path, other)
    for name, value in network().state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("2.weight"), "it lacks 2.weight"),
        (lambda weights: weights.update(extra=torch.ones(1)), "it has extra beyond"),
        (
            lambda weights: weights.update({"0.weight": torch.ones(1)}),
            r"0.weight is \(1,\) in the file, \(16, 3, 3, 3\) in the network",
        ),
    ],
)
def test_the_first_difference_is_named(change, message, tmp_path):
    weights = {name: value.contiguous() for name, value in network().state_dict().items()}
    change(weights)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path / "model.safetensors", network())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            nn.Linear(2, 2),
            r"\(it holds a torch.nn.modules.linear.Linear\): save model.state_",
        ),
        ([1, 2], "holds a list; need a state_dict"),
        ({"epoch": 3}, "holds no tensors, but epoch"),
    ],
)
def test_a_file_without_weights_says_what_to_save(content, message, tmp_path):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path / "model.pt", network())


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_program_is_told_from_weights_without_advice_to_run_it(tmp_path):
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "model.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with pytest.raises(ValueError, match=r"\(it is a TorchScript program\): save"):
            load_model(tmp_path / "model.pt", network())


def test_a_preprocessing_beside_the_weights_is_read_also_from_tensors(tmp_path):
    path, weights = tmp_path / "model.pt", network().state_dict()
    torch.save({"model": weights, "mean": torch.tensor(MEAN), "std": torch.tensor(STD)}, path)
    assert read_preprocessing(path).mean == pytest.approx(MEAN)
    assert read_preprocessing(path).std == pytest.approx(STD)
    torch.save({"model": weights, "mean": [124.0], "std": [58.0]}, path)
    with pytest.raises(ValueError, match=r"model.pt, beside the weights: mean = .* by 255"):
        read_preprocessing(path)


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_file_that_is_none_or_broken_is_named(name, tmp_path):
    with pytest.raises(ValueError, match=f"{name}: no such file"):
        load_model(tmp_path / name, network())
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=name):
        load_model(tmp_path / name, network())


MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)


@pytest.mark.parametrize("size", [None, 12])
def test_a_network_sees_what_it_was_trained_on(size):
    """As torchvision prepares the pixels, from what the product has made of them."""
    pixels = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    pipeline, theirs = Pipeline.of(pixels), build("small_cnn", Shape(4), 0).eval()
    wrapped = Preprocessing(MEAN, STD, size).around(theirs, pipeline).eval()
    wanted = normalize(pixels.float() / 255, list(MEAN), list(STD))
    if size:
        wanted = resize(wanted, [size, size], antialias=True)
    with torch.no_grad():
        torch.testing.assert_close(
            wrapped(pipeline.prepare(pixels)), theirs(wanted), rtol=1e-4, atol=1e-5
        )


def test_preprocessing_is_kept_in_a_file_and_read_back(tmp_path):
    stated = Preprocessing(MEAN, STD, 12)
    model = stated.around(network(), Pipeline(torch.zeros(3), torch.ones(3)))
    save_model(tmp_path / "m.safetensors", model, {"settings": "{}"})
    assert Preprocessing.of(read_info(tmp_path / "m.safetensors")) == stated
    load_model(tmp_path / "m.safetensors", network())  # without the wrapper's prefix
    torch.save({"state_dict": network().state_dict(), "mean": list(MEAN), "std": list(STD)},
               tmp_path / "m.pt")  # fmt: skip
    experiment = Experiment(original=str(tmp_path / "m.pt"))
    assert experiment.preprocessing() == Preprocessing(MEAN, STD)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"mean": (0.5,)}, "state both"),
        ({"mean": 124, "std": 58}, "divide it by 255"),
        ({"mean": 0.5, "std": 0}, "std"),
        ({"size": 0}, "size = 0"),
    ],
)
def test_preprocessing_that_cannot_be_is_named(stated, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**stated)


def test_torchvisions_own_form_and_classes_of_the_user(tmp_path, monkeypatch):
    theirs, ours = build("torchvision/resnet18", Shape(5), 0), build("resnet18", Shape(5), 0)
    wanted = resnet18(num_classes=5).state_dict()
    assert {k: v.shape for k, v in theirs.state_dict().items()} == {
        k: v.shape for k, v in wanted.items()
    }
    assert theirs.conv1.weight.shape != ours.conv1.weight.shape
    assert pretraining("torchvision/resnet18") == pretraining("resnet18")
    (tmp_path / "my_networks.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.head = nn.Linear(3 * 32 * 32, num_classes)\n"
        "    def forward(self, x):\n"
        "        return self.head(x.flatten(1))\n"
    )
    monkeypatch.chdir(tmp_path)
    assert build("my_networks:Net", Shape(7), 0)(torch.zeros(1, 3, 32, 32)).shape == (1, 7)
    for name in ("my_networks:None_", "no_such_module:Net", "timm/no_such_model"):
        with pytest.raises(ValueError, match=name):
            pretraining(name)
