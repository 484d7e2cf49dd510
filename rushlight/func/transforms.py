"""Derivatives of functions as functions: ``grad``, ``vjp``, ``jvp``, Jacobians and Hessians.

A transform calls its function with aliases of the inputs, whose graph it then walks backward.  An
alias is a leaf unless its original is itself differentiated from outside; a leaf belongs to the
*scope* of its transform, and results do not stay attached to leaves whose scope has ended.

Products with a tangent (``jvp``) go backward twice: u -> J^T u is linear in u, and the gradient of
its product with the tangent v is J v.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.dispatch import modes, tape
from rushlight.dispatch.doors import GRAD, event
from rushlight.dispatch.engine import run_backward
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.func import trees
from rushlight.func.batched import Batched, current_mode, lift, wrap
from rushlight.func.mapping import vmap

__all__ = [
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "vjp",
]

state = modes.state


class Scope:
    """The time in which a transform differentiates its function."""

    __slots__ = ("alive",)

    def __init__(self) -> None:
        self.alive = True


class recording:
    """Context in which gradients are recorded whatever the mode outside.

    Inside ``vmap``, tensors made meanwhile are lifted, so that writes to them are recorded too.
    """

    __slots__ = ("mode", "was")

    def __enter__(self) -> bool:
        self.was = state.grad
        event(GRAD, (True,))
        self.mode = current_mode()
        if self.mode is not None:
            self.mode.transforms += 1
        return self.was

    def __exit__(self, *exc: object) -> None:
        event(GRAD, (self.was,))
        if self.mode is not None:
            self.mode.transforms -= 1


def watched(t: Any) -> bool:
    """Whether somebody outside the ended scopes can ask for this tensor's gradient."""
    if not t._requires_grad:
        return False
    edge = tape.gradient_edge(t)
    if edge is None:
        return False
    seen = {edge[0]}
    waiting = [edge[0]]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tape.AccumulateGrad):
            scope = getattr(node.variable, "_scope", None)
            if scope is None or scope.alive:
                return True
        elif node.retained:
            return True
        for below in node.edges:
            if below is not None and below[0] not in seen:
                seen.add(below[0])
                waiting.append(below[0])
    return False


def watched_at_any_level(t: Any) -> bool:
    """`watched`, for a tensor of this level and for the values inside it."""
    if watched(t):
        return True
    return isinstance(t, Batched) and watched_at_any_level(t._value)


def settled(t: Any, attached: bool = True) -> Any:
    """A result without its ties to ended scopes, or to any if not ``attached``."""
    if not isinstance(t, Tensor):
        return t
    inner: Any = settled(t._value, attached) if isinstance(t, Batched) else None
    if t._requires_grad and not (attached and watched(t)):
        if isinstance(t, Batched):
            return wrap(inner, t._level, t._has_batch)
        return tape.alias(t)
    if isinstance(t, Batched) and inner is not t._value:
        made = wrap(inner, t._level, t._has_batch)
        made._requires_grad, made._node, made._out_nr = t._requires_grad, t._node, t._out_nr
        return made
    return t


def entered(x: Any, scope: Scope) -> Any:
    """An alias of an input to differentiate with respect to."""
    if x._meta.dtype.kind not in "fc":
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    x = lift(x)
    if watched(x):
        return o.view(x, tuple(x._meta.shape))
    t = tape.alias(x)
    t._requires_grad = True
    t._scope = scope
    return t


def _tensors(leaves: Sequence[Any]) -> None:
    for x in leaves:
        if not isinstance(x, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")


def backward(
    outs: Sequence[Any], xs: Sequence[Any], starts: Sequence[Any], create: bool, retain: bool
) -> list[Any]:
    """Gradients of ``outs`` at ``xs`` from ``starts``; zeros where there is no path."""
    roots = []
    for y, g in zip(outs, starts, strict=True):
        edge = tape.gradient_edge(y)
        if edge is not None:
            roots.append((edge, g))
    found: list[Any] = [None] * len(xs)
    if roots:
        found = run_backward(roots, retain, create, xs, accumulate=False)
    return [o.zeros_like(x) if g is None else g for g, x in zip(found, xs, strict=True)]


# Which arguments


def _chosen(args: tuple[Any, ...], argnums: Any) -> Any:
    """The arguments to differentiate with respect to: one, or a tuple."""
    if isinstance(argnums, bool) or not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    many = argnums if isinstance(argnums, tuple) else (argnums,)
    if not many:
        raise RuntimeError("argnums must be non-empty")
    fixed = []
    for n in many:
        if not isinstance(n, int):
            raise RuntimeError(
                f"argnums must be int or Tuple[int, ...], got: Tuple[{type(n).__name__}, ...]"
            )
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"Got argnum={n}, but only {len(args)} positional inputs")
        fixed.append(n % len(args))
    if len(set(fixed)) != len(fixed):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return tuple([args[n] for n in fixed]) if isinstance(argnums, tuple) else args[fixed[0]]


