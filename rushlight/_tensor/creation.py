"""Making tensors: from data, filled, ranges, grids; ``*_like`` and ``new_*``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight._tensor import numpy_bridge
from rushlight._tensor.api import (
    FUNCTIONS,
    asks,
    checked_size,
    device_of,
    dtype_of,
    fitting,
    function,
    method,
    number,
    result_or_out,
    size_of,
)
from rushlight.dispatch.gate import call
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.meta import Meta
from rushlight.ir.strides import like_strides
from rushlight.ops import create
from rushlight.ops.refusals import no_overload

__all__: list[str] = []


def _finish(t: Tensor, requires_grad: bool) -> Tensor:
    if requires_grad and t._meta.dtype.kind not in "fc":
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    return t.requires_grad_(True) if requires_grad else t  # type: ignore[no-any-return]


@function
def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor with a copy of the data.

    Args:
        data: a number, nested sequences, a NumPy array or a tensor.
        dtype: the element type; inferred if not given (floats take the default dtype).
        device: where to put it.
        requires_grad: whether to record operations on it.

    Raises:
        ValueError: sequences of different lengths.

    Example:
        >>> import rushlight as torch
        >>> torch.tensor([[1, 2], [3, 4]])
        tensor([[1, 2],
                [3, 4]])
    """
    if isinstance(data, Tensor):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), "
            "rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        made = data.detach().to(dtype=dtype, device=device, copy=True)
    else:
        made = numpy_bridge.from_data(
            data, None if dtype is None else dtype_of(dtype, None, "tensor")
        )
        where = device_of(device)
        if where.type != "cpu":
            made = made.to(where)
    return _finish(made, requires_grad)


@function
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of the data, sharing memory with a tensor or NumPy array where possible."""
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)  # type: ignore[no-any-return]
    if isinstance(data, np.ndarray):
        shared: Tensor = FUNCTIONS["from_numpy"](data)
        return shared.to(dtype=dtype, device=device)  # type: ignore[no-any-return]
    return tensor(data, dtype=dtype, device=device)


@function
def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of an object; shares its memory if it can, or never (``copy=True``)."""
    made = as_tensor(obj, dtype=dtype, device=device)
    if copy and isinstance(obj, (Tensor, np.ndarray)):
        made = made.clone()
    return _finish(made, requires_grad)


@function
def scalar_tensor(
    s: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A 0-d tensor of the default dtype."""
    return full((), s, dtype=dtype_of(dtype), device=device, requires_grad=requires_grad)


def _new_full(size: Any, value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    value = fitting(value, dtype)
    made = call(create.full, (value,), (checked_size(size), dtype, device_of(device)))
    return _finish(made, requires_grad)


@function
def full(
    size: Any,
    fill_value: Any,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of this size filled with one value, whose type decides the dtype."""
    value = number(fill_value, "full", "fill_value", 2)
    if isinstance(size, int):
        raise TypeError(
            f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}"
        )
    kind = dtype_of(dtype, out._meta.dtype if out is not None else dtypes.of_number(value))
    return result_or_out(_new_full(size_of((size,)), value, kind, device, requires_grad), out)  # type: ignore[no-any-return]


def _filled(name: str, value: int) -> None:
    def f(
        *args: Any,
        size: Any = None,
        out: Tensor | None = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        names: Any = None,
    ) -> Any:
        kind = dtype_of(dtype, out._meta.dtype if out is not None else None, name)
        if size is None and not args:
            raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
        shape = size_of(args if size is None else (size,), "size", name)
        if not value and any(n < 0 for n in shape):
            raise RuntimeError("zeros: Dimension size must be non-negative.")
        where = device_of(device, name)
        return result_or_out(_new_full(shape, value, kind, where, requires_grad), out)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"A tensor of this size filled with {name}; the default dtype unless given."
    function(f)


_filled("zeros", 0)
_filled("ones", 1)


@function
def empty(
    *size: Any,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Any:
    """A tensor of this size whose values are whatever the memory held."""
    shape = checked_size(size_of(size, "size", "empty"))
    strides = memory_format.strides(shape) if memory_format is not None else None
    kind = dtype_of(dtype, out._meta.dtype if out is not None else None)
    made = call(create.empty, (), (shape, strides, kind, device_of(device)))
    return result_or_out(_finish(made, requires_grad), out)


@function
def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """An uninitialised tensor of this size and these strides (in elements)."""
    shape, strides = checked_size(size_of((size,))), size_of((stride,))
    if len(shape) != len(strides):
        raise RuntimeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides "
            f"({len(strides)})"
        )
    if any(s < 0 for s in strides):
        raise RuntimeError(
            f"Storage size calculation overflowed with sizes={list(shape)} and "
            f"strides={list(strides)}"
        )
    extent = 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    flat = empty(extent, dtype=dtype, device=device)
    made = flat.as_strided(shape, strides).detach()
    return _finish(made, requires_grad)


