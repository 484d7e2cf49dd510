"""How records of a kind are built: the shared rules of elementwise and reducing operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight import dtypes
from rushlight.dtypes import dtype
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import broadcast, dim_list, reduced, same_device
from rushlight.ir.strides import elementwise_strides
from rushlight.ops.refusals import refusal

__all__ = ["c_name", "combined_dtype", "elementwise", "no_derivative", "opmath", "reduction"]

EVERYWHERE = "torch method inplace"


def opmath(dt: dtype) -> dtype:
    """The dtype in which functions of this dtype are computed: halves use float32."""
    if dt is dtypes.complex32:
        return dtypes.complex64
    return dtypes.float32 if dt.itemsize == 2 and dt.is_floating_point else dt


def combined_dtype(metas: Sequence[Any]) -> dtype:
    """PyTorch's result type: tensors outrank 0-d tensors, which outrank Python numbers."""
    ranks: list[dtype | None] = [None, None, None]
    for m in metas:
        if m is None:
            continue
        rank = 2 if m.is_scalar else 1 if m.ndim == 0 else 0
        have = ranks[rank]
        ranks[rank] = m.dtype if have is None else dtypes.promote(have, m.dtype)
    found = dtypes.combine(dtypes.combine(ranks[0], ranks[1]), ranks[2])
    assert found is not None
    return found


def elementwise_meta(metas: Sequence[Any], dt: dtype) -> Meta:
    """The Meta of an elementwise result of this dtype: broadcast shape, iterator strides."""
    tensors = [m for m in metas if isinstance(m, Meta)]
    if len(tensors) == 1:
        shape = tensors[0].shape
    else:
        shape = broadcast(*[m.shape for m in tensors])
    strides = elementwise_strides(shape, [(m.shape, m.strides) for m in tensors])
    return meta(shape, dt, strides, same_device(metas))


_C_NAMES = {
    "float32": "float",
    "float64": "double",
    "float16": "c10::Half",
    "bfloat16": "c10::BFloat16",
    "int64": "long int",
    "int32": "int",
    "int16": "short int",
    "int8": "signed char",
    "uint8": "unsigned char",
    "complex32": "c10::complex<c10::Half>",
    "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
}


def c_name(dt: dtype) -> str:
    """A dtype as some of PyTorch's errors name it."""
    return _C_NAMES.get(dt.name, dt.name)


def overflow(dt: dtype) -> RuntimeError:
    """The error for a number that a dtype cannot hold."""
    fixed = dt.kind in "iu" and dt.name != "int32"
    name = f"{dt.name}_t" if fixed else c_name(dt)
    return RuntimeError(f"value cannot be converted to type {name} without overflow")


def unsupported(name: str, dt: dtype) -> NotImplementedError:
    """The error for a dtype that an operator does not take."""
    return NotImplementedError(f"\"{name}\" not implemented for '{dt.title}'")


def no_derivative(name: str) -> Callable[..., Any]:
    """A gradient that PyTorch does not have either; backward says so."""

    def grad(o: Any, g: Any) -> Any:
        raise RuntimeError(f"derivative for aten::{name} is not implemented")

    return grad


def elementwise(
    name: str,
    kernel: Callable[..., Any],
    grads: Any = None,
    *,
    inputs: Sequence[str] = ("input",),
    result: str = "same",
    kinds: str = "buifc",
    attrs: Sequence[str] = (),
    defaults: tuple[Any, ...] = (),
    api: str = EVERYWHERE,
    doc: str = "",
    wide: bool = False,
    **more: Any,
) -> Op:
    """An elementwise operator.

    Args:
        kernel: of arrays that are already in the computing dtype.
        grads: one gradient function, or one an input.
        result: the output's dtype: ``same`` as promoted, ``float`` (integers become the default
            float), ``bool``, ``real`` (the real type of complex inputs), or ``angle`` (both).
        kinds: the dtype kinds accepted: b(ool), u(nsigned), i(nteger), f(loat), c(omplex).
        wide: whether the kernel computes in float64 whatever the result's dtype.
    """
    n = len(inputs)

    def rule(*args: Any) -> Plan:
        metas = args[:n]
        dt = combined_dtype(metas)
        if dt.kind not in kinds:
            raise refusal(name, dt)
        if result in ("float", "angle") and dt.is_integral:
            dt = dtypes.default_float()
        out = dtypes.bool_ if result == "bool" else dt
        if result in ("real", "angle"):
            out = dt.to_real()
        return Plan(elementwise_meta(metas, out), compute=dtypes.float64 if wide else opmath(dt))

    if callable(grads):
        grads = (grads,)
    if "f" not in kinds:
        more.setdefault("samples", lambda make: _whole_samples(make, n))
    return Op(
        name,
        kind="elementwise",
        inputs=inputs,
        attrs=attrs,
        defaults=defaults,
        rule=rule,
        kernel=kernel,
        grads=grads,
        api=api,
        doc=doc,
        **more,
    )


def _whole_samples(make: Any, n: int) -> Any:
    """Samples for operators of whole numbers."""
    for shape in ((3, 4), (), (0, 2)):
        yield tuple(make.integers(5, *shape) for _ in range(n)), ()


def reduction(
    name: str,
    kernel: Callable[..., Any],
    *,
    result: str = "same",
    kinds: str = "buifc",
    attrs: Sequence[str] = ("dim", "keepdim"),
    defaults: tuple[Any, ...] = (None, False),
    doc: str = "",
    dtype_at: int | None = None,
    nonempty: str | None = None,
    **more: Any,
) -> Op:
    """A reduction over dimensions; its first attributes are ``dim`` and ``keepdim``.

    Args:
        kernel: ``kernel(array, dims, keepdim, ...)`` of an array already in the computing dtype.
        result: ``same``, ``wide`` (integers become int64), ``float``, ``bool``, ``int64`` or
            ``real``.
        dtype_at: the position of a ``dtype`` attribute that overrides the output's dtype.
        nonempty: an error text for reducing over no elements without an identity.
    """

    def rule(m: Meta, dim: Any, keepdim: bool, *rest: Any) -> Plan:
        given = rest[dtype_at - 2] if dtype_at is not None else None
        dt = given or m.dtype
        if dt.kind not in kinds:
            raise refusal(name, dt)
        if given is None:
            if result == "wide" and dt.is_integral:
                dt = dtypes.int64
            elif result == "float" and dt.is_integral:
                dt = dtypes.default_float()
        compute = opmath(dt)
        out = {"bool": dtypes.bool_, "int64": dtypes.int64}.get(result, dt)
        if result == "real":
            out = dt.to_real()
        dims = dim_list(dim, m.ndim)
        if nonempty is not None:
            if dim is None and m.numel == 0:
                raise RuntimeError(
                    f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
                    "Specify the reduction dim with the 'dim' argument."
                )
            for d in dims:
                if m.ndim and m.shape[d] == 0:
                    raise IndexError(nonempty.format(name=name, dim=d))
        return Plan(meta(reduced(m.shape, dims, keepdim), out, None, m.device), compute=compute)

    def run(x: Any, dim: Any, keepdim: bool, *rest: Any) -> Any:
        return kernel(x, dim_list(dim, x.ndim), keepdim, *rest)

    return Op(
        name,
        kind="reduce",
        attrs=attrs,
        defaults=defaults,
        rule=rule,
        kernel=run,
        doc=doc,
        **more,
    )