def _replaced(args: tuple[Any, ...], argnums: Any, values: Any) -> tuple[Any, ...]:
    many = argnums if isinstance(argnums, tuple) else (argnums,)
    new = list(args)
    for n, v in zip(many, values if isinstance(argnums, tuple) else (values,), strict=True):
        new[n] = v
    return tuple(new)


# grad


def grad_and_value(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The gradient and the value of a scalar function.

    Args:
        func: returns a tensor of one element, or (tensor, anything) if ``has_aux``.
        argnums: with respect to which arguments; a tuple gives a tuple of gradients.
        has_aux: also return what ``func`` returns beside the value.

    Returns:
        a function giving (gradient, value), or (gradient, (value, aux)).

    Example:
        >>> import rushlight as torch
        >>> torch.func.grad_and_value(lambda x: (x**2).sum())(torch.tensor([1.0, 2.0]))
        (tensor([2., 4.]), tensor(5.))
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with recording() as outside:
            leaves, spec = trees.flatten(_chosen(args, argnums))
            _tensors(leaves)
            scope = Scope()
            xs = [entered(x, scope) for x in leaves]
            y = func(*_replaced(args, argnums, spec.unflatten(xs)), **kwargs)
            aux: Any = None
            if has_aux:
                if not (isinstance(y, tuple) and len(y) == 2):
                    raise RuntimeError(
                        "grad_and_value(f)(*args): output of function f should be a tuple: "
                        "(output, aux) if has_aux is True"
                    )
                y, aux = y
            if not isinstance(y, Tensor):
                raise RuntimeError(
                    f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got {type(y)}"
                )
            if y._meta.ndim != 0:
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got "
                    f"tensor with {y._meta.ndim} dims. Maybe you wanted to use the vjp or jacrev "
                    "APIs instead?"
                )
            y = lift(y)
            scope.alive = False
            create = outside and watched_at_any_level(y)
            found = backward([y], xs, [o.full_like(y, 1)], create, create)
            found = [settled(g, outside) for g in found]
            value = settled(y, outside)
            aux = trees.mapped(lambda t: settled(t, outside), aux)
        gradient = spec.unflatten(found)
        return gradient, ((value, aux) if has_aux else value)

    return wrapper


