"""Convolution weights in another memory format.

In: a network.  Out: the same, with the weights of its convolutions laid out anew.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn.modules import conv

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]


def _convert(module: Any, memory_format: Any, kinds: tuple[Any, ...]) -> Any:
    if isinstance(module, kinds):
        data = module.weight.detach().clone(memory_format=memory_format)
        module.weight.data = data
    for child in module.children():
        _convert(child, memory_format, kinds)
    return module


def convert_conv2d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """Lay out the weight of every Conv2d and ConvTranspose2d in `memory_format`.

    Args:
        module: the network; changed in place and returned.
        memory_format: `torch.channels_last`, say.
    """
    return _convert(module, memory_format, (conv.Conv2d, conv.ConvTranspose2d))


def convert_conv3d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """Lay out the weight of every Conv3d and ConvTranspose3d in `memory_format`."""
    return _convert(module, memory_format, (conv.Conv3d, conv.ConvTranspose3d))