@function
def empty_permuted(size: Any, physical_layout: Any, **options: Any) -> Tensor:
    """An uninitialised dense tensor whose dimensions lie in memory in this order."""
    from rushlight.ir.strides import strides_in_order

    shape, order = size_of((size,)), size_of((physical_layout,))
    n = len(shape)
    if len(order) != n:
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; i.e. "
            f"len(size) = {n} is not equal to len(physical_layout) = {len(order)}"
        )
    for i, d in enumerate(order):
        if not 0 <= d < n:
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {n - 1}, but got {d} at "
                f"index {i}).  NB: negative dims not currently supported; file an issue if you "
                "want it."
            )
        if d in order[:i]:
            raise RuntimeError("Duplicate dim not allowed")
    return empty_strided(shape, strides_in_order(shape, order), **options)


# Like another tensor


def layout_like(m: Meta, memory_format: Any) -> tuple[int, ...]:
    """The strides of a result like this tensor: its own, or those of a memory format."""
    if memory_format is None or memory_format.name == "preserve_format":
        return like_strides(m.shape, m.strides)
    return memory_format.strides(m.shape)  # type: ignore[no-any-return]


def _need_tensor(value: Any, who: str) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{who}(): argument 'input' (position 1) must be Tensor, not {type(value).__name__}"
        )