def grad(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The gradient of a scalar function, as a function of the same arguments.

    Args:
        func: returns a tensor of one element, or (tensor, anything) if ``has_aux``.
        argnums: with respect to which arguments; a tuple gives a tuple of gradients.
        has_aux: return (gradient, aux).

    Example:
        >>> import rushlight as torch
        >>> torch.func.grad(torch.sin)(torch.tensor(0.0))
        tensor(1.)
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        gradient, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapper


# vjp


def _outputs(who: str, y: Any, has_aux: bool) -> tuple[list[Any], trees.Spec, Any]:
    """The tensors of what a function returned, their structure, and what came beside them."""
    aux: Any = None
    if has_aux:
        if not (isinstance(y, tuple) and len(y) == 2):
            raise RuntimeError(
                f"{who}: output of function f should be a tuple: (output, aux) if has_aux is True"
            )
        y, aux = y
    outs, spec = trees.flatten(y)
    for t in outs:
        if not isinstance(t, Tensor):
            raise RuntimeError(
                f"{who}: expected f(*primals) to return only tensors, got unsupported type "
                f"{type(t)}"
            )
    return outs, spec, aux


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of a function, and the function v -> v^T J of its Jacobian there.

    Args:
        func: of the primals; returns tensors in any nesting (and aux, if ``has_aux``).
        primals: where to differentiate.

    Returns:
        (value, vjp_fn), or (value, vjp_fn, aux); ``vjp_fn`` takes cotangents like the value and
        returns a tuple with one gradient a primal.

    Example:
        >>> import rushlight as torch
        >>> value, vjp_fn = torch.func.vjp(torch.sin, torch.tensor(0.0))
        >>> vjp_fn(torch.tensor(2.0))
        (tensor(2.),)
    """
    with recording() as outside:
        leaves, spec = trees.flatten(primals)
        _tensors(leaves)
        scope = Scope()
        xs = [entered(x, scope) for x in leaves]
        outs, out_spec, aux = _outputs("vjp(f, *primals)", func(*spec.unflatten(xs)), has_aux)
        for y in outs:
            if y._meta.dtype.kind not in "fc":
                raise RuntimeError(
                    "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got "
                    f"Tensor with dtype {y._meta.dtype}"
                )
        outs = [lift(y) for y in outs]
        scope.alive = False
        wanted = outside and any([watched_at_any_level(y) for y in outs])
        value = out_spec.unflatten([settled(y, outside) for y in outs])
        aux = trees.mapped(lambda t: settled(t, outside), aux)

    def vjp_fn(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        starts, start_spec = trees.flatten(cotangents)
        if start_spec != out_spec:
            raise RuntimeError(
                f"Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {start_spec}, primal output: {out_spec}"
            )
        for i, (y, g) in enumerate(zip(outs, starts, strict=True)):
            if g._meta.shape != y._meta.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{i}] has a shape of {g._meta.shape} and "
                    f"output[{i}] has a shape of {y._meta.shape}."
                )
        with recording() as now:
            create = create_graph
            if create is None:
                create = now and (wanted or any([watched_at_any_level(g) for g in starts]))
            found = backward(outs, xs, starts, create, retain_graph)
            return spec.unflatten([settled(g, now) for g in found])

    return (value, vjp_fn, aux) if has_aux else (value, vjp_fn)


# jvp


def _check_pair(primals: Any, tangents: Any) -> tuple[list[Any], trees.Spec, list[Any]]:
    who = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{who}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    leaves, spec = trees.flatten(primals)
    directions, direction_spec = trees.flatten(tangents)
    if spec != direction_spec:
        raise RuntimeError(
            f"{who}: Expected primals and tangents to have the same python structure. For example, "
            "if primals is a tuple of 3 tensors, tangents also must be. Got primals with structure "
            f"{spec!r} and tangents with structure {direction_spec!r}"
        )
    for name, values in (("primals", leaves), ("tangents", directions)):
        for x in values:
            if not isinstance(x, Tensor):
                raise RuntimeError(f"{who}: Expected {name} to only contain Tensors, got {type(x)}")
        if not values:
            raise RuntimeError(f"{who}: Expected {name} to contain at least one Tensor.")
    for x, v in zip(leaves, directions, strict=True):
        check_tangent(x, v)
    return leaves, spec, directions


def check_tangent(x: Any, v: Any) -> None:
    """Refuses a tangent that is not shaped as its primal, and what has no tangents."""
    for name, t in (("primal", x), ("tangent", v)):
        if t._meta.dtype.kind not in "fc":
            raise ValueError(
                f"Expected {name} to be floating point or complex, but got: {t._meta.dtype}"
            )
    if x._meta.shape != v._meta.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(x._meta.shape)} while the "
            f"given forward gradient is of size {list(v._meta.shape)}."
        )


class Linear:
    """The linear map v -> J v at a point, by going backward twice.

    Args:
        outs: the function's outputs.
        xs: the aliases of its inputs that it was called with.
    """

    def __init__(self, outs: Sequence[Any], xs: Sequence[Any]) -> None:
        self.outs = outs
        self.scope = Scope()
        self.starts: list[Any] = []
        for y in outs:
            u: Any = lift(o.zeros_like(y))
            u._requires_grad, u._scope = y._meta.dtype.kind in "fc", self.scope
            self.starts.append(u)
        self.back = [lift(g) for g in backward(outs, xs, self.starts, True, True)]

    def __call__(self, directions: Sequence[Any], create: bool) -> list[Any]:
        """J v for these directions, one an input."""
        return backward(
            self.back,
            self.starts,
            [o.to(v, g._meta.dtype) for v, g in zip(directions, self.back, strict=True)],
            create,
            True,
        )

    def end(self) -> None:
        """The dummy cotangents no longer count as somebody who asks for gradients."""
        self.scope.alive = False


def jvp(
    func: Callable[..., Any],
    primals: Any,
    tangents: Any,
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """The value of a function, and the product of its Jacobian with a tangent.

    Args:
        func: of the primals; returns tensors in any nesting (and aux, if ``has_aux``).
        primals: a tuple: where to differentiate.
        tangents: a tuple like it: the direction.
        strict: refuse outputs that do not depend on the primals.

    Returns:
        (value, tangent), or (value, tangent, aux).

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor(3.0)
        >>> torch.func.jvp(lambda x: x * x, (x,), (torch.tensor(1.0),))
        (tensor(9.), tensor(6.))
    """
    leaves, spec, directions = _check_pair(primals, tangents)
    with recording() as outside:
        scope = Scope()
        xs = [entered(x, scope) for x in leaves]
        outs, out_spec, aux = _outputs(
            "jvp(f, primals, tangents)", func(*spec.unflatten(xs)), has_aux
        )
        outs = [lift(y) for y in outs]
        if strict and any([tape.gradient_edge(y) is None for y in outs]):
            raise RuntimeError(
                "jvp(f, primals, tangents, strict=True): The output of f is independent of the "
                "inputs. This is not allowed with strict=True."
            )
        linear = Linear(outs, xs)
        scope.alive = False
        linear.end()
        create = outside and any([watched_at_any_level(t) for t in (*outs, *directions)])
        found = [settled(t, outside) for t in linear(directions, create)]
        value = out_spec.unflatten([settled(y, outside) for y in outs])
        aux = trees.mapped(lambda t: settled(t, outside), aux)
    result = (value, out_spec.unflatten(found))
    return (*result, aux) if has_aux else result


def linearize(func: Callable[..., Any], *primals: Any) -> Any:
    """The value of a function, and its best linear approximation there as a function.

    The function itself runs once; ``jvp_fn`` may then be called often.

    Example:
        >>> import rushlight as torch
        >>> value, jvp_fn = torch.func.linearize(torch.sin, torch.tensor(0.0))
        >>> jvp_fn(torch.tensor(2.0))
        tensor(2.)
    """
    with recording() as outside:
        leaves, spec = trees.flatten(primals)
        _tensors(leaves)
        scope = Scope()
        xs = [entered(x, scope) for x in leaves]
        outs, out_spec, _ = _outputs("linearize(f, *primals)", func(*spec.unflatten(xs)), False)
        outs = [lift(y) for y in outs]
        linear = Linear(outs, xs)
        scope.alive = False
        linear.end()
        wanted = outside and any([watched_at_any_level(y) for y in outs])
        value = out_spec.unflatten([settled(y, outside) for y in outs])

    def jvp_fn(*tangents: Any) -> Any:
        directions, direction_spec = trees.flatten(tangents)
        if direction_spec != spec:
            raise RuntimeError(
                f"Expected the tangents {direction_spec!r} to have the same argspec as the primals "
                f"{spec!r}"
            )
        for i, (x, v) in enumerate(zip(leaves, directions, strict=True)):
            for what, have, want in (
                ("shape", v._meta.shape, x._meta.shape),
                ("dtype", v._meta.dtype, x._meta.dtype),
            ):
                if have != want:
                    raise RuntimeError(
                        f"tangent:{i} with {what} {have} in flattened pytree doesn't match the "
                        f"{what} {want} of the corresponding primal."
                    )
        with recording() as now:
            create = now and (wanted or any([watched_at_any_level(v) for v in directions]))
            return out_spec.unflatten([settled(t, now) for t in linear(directions, create)])

    return value, jvp_fn


# Jacobians


def _basis(leaves: Sequence[Any]) -> list[Any]:
    """The unit vectors of the space of these tensors together, a batch of them for each."""
    total = sum([x._meta.numel for x in leaves])
    parts, start = [], 0
    for x in leaves:
        m = x._meta
        rows = [
            o.zeros((start, m.numel), m.dtype, m.device),
            o.eye(m.numel, m.numel, m.dtype, m.device),
            o.zeros((total - start - m.numel, m.numel), m.dtype, m.device),
        ]
        parts.append(o.reshape(o.cat(rows, 0), (total, *m.shape)))
        start += m.numel
    return parts


def _split_rows(t: Any, leaves: Sequence[Any], dim: int) -> list[Any]:
    """The batch of unit vectors along ``dim`` taken apart into the shapes of these tensors."""
    parts = o.split(t, tuple([x._meta.numel for x in leaves]), dim)
    shape = tuple(t._meta.shape)
    return [
        o.reshape(p, (*shape[:dim], *x._meta.shape, *shape[dim + 1 :]))
        for p, x in zip(parts, leaves, strict=True)
    ]


def jacrev(
    func: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """The Jacobian of a function, row by row backward: good for few outputs.

    Args:
        func: returns tensors in any nesting (and aux, if ``has_aux``).
        argnums: with respect to which arguments; a tuple gives a tuple.
        chunk_size: how many rows at once; all if None.

    Returns:
        a function giving, for each output and input, a tensor of shape (*output, *input).

    Example:
        >>> import rushlight as torch
        >>> torch.func.jacrev(torch.sin)(torch.zeros(2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        chosen = _chosen(args, argnums)
        primals = chosen if isinstance(argnums, tuple) else (chosen,)

        def partial(*values: Any) -> Any:
            return func(
                *_replaced(args, argnums, values if isinstance(argnums, tuple) else values[0])
            )

        made = vjp(partial, *primals, has_aux=has_aux)
        outs, out_spec = trees.flatten(made[0])
        basis = _basis(outs)

        def row(*cotangents: Any) -> Any:
            return made[1](out_spec.unflatten(cotangents))

        if sum([y._meta.numel for y in outs]):
            grads = vmap(row, chunk_size=chunk_size)(*basis)
        else:
            grads = trees.mapped(
                lambda x: o.zeros((0, *x._meta.shape), x._meta.dtype, x._meta.device), primals
            )
        columns, in_spec = trees.flatten(grads if isinstance(argnums, tuple) else grads[0])
        rows = [_split_rows(g, outs, 0) for g in columns]
        result = out_spec.unflatten(
            [in_spec.unflatten([r[i] for r in rows]) for i in range(len(outs))]
        )
        return (result, made[2]) if has_aux else result

    return wrapper


def jacfwd(
    func: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """The Jacobian of a function, column by column: good for few inputs.

    Args:
        func: returns tensors in any nesting (and aux, if ``has_aux``).
        argnums: with respect to which arguments; a tuple gives a tuple.
        randomness: as for :func:`vmap`.

    Returns:
        a function giving, for each output and input, a tensor of shape (*output, *input).

    Example:
        >>> import rushlight as torch
        >>> torch.func.jacfwd(torch.sin)(torch.zeros(2))
        tensor([[1., 0.],
                [0., 1.]])
    """

    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        chosen = _chosen(args, argnums)
        primals = chosen if isinstance(argnums, tuple) else (chosen,)
        leaves, spec = trees.flatten(primals)
        _tensors(leaves)
        basis = _basis(leaves)

        def column(*directions: Any) -> Any:
            def partial(*values: Any) -> Any:
                return func(
                    *_replaced(args, argnums, values if isinstance(argnums, tuple) else values[0])
                )

            return jvp(partial, primals, spec.unflatten(directions), has_aux=has_aux)[1:]

        tangents, *aux = vmap(
            column, out_dims=(-1, None) if has_aux else (-1,), randomness=randomness
        )(*basis)
        columns, out_spec = trees.flatten(tangents)
        blocks = []
        for t in columns:
            parts = _split_rows(t, leaves, t._meta.ndim - 1)
            tree = spec.unflatten(parts)
            blocks.append(tree if isinstance(argnums, tuple) else tree[0])
        result = out_spec.unflatten(blocks)
        return (result, aux[0]) if has_aux else result

    return wrapper


def hessian(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The second derivatives of a function: ``jacfwd`` of ``jacrev``.

    Example:
        >>> import rushlight as torch
        >>> torch.func.hessian(lambda x: (x**3).sum())(torch.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
