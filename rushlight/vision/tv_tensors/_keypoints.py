"""KeyPoints: the tv_tensor of points in an image."""

from __future__ import annotations

from typing import Any

from ._tv_tensor import TVTensor


class KeyPoints(TVTensor):
    """Points (..., 2) as x, y; one point (2,) becomes (1, 2).

    Args:
        data: tensor or nested numbers.
        canvas_size: (height, width) of the image.
        dtype, device, requires_grad: as in `tensor`; the data's own by default.

    Raises:
        ValueError: the last dimension is not 2.
    """

    canvas_size: tuple[int, int]

    def __new__(
        cls,
        data: Any,
        *,
        canvas_size: tuple[int, int],
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = None,
    ) -> Any:
        tensor = cls._to_tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)
        return cls._wrap(tensor, canvas_size=canvas_size)

    @classmethod
    def _wrap(cls, tensor: Any, *, check_dims: bool = True, **metadata: Any) -> Any:
        if check_dims:
            if tensor.ndim == 1:
                tensor = tensor.unsqueeze(0)
            elif tensor.shape[-1] != 2:
                raise ValueError(f"Expected a tensor of shape (..., 2), not {tensor.shape}")
        points = tensor.as_subclass(cls)
        points.canvas_size = metadata["canvas_size"]
        return points

    def _metadata(self) -> dict[str, Any]:
        return {"canvas_size": self.canvas_size}

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return self._make_repr(**self._metadata())
