"""``o``: every operator as a function, for gradient rules and the framework's own code.

``o.NAME(*inputs, *attrs)`` calls the operator NAME through the gate; attributes left out take the
record's defaults, ``*tensors`` inputs are passed as one sequence.  A few helpers that every
gradient rule needs are written out below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.dispatch.gate import call, write
from rushlight.dispatch.modes import state
from rushlight.dispatch.tensor import Tensor, array_of, innermost
from rushlight.dtypes import dtype
from rushlight.ir import op as records
from rushlight.ir.meta import Meta
from rushlight.ir.strides import like_strides

__all__ = ["o"]


class Namespace:
    """Operators by name."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            op = records.get(name)
        except KeyError:
            raise AttributeError(f"there is no operator {name}") from None
        function = _function(op)
        self.__dict__[name] = function
        return function

    # Helpers

    def recording(self) -> bool:
        """Whether the calls being made are themselves recorded, for higher derivatives."""
        return state.grad

    def sum_to(self, g: Tensor, shape: Sequence[int]) -> Tensor:
        """Sums a gradient over the dimensions along which its tensor was broadcast."""
        have = g._meta.shape
        if have == tuple(shape):
            return g
        lead = len(have) - len(shape)
        dims = tuple(range(lead)) + tuple(
            i + lead for i, s in enumerate(shape) if s == 1 and have[i + lead] != 1
        )
        if any(have[i + lead] not in (s, 1) and s != 1 for i, s in enumerate(shape)) or lead < 0:
            raise RuntimeError(f"cannot sum {list(have)} to {list(shape)}")
        if dims:
            g = self.sum(g, dims, True, None)
        return self.view(g, tuple(shape)) if lead > 0 else g

    def to(self, x: Tensor, dt: dtype) -> Tensor:
        """Converted to a dtype; itself if it has it."""
        return x if x._meta.dtype is dt else self.cast(x, dt)  # type: ignore[no-any-return]

    def conj(self, x: Any) -> Any:
        """The complex conjugate; itself if real."""
        if isinstance(x, Tensor):
            return self.conj_physical(x) if x._meta.dtype.is_complex else x
        return x.conjugate() if isinstance(x, complex) else x

    def real(self, x: Tensor) -> Tensor:
        """The real part; itself if real."""
        return self.real_part(x) if x._meta.dtype.is_complex else x  # type: ignore[no-any-return]

    def holds(self, condition: Tensor) -> bool:
        """Whether a bool tensor is true everywhere; inside vmap, for all samples."""
        return bool(array_of(innermost(condition)).all())

    def zeros(self, shape: Sequence[int], dt: dtype, device: Any) -> Tensor:
        """Zeros."""
        return self.full(0, tuple(shape), dt, device)  # type: ignore[no-any-return]

    def zeros_like(self, x: Any) -> Tensor:
        """Zeros of a tensor's or Meta's shape and dtype."""
        m = x if isinstance(x, Meta) else x._meta
        return self.full(0, tuple(m.shape), m.dtype, m.device)  # type: ignore[no-any-return]

    def full_like(self, x: Any, value: Any) -> Tensor:
        """A constant of a tensor's or Meta's shape and dtype."""
        m = x if isinstance(x, Meta) else x._meta
        return self.full(value, tuple(m.shape), m.dtype, m.device)  # type: ignore[no-any-return]

    def contiguous(self, x: Tensor) -> Tensor:
        """Row-major; itself if it is."""
        return x if x._meta.contiguous else self.clone_strided(x, None)  # type: ignore[no-any-return]

    def resolved(self, x: Tensor) -> Tensor:
        """With conj and neg bits made real; itself if it has none."""
        m = x._meta
        return self.clone(x) if m.conj or m.neg else x  # type: ignore[no-any-return]

    def put_back(self, g: Tensor, index: Tensor, shape: Any, dim: int, keepdim: bool) -> Tensor:
        """Zeros of this shape with ``g`` where ``index`` points along ``dim``."""
        if not shape:
            return g
        if not keepdim:
            g, index = self.unsqueeze(g, dim), self.unsqueeze(index, dim)
        return self.scatter(self.zeros(shape, g._meta.dtype, g._meta.device), index, g, dim)  # type: ignore[no-any-return]

    def copy_laid_out(self, x: Tensor, like: Meta) -> Tensor:
        """A copy in the layout of another tensor of the same shape."""
        strides = like_strides(like.shape, like.strides) if like.shape == x._meta.shape else None
        return self.clone_strided(x, strides)  # type: ignore[no-any-return]

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """A view if the layout allows, else a copy."""
        from rushlight.ir.shapes import infer_size
        from rushlight.ir.strides import view_strides

        m = x._meta
        size = infer_size(tuple(shape), m.numel)
        if view_strides(m.shape, m.strides, size) is not None:
            return self.view(x, size)  # type: ignore[no-any-return]
        return self._unsafe_view(self.clone_strided(x, None), size)  # type: ignore[no-any-return]

    def restore(
        self, g: Tensor, shape: Sequence[int], dims: Sequence[int], keepdim: bool
    ) -> Tensor:
        """Gives the reduced dimensions back to a reduction's result, with size 1."""
        if keepdim or not shape:
            return g
        gone = set(dims)
        return self.reshape(g, [1 if i in gone else s for i, s in enumerate(shape)])

    def add_in_place(self, target: Tensor, x: Tensor) -> Tensor:
        """``target += x``."""
        return write(records.get("add"), (target, x), (1,))

    def copy_in_place(self, target: Tensor, x: Any) -> Tensor:
        """``target[...] = x``."""
        return write(records.get("copy"), (target, x), ())


def _function(op: records.Op) -> Callable[..., Any]:
    n, total = len(op.inputs), len(op.attrs)
    first_default = total - len(op.defaults)

    def function(*args: Any) -> Any:
        inputs = tuple(args[0]) if op.variadic else args[:n]
        attrs = args[1 if op.variadic else n :]
        if len(attrs) < total:
            attrs = (*attrs, *op.defaults[len(attrs) - first_default :])
        return call(op, inputs, attrs)

    function.__name__ = function.__qualname__ = op.name
    return function


o: Any = Namespace()
