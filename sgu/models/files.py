"""Models as safetensors files: weights and a dict of strings, nothing that could run as code."""

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from sgu.files.atomic import atomic_write


def save_model(path: Path, model: nn.Module, info: dict[str, str]) -> None:
    """Write weights, buffers and `info`; readers see the old file or the whole new one."""
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    with atomic_write(path) as unfinished:
        save_file(tensors, unfinished, metadata=info)


def load_model(path: Path, model: nn.Module) -> dict[str, str]:
    """Fill `model`, on its device, from the file; return the file's `info`.

    Raises ValueError if the file holds another architecture.
    """
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        info = file.metadata() or {}
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(
            f"{path} holds another model than {type(model).__name__}: {error}"
        ) from error
    return info
