"""Models as files: weights and a dict of strings, nothing that could run as code.

Written are safetensors files; read are those, and .pt, .pth, .ckpt and .bin files of PyTorch, of
which weights and plain values alone are unpickled (`weights_only`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from sgu.files.atomic import atomic_write
from sgu.files.tensors import open_tensors
from sgu.models.preprocessing import Preprocessing, bare

PICKLED = (".pt", ".pth", ".ckpt", ".bin")
WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes that DataParallel and torch.compile put before every name."""

INSIDE = ("state_dict", "model_state_dict", "model")
"""Keys under which training programs keep the weights, beside an optimiser and such."""

Weights = dict[str, Tensor]


class OtherModel(ValueError):
    """A file holds the weights of another architecture."""


def save_model(path: Path, model: nn.Module, info: dict[str, str]) -> None:
    """Write weights, buffers, `info` and the model's preprocessing, if it brought one along;
    readers see the old file or the whole new one."""
    network, fed = bare(model)
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    with atomic_write(path) as unfinished:
        save_file(tensors, unfinished, metadata=info | fed.info())


def load_model(path: Path, model: nn.Module) -> dict[str, Any]:
    """Fill `model`, on its device, from the file; return the file's `info`.

    Raises ValueError if the file cannot be read, and OtherModel if it holds another architecture;
    the first name that differs is given.
    """
    weights, info = read_weights(path)
    if difference := _difference(weights, model.state_dict()):
        raise OtherModel(f"{path} holds another model than {type(model).__name__}: {difference}")
    model.load_state_dict(weights)
    return info


def read_info(path: Path) -> dict[str, Any]:
    """Return the plain values beside the weights in a file. Raises ValueError."""
    if path.suffix in PICKLED:
        return read_weights(path)[1]
    with _opened(path) as file:
        return file.metadata() or {}


def read_preprocessing(path: Path) -> Preprocessing:
    """Return how a file says that its network is fed. Raises ValueError, which names the file."""
    info = read_info(path)
    try:
        return Preprocessing.of(info)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}, beside the weights: {error}") from error


def trained_elsewhere(info: Mapping[str, Any], fingerprint: str) -> str:
    """Return a complaint if a file's metadata name other data than these; empty if they do not.

    fingerprint: of the data at hand.
    """
    known = info.get("data_fingerprint", fingerprint)
    return "" if known == fingerprint else f"is of other data ({known}, these are {fingerprint})"


def read_weights(path: Path) -> tuple[Weights, dict[str, Any]]:
    """Return the weights in a file by name, without the prefixes of wrappers, and the plain values
    beside them. Raises ValueError for a file that holds none."""
    if path.suffix in PICKLED:
        weights, info = _unpickled(path)
    else:
        with _opened(path) as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            info = file.metadata() or {}
    return _unwrapped(weights), info


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yield an opened safetensors file. Raises ValueError if it is none."""
    _check_is_file(path)
    try:
        with open_tensors(path) as file:
            yield file
    except SafetensorError as error:
        raise ValueError(
            f"{path} is no safetensors file ({error}): save the weights with safetensors, or "
            f"as a state_dict with torch.save under a name that ends in {', '.join(PICKLED)}"
        ) from error


def _unpickled(path: Path) -> tuple[Weights, dict[str, Any]]:
    _check_is_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's, of TorchScript
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"{path} cannot be read as weights ({_reason(error)}): save model.state_dict(), not "
            "the model"
        ) from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} holds a {type(content).__name__}; need a state_dict: save that")
    inside = next((content[k] for k in INSIDE if isinstance(content.get(k), Mapping)), content)
    weights = {name: value for name, value in inside.items() if isinstance(value, Tensor)}
    if not weights:
        raise ValueError(f"{path} holds no tensors, but {', '.join(map(str, content))}: save some")
    return weights, _beside(inside, content)


def _reason(error: Exception) -> str:
    """Return why torch.load reads no weights, without its advice to run what a file brings."""
    text = str(error)
    if found := re.search(r"GLOBAL (\S+)", text):
        return f"it holds a {found[1]}"
    if "TorchScript" in text:
        return "it is a TorchScript program"
    return (text.splitlines() or [type(error).__name__])[0]


def _beside(inside: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values beside the weights, tensors of numbers among them as lists."""
    plain: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, Tensor) and value.ndim < 2 and inside is not content:
            plain[name] = value.tolist()
        elif isinstance(value, str | int | float | list | tuple):
            plain[name] = value
    return plain


def _unwrapped(weights: Weights) -> Weights:
    """Return the weights without the wrappers' prefixes that all of their names have."""
    for prefix in WRAPPERS * 2:  # one wrapper may hold the other, in either order
        if weights and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def _difference(weights: Weights, wanted: Mapping[str, Tensor]) -> str:
    """Return the first way in which weights differ from those of a network; empty if in none."""
    for name, tensor in wanted.items():
        if name not in weights:
            return f"it lacks {name}"
        if weights[name].shape != tensor.shape:
            shapes = tuple(weights[name].shape), tuple(tensor.shape)
            return f"{name} is {shapes[0]} in the file, {shapes[1]} in the network"
    return next((f"it has {name} beyond" for name in weights if name not in wanted), "")


def _check_is_file(path: Path) -> None:
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file: give a model as {', '.join(PICKLED)} or safetensors"
        )
