"""Image: the tv_tensor of one picture or a batch of them."""

from __future__ import annotations

from typing import Any

from ..transforms._params import is_pil_image
from ..transforms.functional import pil_to_tensor
from ._tv_tensor import TVTensor


class Image(TVTensor):
    """A picture (..., C, H, W); (H, W) becomes (1, H, W).

    Args:
        data: tensor, nested numbers or a Pillow image.
        dtype, device, requires_grad: as in `tensor`; the data's own by default.

    Raises:
        ValueError: fewer than two dimensions.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision import tv_tensors
        >>> tv_tensors.Image(rl.zeros(2, 2)).shape
        torch.Size([1, 2, 2])
    """

    def __new__(
        cls,
        data: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = None,
    ) -> Any:
        if is_pil_image(data):
            data = pil_to_tensor(data)
        tensor = cls._to_tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)
        if tensor.ndim < 2:
            raise ValueError(f"Tensor must be 2D or higher, got {tensor.ndim}D tensor.")
        if tensor.ndim == 2:
            tensor = tensor.unsqueeze(0)
        return tensor.as_subclass(cls)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return self._make_repr()
