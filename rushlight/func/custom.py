"""``torch.autograd.Function`` inside ``vmap``.

In: a call of ``apply`` with Batched arguments.  The function's own ``vmap`` computes the batch, or
with ``generate_vmap_rule`` its ``forward`` and ``backward`` run inside a ``vmap`` of their own; the
inner graph gets the function's node as usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rushlight.autograd import function as functions
from rushlight.dispatch import modes
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.func import trees
from rushlight.func.batched import VmapMode, below, current_mode, wrap
from rushlight.func.mapping import over_batch, to_front

__all__ = ["applied"]

state = modes.state
_NOTES = "For more details, please see https://pytorch.org/docs/main/notes/extending.func.html"


class VmapInfo(NamedTuple):
    """What a function's ``vmap`` is told."""

    batch_size: int
    randomness: str


class _outside:
    """Context in which a ``vmap`` is not seen."""

    __slots__ = ("level", "was")

    def __init__(self, level: int) -> None:
        self.level = level

    def __enter__(self) -> None:
        self.was = state.stack
        state.stack = below(self.level)

    def __exit__(self, *exc: object) -> None:
        state.stack = self.was


def applied(cls: Any, args: tuple[Any, ...]) -> tuple[bool, Any]:
    """Calls a custom function inside ``vmap``.

    Returns:
        whether a ``vmap`` is running, and the result.
    """
    mode = current_mode()
    if mode is None:
        return False, None
    if not any([mode._owns(a) for a in args]):
        with _outside(mode.level):
            return True, cls.apply(*args)
    own = functions._own(cls)
    if "setup_context" not in own:
        raise RuntimeError(
            "In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, "
            f"jacrev, ...), it must override the setup_context staticmethod. {_NOTES}"
        )
    result, has = _computed(cls, own, mode, args)
    many = isinstance(result, tuple)
    outs = [
        wrap(t, mode.level, h) if isinstance(t, Tensor) else t
        for t, h in zip(result if many else (result,), has, strict=True)
    ]
    if state.grad and any([mode._owns(a) and a.requires_grad for a in args]):
        outs = _noted(cls, mode, args, outs, many)
    return True, (tuple(outs) if many else outs[0])


def _noted(cls: Any, mode: VmapMode, args: tuple[Any, ...], outs: list[Any], many: bool) -> Any:
    """The results as those of a node in the inner graph."""
    lifted = mode._lifted(args)
    needs = tuple([isinstance(a, Tensor) and a.requires_grad for a in lifted])
    node = functions._node_class(cls)(cls, needs)
    with modes.no_grad():
        cls.setup_context(node, lifted, tuple(outs) if many else outs[0])
    return functions._attach(node, lifted, outs)


def _computed(
    cls: Any, own: set[str], mode: VmapMode, args: tuple[Any, ...]
) -> tuple[Any, Sequence[bool]]:
    """The results' values, and which of them have a batch dimension."""
    values = tuple([a._value if mode._owns(a) else a for a in args])
    has = tuple([mode._owns(a) and a._has_batch for a in args])
    with _outside(mode.level):
        if not any(has):
            result = cls.apply(*values)
            return result, [False] * (len(result) if isinstance(result, tuple) else 1)
        if "vmap" in own:
            dims = tuple([0 if h else None for h in has])
            result, places = cls.vmap(VmapInfo(mode.size, mode.randomness), dims, *values)
            many = isinstance(result, tuple)
            where = (
                places if isinstance(places, tuple) else (places,) * (len(result) if many else 1)
            )
            outs = [
                t if d is None else to_front(t, d % t._meta.ndim)
                for t, d in zip(result if many else (result,), where, strict=True)
            ]
            return (tuple(outs) if many else outs[0]), [d is not None for d in where]
        if not cls.generate_vmap_rule:
            raise RuntimeError(
                f"You tried to vmap over {cls.__name__}, but it does not have vmap support. Please "
                "override and implement the vmap staticmethod or set generate_vmap_rule=True. "
                f"{_NOTES}"
            )
        result = _generated(cls, has, mode.size, mode.randomness).apply(*values)
    return result, [True] * (len(result) if isinstance(result, tuple) else 1)


class _Inner(functions.FunctionCtx):
    """The ctx that a function sees inside its generated ``vmap``."""

    def __init__(self, outer: Any) -> None:
        self.needs_input_grad = outer.needs_input_grad
        self.to_save: tuple[Any, ...] = ()
        self.unpacked: tuple[Any, ...] = ()

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What ``save_for_backward`` was given."""
        return self.unpacked or self.to_save


def _generated(cls: Any, has: tuple[bool, ...], size: int, randomness: str) -> Any:
    """A function of whole batches that maps another over them."""

    def forward(*values: Any) -> Any:
        dims = [0 if h else None for h in has]
        spec = trees.Spec(tuple, None, [trees.Spec(None, None, ())] * len(values))
        return over_batch(cls.forward, values, dims, spec, size, 0, randomness, {})

    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        mode = ctx.mode = VmapMode(size, randomness)
        inner = _Inner(ctx)
        seen = tuple([wrap(v, mode.level, h) if h else v for v, h in zip(inputs, has, strict=True)])
        many = isinstance(output, tuple)
        outs = [wrap(t, mode.level, True) for t in (output if many else (output,))]
        with modes.pushed(mode):
            cls.setup_context(inner, seen, tuple(outs) if many else outs[0])
        ctx.inner = inner
        ctx.batched = [mode._owns(t) and t._has_batch for t in inner.to_save]
        ctx.save_for_backward(*[t._value if mode._owns(t) else t for t in inner.to_save])
        inner.to_save = ()

    def backward(ctx: Any, *grads: Any) -> Any:
        mode = ctx.mode
        ctx.inner.unpacked = tuple(
            [
                wrap(t, mode.level, True) if h else t
                for t, h in zip(ctx.saved_tensors, ctx.batched, strict=True)
            ]
        )
        given = [None if g is None else wrap(g, mode.level, True) for g in grads]
        with modes.pushed(mode):
            found = cls.backward(ctx.inner, *given)
        found = found if isinstance(found, tuple) else (found,)
        return tuple([_for_input(g, h, mode) for g, h in zip(found, has, strict=True)])

    fields: dict[str, Any] = {
        "generate_vmap_rule": True,  # so that it nests
        "forward": staticmethod(forward),
        "setup_context": staticmethod(setup_context),
        "backward": staticmethod(backward),
    }
    return type(f"Vmapped{cls.__name__}", (functions.Function,), fields)


def _for_input(g: Any, has: bool, mode: VmapMode) -> Any:
    """A sample's gradient as that of the whole input: summed if all samples share it."""
    if g is None:
        return None
    batch = mode._owns(g) and g._has_batch
    value = g._value if mode._owns(g) else g
    if has:
        return value if batch else o.expand(o.unsqueeze(value, 0), (mode.size, *value._meta.shape))
    return o.sum(value, (0,), False, None) if batch else value * mode.size
