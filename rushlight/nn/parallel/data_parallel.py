"""DataParallel: one module, its batch spread over the GPUs of this machine.

In: a module and its inputs.  Out: what the module returns.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import rushlight as rl
from rushlight.nn.modules.module import Module

__all__ = ["DataParallel", "data_parallel"]


def _indices(device_ids: Sequence[Any] | None) -> list[int]:
    """The numbers of the devices asked for, or of all."""
    if device_ids is None:
        return list(range(rl.cuda.device_count()))
    return [
        device if isinstance(device, int) else int(rl.device(device).index or 0)
        for device in device_ids
    ]


def _refuse_several(device_ids: list[int]) -> None:
    if len(device_ids) > 1:
        raise NotImplementedError(
            "DataParallel over several GPUs is not in rushlight yet: pass device_ids=[0]"
        )


class DataParallel(Module):
    """Splits each batch over the GPUs; without a GPU it only calls the module.

    Args:
        module: the network.
        device_ids: GPU numbers. Default: all.
        output_device: where results go. Default: the first.
        dim: the batch dimension. Default: 0.

    Attributes:
        module: the network.

    Raises:
        NotImplementedError: several GPUs.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.DataParallel(rl.nn.Linear(2, 3))(rl.zeros(1, 2)).shape
        torch.Size([1, 3])
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        if not rl.cuda.is_available():
            self.module = module
            self.device_ids: list[int] = []
            return
        self.dim = dim
        self.module = module
        self.device_ids = _indices(device_ids)
        _refuse_several(self.device_ids)
        self.output_device = self.device_ids[0] if output_device is None else output_device
        self.src_device_obj = rl.device("cuda", self.device_ids[0])
        self.module.to(self.src_device_obj)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Call the module."""
        if not self.device_ids:
            return self.module(*inputs, **kwargs)
        for t in itertools.chain(self.module.parameters(), self.module.buffers()):
            if t.device != self.src_device_obj:
                raise RuntimeError(
                    "module must have its parameters and buffers "
                    f"on device {self.src_device_obj} (device_ids[0]) but found one of "
                    f"them on device: {t.device}"
                )
        device = self.src_device_obj
        moved = [_move(value, device) for value in inputs]
        return self.module(*moved, **{name: _move(value, device) for name, value in kwargs.items()})


def _move(value: Any, device: Any) -> Any:
    """Tensors, also inside containers, on `device`."""
    if isinstance(value, rl.Tensor):
        return value.to(device)
    if isinstance(value, (list, tuple)):
        moved = [_move(item, device) for item in value]
        return type(value)(*moved) if hasattr(value, "_fields") else type(value)(moved)
    if isinstance(value, dict):
        return type(value)((key, _move(item, device)) for key, item in value.items())
    return value


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: Any = None,
) -> Any:
    """Call `module` on `inputs` over the GPUs; as a function.

    Raises:
        RuntimeError: there is no GPU.
    """
    if not rl.cuda.is_available():
        raise RuntimeError("device type could not be determined")
    parallel = DataParallel(module, device_ids, output_device, dim)
    args = inputs if isinstance(inputs, tuple) else () if inputs is None else (inputs,)
    return parallel(*args, **(module_kwargs or {}))
