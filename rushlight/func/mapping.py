"""``vmap``: a function of one sample becomes one of a batch of samples.

Source of the semantics: https://pytorch.org/docs/stable/generated/torch.func.vmap.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.dispatch import modes
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.func import trees
from rushlight.func.batched import Batched, VmapMode, wrap

__all__ = ["over_batch", "to_front", "vmap"]

_RANDOMNESS = ("error", "different", "same")


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """Makes a function of one sample into a function of a batch.

    Args:
        func: takes tensors in nested tuples, lists and dicts; returns tensors likewise.
        in_dims: which dimension of each input is the batch: an int for all, or a structure like the
            inputs' with None for what is the same for all samples.
        out_dims: where each output gets the batch dimension.
        randomness: random draws inside: "error", "different" for each sample, or the "same".
        chunk_size: how many samples to compute at once; all if None.

    Raises:
        ValueError: if ``in_dims`` or ``out_dims`` do not fit, or the batches differ in size.
        RuntimeError: inside, where the computation depends on a sample's values (``item()``).

    Example:
        >>> import rushlight as torch
        >>> torch.vmap(torch.dot)(torch.ones(2, 3), torch.ones(2, 3))
        tensor([3., 3.])
    """
    if randomness not in _RANDOMNESS:
        raise RuntimeError(
            f"Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, dims, spec, size = _read_inputs(func, in_dims, args)
        if chunk_size is not None and chunk_size < size:
            return _in_chunks(
                func, leaves, dims, spec, size, chunk_size, out_dims, randomness, kwargs
            )
        return over_batch(func, leaves, dims, spec, size, out_dims, randomness, kwargs)

    return wrapped


def _name(func: Callable[..., Any]) -> str:
    return getattr(func, "__name__", None) or repr(func)


def _read_inputs(
    func: Callable[..., Any], in_dims: Any, args: tuple[Any, ...]
) -> tuple[list[Any], list[Any], trees.Spec, int]:
    """The leaves of the inputs, the batch dimension of each, their structure, the batch's size."""
    head = f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{head}expected `in_dims` to be int or a (potentially nested) tuple matching the "
            f"structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({_name(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you "
            "are trying to vmap over a function with no inputs. The latter is unsupported."
        )
    leaves, spec = trees.flatten(args)
    found = trees.broadcast(in_dims, spec)
    if found is None:
        raise ValueError(
            f"{head}in_dims is not compatible with the structure of `inputs`. in_dims has "
            f"structure {trees.flatten(in_dims)[1]!r} but inputs has structure {spec!r}."
        )
    dims = [_checked(head, x, d) for x, d in zip(leaves, found, strict=True)]
    sizes = [x._meta.shape[d] for x, d in zip(leaves, dims, strict=True) if d is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(s != sizes[0] for s in sizes):
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return leaves, dims, spec, sizes[0]


def _checked(head: str, x: Any, dim: Any) -> Any:
    if dim is None:
        return None
    if not isinstance(dim, int):
        raise ValueError(
            f"{head}Got in_dim={dim} for an input but in_dim must be either an integer dimension "
            "or None."
        )
    if not isinstance(x, Tensor):
        raise ValueError(
            f"{head}Got in_dim={dim} for an input but the input is of type {type(x)}. We cannot "
            "vmap over non-Tensor arguments, please use None as the respective in_dim"
        )
    n = x._meta.ndim
    if not -n <= dim < n:
        raise ValueError(
            f"{head}Got in_dim={dim} for some input, but that input is a Tensor of dimensionality "
            f"{n} so expected in_dim to satisfy -{n} <= in_dim < {n}."
        )
    return dim % n


def to_front(x: Tensor, dim: int) -> Any:
    """The tensor with this dimension first."""
    if dim == 0:
        return x
    n = x._meta.ndim
    return o.permute(x, (dim, *[d for d in range(n) if d != dim]))


def _from_front(x: Tensor, dim: int) -> Any:
    """The tensor with its first dimension at this place."""
    n = x._meta.ndim
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    if dim % n == 0:
        return x
    order = list(range(1, n))
    order.insert(dim % n, 0)
    return o.permute(x, tuple(order))


def over_batch(
    func: Callable[..., Any],
    leaves: Sequence[Any],
    dims: Sequence[Any],
    spec: trees.Spec,
    size: int,
    out_dims: Any,
    randomness: str,
    kwargs: dict[str, Any],
) -> Any:
    """Calls a function once with Batched tensors, and takes the batches out of its results."""
    mode = VmapMode(size, randomness)
    level = mode.level
    inputs = [
        x if d is None else wrap(to_front(x, d), level, True)
        for x, d in zip(leaves, dims, strict=True)
    ]
    with modes.pushed(mode):
        result = func(*spec.unflatten(inputs), **kwargs)
    return _unwrapped(func, result, level, size, out_dims)


def _unwrapped(func: Callable[..., Any], result: Any, level: int, size: int, out_dims: Any) -> Any:
    name = _name(func)
    outs, out_spec = trees.flatten(result)
    if isinstance(out_dims, tuple) and len(out_dims) == 1 and out_spec.kind is None:
        out_dims = out_dims[0]
    places = trees.broadcast(out_dims, out_spec)
    for d in places if places is not None else trees.flatten(out_dims)[0]:
        if d is not None and not isinstance(d, int):
            raise ValueError(
                f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a "
                "python collection of ints representing where in the outputs the vmapped dimension "
                "should appear."
            )
    if places is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with "
            f"the structure of `outputs`. out_dims has structure {trees.flatten(out_dims)[1]!r} "
            f"but outputs has structure {out_spec!r}."
        )
    return out_spec.unflatten(
        [_take_out(name, t, level, size, d) for t, d in zip(outs, places, strict=True)]
    )


def _take_out(name: str, t: Any, level: int, size: int, dim: Any) -> Any:
    if not isinstance(t, Tensor):
        if dim is None:
            return t
        raise ValueError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(t)}. Did you "
            "mean to set out_dims= to None for output?"
        )
    has_batch = False
    if isinstance(t, Batched) and t._level == level:
        has_batch, t = t._has_batch, t._value
    if dim is None:
        if has_batch:
            raise ValueError(
                f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None"
            )
        return t
    if not has_batch:
        t = o.expand(o.unsqueeze(t, 0), (size, *t._meta.shape))
    return _from_front(t, dim)


def _in_chunks(
    func: Callable[..., Any],
    leaves: Sequence[Any],
    dims: Sequence[Any],
    spec: trees.Spec,
    size: int,
    chunk_size: int,
    out_dims: Any,
    randomness: str,
    kwargs: dict[str, Any],
) -> Any:
    """The batch in parts, the results joined."""
    results = []
    for start in range(0, size, chunk_size):
        end = min(start + chunk_size, size)
        part = [
            x if d is None else o.slice(x, d, start, end, 1)
            for x, d in zip(leaves, dims, strict=True)
        ]
        results.append(
            over_batch(func, part, dims, spec, end - start, out_dims, randomness, kwargs)
        )
    flat = [trees.flatten(r) for r in results]
    out_spec = flat[0][1]
    if isinstance(out_dims, tuple) and len(out_dims) == 1 and out_spec.kind is None:
        out_dims = out_dims[0]
    places = trees.broadcast(out_dims, out_spec) or []
    joined = [
        parts[0] if d is None else o.cat(list(parts), d)
        for parts, d in zip(zip(*[leaves for leaves, _ in flat], strict=True), places, strict=True)
    ]
    return out_spec.unflatten(joined)
