"""Video: the tv_tensor of a sequence of pictures."""

from __future__ import annotations

from typing import Any

from ._tv_tensor import TVTensor


class Video(TVTensor):
    """Frames (..., T, C, H, W).

    Args:
        data: tensor or array of at least four dimensions.
        dtype, device, requires_grad: as in `tensor`; the data's own by default.

    Raises:
        ValueError: fewer than four dimensions.
    """

    def __new__(
        cls,
        data: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = None,
    ) -> Any:
        tensor = cls._to_tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)
        if data.ndim < 4:
            raise ValueError
        return tensor.as_subclass(cls)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return self._make_repr()
