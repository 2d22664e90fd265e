"""Makes the device known to torch: its module, its factories and its autocast."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from pretended.counting import FREE, copy_unwaited, launch, name_of, wait
from pretended.tensors import DEVICE, PINNED, PretendedTensor, handle, refuse

aten = torch.ops.aten
NO_FACTORIES = (
    "sparse", "quantized", "cudnn", "mkldnn", "nested", "_make_dep_token", "from_file", "_pin",
    "pin_memory", "is_pinned",
)  # fmt: skip
LOWER = ("conv2d", "linear", "matmul", "mm", "bmm", "addmm", "baddbmm",
         "scaled_dot_product_attention")  # fmt: skip
HIGHER = ("log_softmax.int", "softmax.int", "nll_loss", "kl_div", "layer_norm", "sum",
          "sum.dim_IntList")  # fmt: skip


@cache
def register() -> tuple[Any, ...]:
    """Make the device known, once a process; return what must live on."""
    _setup_privateuseone_for_python_backend(DEVICE, backend_module=_module())
    library = torch.library.Library("aten", "IMPL")
    for qualified, operation in _factories():
        library.impl(qualified, _factory(operation), "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    rest = torch.library.Library("_", "IMPL")
    rest.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for names, dtype in ((LOWER, torch.bfloat16), (HIGHER, torch.float32)):
        for name in names:
            library.impl(name, _casting(_overload(name), dtype), "AutocastPrivateUse1")
    torch.Tensor.pin_memory = _pin_memory  # type: ignore[method-assign, assignment]
    return library, rest


def _module() -> types.ModuleType:
    module = types.ModuleType(f"torch.{DEVICE}")
    answers = {
        "is_available": True, "device_count": 1, "current_device": 0, "set_device": None,
        "is_initialized": True, "_is_in_bad_fork": False, "_lazy_init": None, "manual_seed": None,
        "manual_seed_all": None, "get_amp_supported_dtype": [torch.float16, torch.bfloat16],
    }  # fmt: skip
    for name, answer in answers.items():
        setattr(module, name, lambda *_, answer=answer: answer)
    module.synchronize = lambda *_: wait("synchronize")  # type: ignore[attr-defined]
    return module


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Any:
    return handle(aten.copy_.default, (target, source, non_blocking), {})


def _pin_memory(self: Tensor, *_: Any) -> Tensor:
    copy_unwaited("pin_memory")
    pinned = self.clone()
    setattr(pinned, PINNED, True)
    return pinned


def _factories() -> Iterator[tuple[str, Any]]:
    """Yield the operations that make a tensor from none."""
    for full in torch._C._dispatch_get_all_op_names():
        qualified = full.removeprefix("aten::")
        if qualified == full or any(part in full for part in NO_FACTORIES):
            continue
        try:
            operation = _overload(qualified)
        except (AttributeError, RuntimeError):
            continue
        schema = operation._schema
        takes = [str(argument.type) for argument in schema.arguments]
        named = any(argument.name == "device" for argument in schema.arguments)
        makes = len(schema.returns) == 1 and "Tensor" in str(schema.returns[0].type)
        if makes and named and not any("Tensor" in kind for kind in takes):
            yield qualified, operation


def _overload(qualified: str) -> Any:
    name, _, overload = qualified.partition(".")
    return getattr(getattr(aten, name), overload or "default")


def _factory(operation: Any) -> Callable[..., Tensor]:
    name = name_of(operation)

    def kernel(*args: Any, **kwargs: Any) -> Tensor:
        if any(isinstance(x, torch.Generator) for x in tree_leaves((args, kwargs))):
            refuse(f"{name}: a CPU generator for a tensor on the device")
        kwargs["device"] = torch.device("cpu")
        if "pin_memory" in kwargs:
            kwargs["pin_memory"] = None
        with torch._C._DisableAutocast():
            if name == "_efficientzerotensor":
                size = args[0] if args else kwargs["size"]
                raw = torch.zeros(size, dtype=kwargs.get("dtype"))
            else:
                raw = operation(*args, **kwargs)
        if name not in FREE:
            launch(name)
        return PretendedTensor(raw)

    return kernel


def _casting(operation: Any, dtype: torch.dtype) -> Callable[..., Any]:
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def cast(x: Any) -> Any:
        ours = isinstance(x, Tensor) and x.device.type == DEVICE and x.is_floating_point()
        return x.to(dtype) if ours and x.dtype not in (torch.float64, dtype) else x

    def kernel(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(keys):
            return operation(*tree_map(cast, args), **tree_map(cast, kwargs))

    return kernel
