"""Derivatives of functions: ``torch.autograd.functional``."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight.dispatch.backward import grad as _grad
from rushlight.dispatch.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(x: Any, name: str = "inputs") -> tuple[bool, tuple[Any, ...]]:
    many = isinstance(x, tuple)
    values = x if many else (x,)
    for i, t in enumerate(values):
        if not isinstance(t, Tensor):
            raise TypeError(
                f"The {name} given must be either a Tensor or a tuple of Tensors but the value at "
                f"index {i} has type {type(t)}."
                if many
                else f"The {name} given must be either a Tensor or a tuple of Tensors but the "
                "given "
                f"{name} has type {type(t)}."
            )
    return many, values


def _leaves(inputs: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
    if create_graph:
        return tuple(
            [t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in inputs]
        )
    return tuple([t.detach().requires_grad_() for t in inputs])


def _finish(result: Any, create_graph: bool) -> Any:
    if isinstance(result, tuple):
        return tuple([_finish(r, create_graph) for r in result])
    return result if create_graph else result.detach()


def _or_zeros(g: Any, like: Tensor, strict: bool, what: str) -> Any:
    if g is None:
        if strict:
            raise RuntimeError(f"Output of the user-provided function is independent of {what}.")
        return rl.zeros_like(like)
    return g


def _filled(found: Any, likes: Any, strict: bool, what: str) -> tuple[Any, ...]:
    return tuple([_or_zeros(g, t, strict, what) for g, t in zip(found, likes, strict=True)])


def _check_v(v: Any, like: tuple[Any, ...], many: bool) -> tuple[Any, ...]:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single "
                "Tensor with a single element."
            )
        return (rl.ones_like(like[0]),)
    _, values = _tuple(v, "v")
    if len(values) != len(like):
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(values)}."
        )
    return values


def batched_grad(
    outputs: Any,
    inputs: Any,
    starts: Any,
    create_graph: bool,
    allow_unused: bool | None,
    materialize: bool = False,
) -> tuple[Any, ...]:
    """Gradients for a batch of starting points, all in one backward pass."""
    used: list[bool] = []

    def one(*gs: Any) -> Any:
        found = _grad(outputs, inputs, gs, True, create_graph, allow_unused, materialize)
        used[:] = [g is not None for g in found]
        return tuple([g for g in found if g is not None])

    many = (starts,) if isinstance(starts, Tensor) else tuple(starts)
    rows = iter(rl.vmap(one)(*many))
    return tuple([next(rows) if u else None for u in used])


def vjp(
    func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The function's value, and the product of a vector with its Jacobian."""
    with rl.enable_grad():
        many_in, given = _tuple(inputs)
        xs = _leaves(given, create_graph)
        many_out, ys = _tuple(func(*xs), "outputs of the user-provided function")
        vs = _check_v(v, ys, many_out)
        found = _grad(ys, xs, vs, True, create_graph, True)
        result = _filled(found, xs, strict, "the input")
    ys, result = _finish(ys, create_graph), _finish(result, create_graph)
    return (ys if many_out else ys[0]), (result if many_in else result[0])


def jvp(
    func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The function's value, and the product of its Jacobian with a vector."""
    with rl.enable_grad():
        _, given = _tuple(inputs)
        xs = _leaves(given, create_graph)
        vs = _check_v(v, xs, True)
        many_out, ys = _tuple(func(*xs), "outputs of the user-provided function")
        starts = tuple([rl.zeros_like(y, requires_grad=True) for y in ys])
        backwards = _filled(_grad(ys, xs, starts, True, True, True), xs, False, "the input")
        useful = [(g, w) for g, w in zip(backwards, vs, strict=True) if g.requires_grad]
        if useful:
            found = _grad(
                [g for g, _ in useful], starts, [w for _, w in useful], True, create_graph, True
            )
        else:
            found = (None,) * len(starts)
        result = _filled(found, ys, strict, "the input")
    ys, result = _finish(ys, create_graph), _finish(result, create_graph)
    return (ys if many_out else ys[0]), (result if many_out else result[0])


def _all_rows(y: Any, xs: Any, starts: Any, create_graph: bool, strict: bool) -> tuple[Any, ...]:
    """The Jacobians of one output with respect to all inputs, in one backward pass."""
    found = batched_grad(y.reshape(-1), xs, starts, create_graph, True)
    n = starts.shape[0]
    likes = [x.expand(n, *x.shape) for x in xs]
    full = _filled(found, likes, strict, "the input")
    return tuple([g.reshape(*y.shape, *x.shape) for g, x in zip(full, xs, strict=True)])


def jacobian(
    func: Any,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian: for each output and input a tensor of shape (*output, *input)."""
    with rl.enable_grad():
        many_in, given = _tuple(inputs)
        xs = _leaves(given, create_graph)
        many_out, ys = _tuple(func(*xs), "outputs of the user-provided function")
        rows = []
        for y in ys:
            flat = y.reshape(-1)
            per_input: list[list[Any]] = [[] for _ in xs]
            if vectorize and flat.requires_grad and flat.numel():
                starts = rl.eye(flat.numel(), dtype=y.dtype, device=y.device)
                rows.append(_all_rows(y, xs, starts, create_graph, strict))
                continue
            for i in range(flat.numel()):
                found = (
                    _grad(flat[i], xs, None, True, create_graph, True)
                    if flat.requires_grad
                    else (None,) * len(xs)
                )
                for j, g in enumerate(_filled(found, xs, strict, "the input")):
                    per_input[j].append(g)
            rows.append(
                tuple(
                    [
                        rl.stack(gs).reshape(*y.shape, *x.shape)
                        if gs
                        else rl.zeros(*y.shape, *x.shape, dtype=x.dtype)
                        for gs, x in zip(per_input, xs, strict=True)
                    ]
                )
            )
    result = _finish(tuple(rows), create_graph)
    if not many_in:
        result = tuple([r[0] for r in result])
    return result if many_out else result[0]


def _scalar(y: Any) -> Any:
    if isinstance(y, tuple) or y.numel() != 1:
        raise RuntimeError(
            "The Tensor returned by the function given to hessian should contain a single element"
        )
    return y.squeeze()


def hessian(
    func: Any,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a scalar function."""
    many_in, _ = _tuple(inputs)

    def first(*xs: Any) -> Any:
        xs = tuple([x if x.requires_grad else x.requires_grad_() for x in xs])
        y = _scalar(func(*xs))
        found = _grad(y, xs, None, True, True, True)
        return _filled(found, xs, strict, "the input")

    result = jacobian(first, inputs if many_in else (inputs,), create_graph, strict)
    return result if many_in else result[0][0]


def hvp(
    func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of a scalar function, and the product of its Hessian with a vector."""
    with rl.enable_grad():
        many_in, given = _tuple(inputs)
        xs = _leaves(given, create_graph)
        vs = _check_v(v, xs, many_in)
        y = func(*xs)
        firsts = _filled(_grad(_scalar(y), xs, None, True, True, True), xs, strict, "the input")
        useful = [(g, w) for g, w in zip(firsts, vs, strict=True) if g.requires_grad]
        found: Any = (None,) * len(xs)
        if useful:
            found = _grad(
                [g for g, _ in useful], xs, [w for _, w in useful], True, create_graph, True
            )
        result = _filled(found, xs, strict, "the input")
    return _finish(y, create_graph), _finish(result if many_in else result[0], create_graph)


def vhp(
    func: Any, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of a scalar function, and the product of a vector with its (symmetric) Hessian."""
    return hvp(func, inputs, v, create_graph, strict)
