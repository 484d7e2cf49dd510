"""``gradcheck`` and ``gradgradcheck``: analytic gradients against finite differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import rushlight as rl
from rushlight.dispatch.backward import grad as _grad
from rushlight.dispatch.tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """Analytic and numerical gradients differ."""


def _as_tuple(x: Any) -> tuple[Any, ...]:
    if isinstance(x, Tensor):
        return (x,)
    return tuple(x) if isinstance(x, (list, tuple)) else (x,)


def _differentiable(x: Sequence[Any]) -> list[Tensor]:
    return [t for t in x if isinstance(t, Tensor) and t._requires_grad]


def _parts(t: Tensor) -> Any:
    """A real view of a tensor's memory that can be nudged."""
    data = t.data  # its own version counter: nudging must not look like a write
    return rl.view_as_real(data) if data.is_complex() else data


def _numerical(fn: Any, inputs: tuple[Any, ...], x: Tensor, eps: float) -> list[Any]:
    """For each output, the matrix of derivatives: a row for each real number of x."""
    real = _parts(x)
    rows: list[list[Any]] = []
    for index in np.ndindex(*real.shape):
        before = real[index].item()
        values = []
        for step in (eps, -eps):
            with rl.no_grad():
                real[index] = before + step
                values.append([_flat(t) for t in _as_tuple(fn(*inputs)) if isinstance(t, Tensor)])
        with rl.no_grad():
            real[index] = before
        rows.append([(a - b) / (2 * eps) for a, b in zip(*values, strict=True)])
    if not rows:
        return []
    return [np.stack(column) for column in zip(*rows, strict=True)]


def _flat(t: Tensor) -> Any:
    t = t.detach()
    t = rl.view_as_real(t.resolve_conj()) if t.is_complex() else t
    return np.array(t.numpy(force=True), np.float64).reshape(-1)


def _analytic(out: Tensor, x: Tensor) -> Any:
    """The same matrix by backward passes, one for each real number of the output."""
    columns = []
    kind = out.dtype
    size = out.numel()
    units = [1.0, 1j] if out.is_complex() else [1.0]
    for i in range(size):
        for unit in units:
            start = rl.zeros(size, dtype=kind)
            start[i] = unit
            g = _grad(out, x, start.reshape(out.shape), True, True, True)[0]
            columns.append(_flat(rl.zeros_like(x) if g is None else g))
    if not columns:
        return np.zeros((_flat(x).size, 0))
    return np.stack(columns, 1)


def _direction(rng: Any, size: int) -> Any:
    """A random unit vector."""
    u = rng.standard_normal(size)
    return u / max(float(np.linalg.norm(u)), 1e-30)


def _along(fn: Any, inputs: tuple[Any, ...], x: Tensor, u: Any, eps: float) -> list[Any]:
    """For each output, the difference quotient as x moves along u."""
    real = _parts(x)
    with rl.no_grad():
        before = real.clone()
        step = rl.tensor(u.reshape(tuple(real.shape)), dtype=real.dtype) * eps
        values = []
        for moved in (before + step, before - step):
            real.copy_(moved)
            values.append([_flat(t) for t in _as_tuple(fn(*inputs)) if isinstance(t, Tensor)])
        real.copy_(before)
    return [(a - b) / (2 * eps) for a, b in zip(*values, strict=True)]


def _pull(out: Tensor, x: Tensor, v: Any) -> Any:
    """The gradient at x, as a flat array, of what moves along v at the output."""
    start = rl.tensor(v, dtype=out.dtype.to_real())
    if out.is_complex():
        start = rl.view_as_complex(start.reshape(-1, 2))
    g = _grad(out, x, start.reshape(out.shape), True, True, True)[0]
    return _flat(rl.zeros_like(x) if g is None else g)


def _agrees_along(
    fn: Any, args: tuple[Any, ...], outputs: list[Tensor], leaves: list[Tensor], **tolerance: float
) -> bool:
    """Whether v J u is the same by differences and by a backward pass, for random u and v."""
    rng = np.random.default_rng(0)
    for x in leaves:
        u = _direction(rng, _flat(x).size)
        numbers = _along(fn, args, x, u, tolerance["eps"])
        for out, number in zip(outputs, numbers, strict=True):
            if not out._requires_grad or not number.size or not u.size:
                continue
            v = _direction(rng, number.size)
            room = tolerance["atol"] * float(np.abs(u).sum() * np.abs(v).sum())
            analytic, numerical = _pull(out, x, v) @ u, number @ v
            if not np.isclose(analytic, numerical, rtol=tolerance["rtol"], atol=room):
                return bool(np.isnan(analytic) and np.isnan(numerical))
    return True


def gradcheck(
    func: Any,
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: Any = None,
) -> bool:
    """Whether the gradients of a function agree with central differences.

    Args:
        func: a function of tensors that returns a tensor or several.
        inputs: its arguments; those that require grad should be float64.
        eps: the step of the differences.
        atol, rtol: the tolerance.
        raise_exception: raise instead of returning False.
        fast_mode: compare one random projection of the Jacobian rather than all of it, and all of
            it only where that differs.

    Raises:
        GradcheckError: they differ.
    """
    args = _as_tuple(inputs)
    leaves = _differentiable(args)
    if not leaves:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them "
            "have requires_grad=True."
        )
    outputs = [t for t in _as_tuple(func(*args)) if isinstance(t, Tensor)]
    if fast_mode and _agrees_along(func, args, outputs, leaves, eps=eps, atol=atol, rtol=rtol):
        return True
    for j, x in enumerate(leaves):
        numbers = _numerical(func, args, x, eps)
        for i, out in enumerate(outputs):
            if not out._requires_grad or not numbers:
                continue
            analytic, numerical = _analytic(out, x), numbers[i]
            if not np.allclose(analytic, numerical, rtol=rtol, atol=atol, equal_nan=True):
                if not raise_exception:
                    return False
                raise GradcheckError(
                    f"Jacobian mismatch for output {i} with respect to input {j},\n"
                    f"numerical:{numerical}\nanalytical:{analytic}\n"
                )
    return True


def gradgradcheck(
    func: Any,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Whether the second derivatives of a function agree with central differences of the first."""
    args = _as_tuple(inputs)
    outputs = [t for t in _as_tuple(func(*args)) if isinstance(t, Tensor) and t._requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        starts = []
        for t in outputs:
            values = rng.standard_normal(tuple(t.shape))
            if t.is_complex():
                values = values + 1j * rng.standard_normal(tuple(t.shape))
            starts.append(rl.tensor(values, dtype=t.dtype).requires_grad_())
    else:
        starts = list(_as_tuple(grad_outputs))
    n = len(args)

    def first(*everything: Any) -> Any:
        given, where = everything[:n], everything[n:]
        results = [t for t in _as_tuple(func(*given)) if isinstance(t, Tensor) and t._requires_grad]
        leaves = _differentiable(given)
        found = _grad(results, leaves, list(where), None, True, True)
        return tuple([g for g in found if g is not None])

    with rl.enable_grad():
        return gradcheck(
            lambda *e: _with_grad(first, *e),
            (*args, *starts),
            eps=eps,
            atol=atol,
            rtol=rtol,
            raise_exception=raise_exception,
            fast_mode=fast_mode,
        )


def _with_grad(fn: Any, *args: Any) -> Any:
    with rl.enable_grad():
        return fn(*args)