@function
@asks
def empty_like(
    input: Tensor,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """An uninitialised tensor of another's size, dtype and layout."""
    _need_tensor(input, "empty_like")
    m = input._meta
    if m.dense and m.numel and dtype is device is memory_format is None and input._value is None:
        attrs = (tuple(m.shape), m.strides, m.dtype, m.device)
        return _finish(call(create.empty, (), attrs), requires_grad)
    where = m.device if device is None else device_of(device)
    if input._value is not None:  # inside vmap: for each sample
        return _finish(input._blank(m.like(dtype=dtype_of(dtype, m.dtype), device=where)), False)
    attrs = (tuple(m.shape), layout_like(m, memory_format), dtype_of(dtype, m.dtype), where)
    return _finish(call(create.empty, (), attrs), requires_grad)


@function
@asks
def full_like(input: Tensor, fill_value: Any, **options: Any) -> Tensor:
    """A tensor like another, filled with one value."""
    requires_grad = options.pop("requires_grad", False)
    _need_tensor(input, "full_like")
    return _finish(empty_like(input, **options).fill_(fill_value), requires_grad)


@function
@asks
def zeros_like(input: Tensor, **options: Any) -> Tensor:
    """Zeros of another tensor's size, dtype and layout."""
    _need_tensor(input, "zeros_like")
    return full_like(input, 0, **options)


@function
@asks
def ones_like(input: Tensor, **options: Any) -> Tensor:
    """Ones of another tensor's size, dtype and layout."""
    _need_tensor(input, "ones_like")
    return full_like(input, 1, **options)


@method
def new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A new tensor of the data with this tensor's dtype and device."""
    if isinstance(data, Tensor):
        made = data.detach().to(
            dtype=dtype or self._meta.dtype, device=device or self._meta.device, copy=True
        )
        return _finish(made, requires_grad)
    return tensor(
        data,
        dtype=dtype or self._meta.dtype,
        device=device or self._meta.device,
        requires_grad=requires_grad,
    )


def _new_like(name: str) -> None:
    factory = FUNCTIONS[name]

    def f(self: Tensor, *size: Any, **options: Any) -> Any:
        if options.get("dtype") is None:
            options["dtype"] = self._meta.dtype
        if options.get("device") is None:
            options["device"] = self._meta.device
        if name == "full" and size and isinstance(size[0], int):
            raise TypeError(
                "new_full(): argument 'size' (position 1) must be tuple of ints, not "
                f"{type(size[0]).__name__}"
            )
        if "size" in options:
            size = (options.pop("size"), *size)
        return factory(*size, **options)

    f.__name__ = f.__qualname__ = "new_" + name
    f.__doc__ = f"``torch.{name}`` with this tensor's dtype and device unless given."
    method(f)


for _name in ("zeros", "ones", "empty", "full", "empty_strided"):
    _new_like(_name)


@method
def new(self: Tensor, *args: Any, device: Any = None) -> Tensor:
    """A tensor of this one's dtype from data or of a size, as its type's constructor makes it."""
    if len(args) == 1 and not isinstance(args[0], int):
        return tensor(args[0], dtype=self._meta.dtype, device=device)
    return empty(args or (0,), dtype=self._meta.dtype, device=device)  # type: ignore[no-any-return]


# Ranges


def _range_dtype(values: Sequence[Any], dtype: Any, out: Any) -> Any:
    if dtype is not None or out is not None:
        return dtype_of(dtype, out._meta.dtype if out is not None else None)
    return dtypes.int64 if all(isinstance(v, int) for v in values) else dtypes.default_float()


@function
def arange(
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Values from ``start`` (0 if only one bound is given) up to and without ``end``.

    Example:
        >>> import rushlight as torch
        >>> torch.arange(1, 2.5, 0.5)
        tensor([1.0000, 1.5000, 2.0000])
    """
    if start is None and end is None:
        raise TypeError(
            "arange() received an invalid combination of arguments - got (), but expected one of:"
        )
    start, end = (0, start) if end is None else (0 if start is None else start, end)
    bounds = (
        number(start, "arange", "start"),
        number(end, "arange", "end"),
        number(step, "arange", "step"),
    )
    kind = _range_dtype(bounds, dtype, out)
    if kind.is_integral and bounds[2] and not int(bounds[2]):
        raise ValueError("step must be nonzero")
    made = call(create.arange, (), (*bounds, kind, device_of(device)))
    return result_or_out(_finish(made, requires_grad), out)  # type: ignore[no-any-return]


@function
def range(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """Values from ``start`` to ``end``, both included; use ``arange``."""
    import warnings

    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is "
        "inconsistent with Python's range builtin. Instead, use torch.arange, which produces "
        "values "
        "in [start, end).",
        UserWarning,
        stacklevel=2,
    )
    start, end, step = number(start), number(end), number(step)
    count = int((end - start) / step) + 1
    kind = dtype_of(dtype, out._meta.dtype if out is not None else None)
    made = call(create.arange, (), (start, start + count * step, step, kind, device_of(device)))
    return result_or_out(_finish(made[:count], requires_grad), out)  # type: ignore[no-any-return]


def _bounds_dtype(start: Any, end: Any, dtype: Any) -> Any:
    if dtype is None and (isinstance(start, complex) or isinstance(end, complex)):
        return dtypes.default_float().to_complex()
    return dtype_of(dtype)


def _bounds(name: str, start: Any, end: Any, steps: Any) -> tuple[Any, Any]:
    """The bounds of a sequence as numbers, after checking its arguments."""
    if isinstance(steps, float):
        forms = [
            f"{a} start, {b} end, int steps, *, Tensor out = None, torch.dtype dtype = None"
            for b in ("Tensor", "Number")
            for a in ("Tensor", "Number")
        ]
        raise no_overload(name, (start, end, steps), forms)
    ranks = [x._meta.ndim if isinstance(x, Tensor) else 0 for x in (start, end)]
    if any(ranks):
        raise RuntimeError(
            f"{name} only supports 0-dimensional start and end tensors, but got start with "
            f"{ranks[0]} dimension(s) and end with {ranks[1]} dimension(s)."
        )
    return number(start), number(end)


@function
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """``steps`` evenly spaced values from ``start`` to ``end``, both included."""
    start, end = _bounds("linspace", start, end, steps)
    kind = _bounds_dtype(start, end, dtype if out is None else dtype or out._meta.dtype)
    made = call(create.linspace, (), (start, end, number(steps), kind, device_of(device)))
    return result_or_out(_finish(made, requires_grad), out)  # type: ignore[no-any-return]


@function
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """``base`` to the power of ``steps`` evenly spaced exponents."""
    start, end = _bounds("logspace", start, end, steps)
    kind = _bounds_dtype(start, end, dtype if out is None else dtype or out._meta.dtype)
    attrs = (start, end, number(steps), float(base), kind, device_of(device))
    return result_or_out(_finish(call(create.logspace, (), attrs), requires_grad), out)  # type: ignore[no-any-return]


@function
def eye(
    n: int,
    m: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    kind = dtype_of(dtype, out._meta.dtype if out is not None else None)
    made = call(create.eye, (), (n, n if m is None else m, kind, device_of(device)))
    return result_or_out(_finish(made, requires_grad), out)  # type: ignore[no-any-return]
