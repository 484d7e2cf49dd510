"""Tensors with a hidden batch dimension, and the mode that computes with them.

Inside ``vmap`` a function gets Batched tensors: each shows the shape of one sample, and holds a
value whose first dimension is the batch.  VmapMode stands on the gate's mode stack, sees each call,
and computes it for the whole batch by the operator's batching rule (``rules/``).

Gradients.  A Batched tensor has a place in a gradient graph of its own (for ``grad`` inside
``vmap``), and its value has one too (for ``grad`` around ``vmap``): the two graphs are the two
levels, and a call is noted in each.  A tensor that does not depend on the batch can be *lifted*:
a Batched without a batch dimension, which only has its own place in the inner graph.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.dispatch import gate, modes, tape, views
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor, Version, array_of, raw_array
from rushlight.func import rules
from rushlight.ir.meta import Meta, meta, scalar_meta
from rushlight.ir.op import Op, Plan
from rushlight.ops import arithmetic

__all__ = ["Batched", "VmapMode", "batched", "current_mode", "lift"]

state = modes.state

_ITEM = (
    "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling "
    ".item() on a Tensor, please try to rewrite what you're doing with other operations. If error "
    "is occurring somewhere inside PyTorch internals, please file a bug report."
)
_CONTROL_FLOW = (
    "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We "
    "don't support that yet, please file an issue at https://github.com/pytorch/pytorch/issues ."
)
_NO_STORAGE = "Cannot access data pointer of Tensor that doesn't have storage"
_REQUIRES_GRAD = (
    "You are attempting to call Tensor.requires_grad_() (or perhaps using "
    "torch.autograd.functional.* APIs) inside of a function being transformed by a functorch "
    "transform. This is unsupported, please attempt to use the functorch transforms (e.g. grad, "
    "vjp, jacrev, jacfwd, hessian) or call requires_grad_() outside of a function being "
    "transformed instead."
)
_IN_PLACE = (
    "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor "
    "`other` in extra_args that has more elements than `self`. This happened due to `other` being "
    "vmapped over but `self` not being vmapped over in a vmap. Please try to use out-of-place "
    "operators instead of inplace arithmetic. If said operator is being called inside the PyTorch "
    "framework, please file a bug report instead."
)
_ENDED = (
    "this tensor belongs to a vmap that has ended: return it from the function given to vmap "
    "instead of keeping it elsewhere"
)
_DATA = "accessing `data` under vmap transform is not allowed"
_CAPTURED = (
    "During a grad (vjp, jvp, grad, etc) transform, the function provided attempted to call "
    "in-place operation (aten::{}_) that would mutate a captured Tensor. This is not supported; "
    "please rewrite the function being transformed to explicitly accept the mutated Tensor(s) as "
    "inputs."
)
_RANDOM = (
    "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
    "'different' randomness flags on vmap or perform the randomness operation out of vmap"
)
_RANDOM_IN_PLACE = (
    "vmap: Cannot ask for different inplace randomness on an unbatched tensor. This will appear "
    "like same randomness. If this is necessary for your usage, please file an issue with "
    "functorch."
)
_RANDOM_SAME = (
    "Vmap does not currently support same randomness with a batched tensor input. Please file an "
    "issue with functorch"
)


class Batched(Tensor):
    """A tensor inside ``vmap``: one sample to look at, the whole batch inside."""

    _overrides = False
    _level = 0
    _has_batch = True
    _fresh = False  # made by `empty`, and nothing written to it yet

    @property
    def _storage(self) -> Any:  # type: ignore[override]
        if self._has_batch and not any([m.level == self._level for m in _running()]):
            raise RuntimeError(_ENDED)
        return self._value._storage

    @property
    def _offset(self) -> int:  # type: ignore[override]
        return int(self._value._offset)

    @property
    def _array(self) -> Any:
        if self._has_batch:
            running = any([m.level == self._level for m in _running()])
            raise RuntimeError(_ITEM if running else _ENDED)
        inner = self._value
        return array_of(inner) if isinstance(inner, Batched) else raw_array(inner)

    def _shadow(self, version: Version | None = None) -> Batched:
        """The same value without its place in the inner graph."""
        made = wrap(self._value, self._level, self._has_batch)
        if version is not None:
            made._counter = version
        return made

    def _detached(self) -> Batched:
        """The same values outside the graphs of all levels."""
        inner = self._value
        value = inner._detached() if isinstance(inner, Batched) else tape.alias(inner)
        return wrap(value, self._level, self._has_batch)

    def _inner(self) -> Batched:
        """The same value without its place in the inner graph."""
        if not self._requires_grad and self._view is None:
            return self
        return wrap(self._value, self._level, self._has_batch)

    def _blank(self, m: Meta) -> Batched:
        """An uninitialised tensor of a sample's Meta, with this tensor's batch."""
        like = self._value
        if self._has_batch:
            m = meta((like._meta.shape[0], *m.shape), m.dtype, None, m.device)
        was = state.stack
        state.stack = below(self._level)
        try:
            made = like._blank(m) if isinstance(like, Batched) else _empty(m)
        finally:
            state.stack = was
        return wrap(made, self._level, self._has_batch)

    def item(self) -> Any:
        """Refused: the value differs from sample to sample."""
        if self._has_batch:
            raise RuntimeError(_ITEM)
        return self._value.item()

    def __bool__(self) -> bool:
        if self._has_batch:
            raise RuntimeError(_CONTROL_FLOW)
        return bool(self._value)

    def tolist(self) -> Any:
        """Refused: the values differ from sample to sample."""
        if self._has_batch:
            raise RuntimeError(_NO_STORAGE)
        return self._value.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Refused: a Batched tensor has no memory of its own."""
        raise RuntimeError(_NO_STORAGE)

    def data_ptr(self) -> int:
        """Refused: a Batched tensor has no memory of its own."""
        raise RuntimeError(_NO_STORAGE)

    @property
    def data(self) -> Any:
        """Refused."""
        raise RuntimeError(_DATA)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Refused: inside transforms, ``grad`` and its kin do this."""
        raise RuntimeError(_REQUIRES_GRAD)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        inner = "\n".join("    " + line for line in repr(self._value).splitlines())
        where = "0" if self._has_batch else "None"
        depth = 1 + sum([isinstance(m, VmapMode) for m in below(self._level)])
        return f"BatchedTensor(lvl={depth}, bdim={where}, value=\n{inner}\n)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)


def _new_for_each(name: str) -> None:
    plain = getattr(Tensor, name)

    def method(self: Batched, *args: Any, **kwargs: Any) -> Any:
        made = plain(self, *args, **kwargs)
        return self._blank(made._meta).copy_(made)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"``Tensor.{name}`` for each sample: what is written to it may differ."
    setattr(Batched, name, method)


for _name in ("new_zeros", "new_ones", "new_empty", "new_full"):
    _new_for_each(_name)


def _refused(name: str, text: str) -> None:
    def method(self: Batched, *args: Any, **kwargs: Any) -> Any:
        if not self._has_batch:
            return getattr(self._value, name)(*args, **kwargs)
        raise RuntimeError(text)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Refused: its result would have another shape for each sample."
    setattr(Batched, name, method)


for _name, _aten in {
    "nonzero": "nonzero",
    "unique": "_unique2",
    "unique_consecutive": "unique_consecutive",
}.items():
    _refused(
        _name,
        "vmap: We do not support batching operators that can output dynamic shape. Attempted to "
        f"vmap over aten::{_aten}. Please file an issue at "
        "https://github.com/pytorch/pytorch/issues if you need this feature.",
    )
_refused(
    "masked_select",
    "vmap: Attempted to vmap over `mask` in torch.masked_select(self, mask) We cannot support this "
    "because for each batch this would return a differently shaped Tensor. Please file an issue at "
    "https://github.com/pytorch/pytorch/issues if you need this feature.",
)
_refused(
    "allclose",
    "vmap over torch.allclose isn't supported yet. Please file an issue at "
    "https://github.com/pytorch/pytorch/issues if you need this feature.",
)


def _empty(m: Meta) -> Any:
    return o.empty(tuple(m.shape), m.strides, m.dtype, m.device)


def wrap(value: Tensor, level: int, has_batch: bool) -> Batched:
    """A Batched tensor over a value whose first dimension is the batch, if it has one."""
    t: Any = object.__new__(Batched)
    m = value._meta
    t._value, t._level, t._has_batch = value, level, has_batch
    t._meta = meta(m.shape[1:], m.dtype, m.strides[1:], m.device, m.conj, m.neg) if has_batch else m
    t._counter = value._counter
    return t  # type: ignore[no-any-return]


def batched(value: Tensor, level: int) -> Batched:
    """A Batched tensor over a value whose first dimension is the batch."""
    return wrap(value, level, True)


_levels = itertools.count(1)


def _running() -> list[VmapMode]:
    """The ``vmap`` that are running in this thread, outermost first."""
    return [m for m in state.stack if isinstance(m, VmapMode)]


def current_mode() -> VmapMode | None:
    """The innermost ``vmap`` that is running."""
    running = _running() if state.stack else None
    return running[-1] if running else None


def below(level: int) -> tuple[Any, ...]:
    """The modes outside the ``vmap`` of this level."""
    for at, mode in enumerate(state.stack):
        if isinstance(mode, VmapMode) and mode.level == level:
            return state.stack[:at]
    return state.stack


def lift(x: Tensor) -> Tensor:
    """A tensor of the innermost ``vmap``'s level; itself if it is one or none is running."""
    mode = current_mode()
    if mode is None or (isinstance(x, Batched) and x._level == mode.level):
        return x
    return wrap(x, mode.level, False)


class VmapMode:
    """Computes the calls made inside one ``vmap`` for the whole batch.

    Args:
        size: the batch's size.
        randomness: "error", "different" or "same".
    """

    def __init__(self, size: int, randomness: str) -> None:
        self.level = next(_levels)  # no other ``vmap`` has this number
        self.size = size
        self.randomness = randomness
        self.transforms = 0  # of those that differentiate, how many are running inside

    def __call__(
        self, op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...], run: Callable[..., Any]
    ) -> Any:
        writing = run is gate.write
        if op.kind == "random":
            return self._random(op, inputs, attrs, writing)
        if not any([self._owns(x) for x in inputs]):
            made = run(op, inputs, attrs)
            fresh = op.name == "empty" and self.randomness == "different"
            if fresh or (self.transforms and op.kind == "create"):
                made = wrap(made, self.level, False)
                made._fresh = fresh
            return made
        return self._write(op, inputs, attrs) if writing else self._call(op, inputs, attrs)

    def _owns(self, x: Any) -> bool:
        return isinstance(x, Batched) and x._level == self.level

    def _call(self, op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        plan = gate.plan_of(op, inputs, attrs)
        outs = self._compute(op, plan, inputs, attrs)
        if plan.offsets is not None:
            self._note_views(op, plan, inputs, attrs, outs)
        elif op.differentiable and state.grad:
            with modes.pushed(self):
                if gate._wants_grad([x for x in inputs if self._owns(x)]):
                    gate.note_on_tape(op, plan, self._lifted(inputs), attrs, outs)
        return outs[0] if plan.single else tuple(outs)

    def _lifted(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """The inputs, those of other levels without their places in other graphs."""
        return tuple(
            [
                wrap(x, self.level, False) if isinstance(x, Tensor) and not self._owns(x) else x
                for x in inputs
            ]
        )

    def _compute(
        self, op: Op, plan: Plan, inputs: Sequence[Any], attrs: tuple[Any, ...]
    ) -> list[Batched]:
        """The results for the whole batch, noted in the graphs of the values only."""
        values = [x._value if self._owns(x) else x for x in inputs]
        has = [self._owns(x) and x._has_batch for x in inputs]
        if not any(has):
            results = gate.call(op, tuple(values), attrs)
            many = results if isinstance(results, tuple) else (results,)
            return [wrap(r, self.level, False) for r in many]
        logical = [x._inner() if self._owns(x) else x for x in inputs]
        call = rules.Call(self, op, plan, values, has, logical, attrs)
        made = rules.apply(call)
        many = made if isinstance(made, tuple) else (made,)
        return [r if self._owns(r) else wrap(r, self.level, True) for r in many]

    def _note_views(
        self, op: Op, plan: Plan, inputs: Sequence[Any], attrs: tuple[Any, ...], outs: Any
    ) -> None:
        source = inputs[0]
        for i, t in enumerate(outs):
            t._view = views.view_record(source, op, attrs, i, not plan.single)
        if op.differentiable and (source._requires_grad or source._view is not None):
            if state.grad:
                with modes.pushed(self):
                    if gate._wants_grad(inputs):
                        gate.note_on_tape(op, plan, inputs, attrs, outs)
            elif source._requires_grad:
                for t in outs:
                    t._requires_grad = t._borrowed = t._meta.dtype.kind in "fc"

    def _write(self, op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        """An in-place call: computed anew, then copied into the target's value."""
        target = inputs[0]
        others = [x for x in inputs[1:] if self._owns(x)]
        if not (self._owns(target) and target._has_batch):
            if any(x._has_batch for x in others):
                raise RuntimeError(_IN_PLACE)
            if not self._owns(target):
                if state.grad and op.differentiable and gate._wants_grad(others):
                    raise RuntimeError(_CAPTURED.format(op.name))
                values = tuple([x._value if self._owns(x) else x for x in inputs])
                gate.write(op, values, attrs)
                return target
        with modes.pushed(self):
            return self._write_own(op, inputs, attrs)

    def _write_own(self, op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        target = inputs[0]
        recording = state.grad and op.differentiable
        wants = recording and gate._wants_grad([x for x in inputs[1:] if self._owns(x)])
        views.check_write(target, wants)
        plan = gate.plan_of(op, inputs, attrs)
        gate._check_result(plan.outs[0], target._meta)
        node: Any = None
        if recording and (wants or target._requires_grad):
            lifted = self._lifted(inputs)
            edges = tuple(
                [tape.gradient_edge(x) if isinstance(x, Tensor) else None for x in lifted]
            )
            metas = tuple([getattr(x, "_meta", None) or scalar_meta(type(x)) for x in inputs])
            node = tape.class_for(op, metas, attrs)(op, attrs, edges, (target._meta,))
            first = self._snapshot(target) if 0 in op.keeps(node.needs)[0] else target
            node.save((first, *lifted[1:]), ())
        was = state.stack
        state.stack = was[:-1]
        try:
            made = self._compute(op, plan, (self._before(target), *inputs[1:]), attrs)[0]
            gate.write(arithmetic.copy, (target._value, made._value), ())
        finally:
            state.stack = was
        target._fresh = False
        if node is not None:
            kept = 0 in op.keeps(node.needs)[1]
            node.outputs = (tape.SavedTensor(target, True) if kept else target._meta,)
            views.rebase(target, node)
        return target

    def _before(self, t: Batched) -> Batched:
        """A tensor about to be overwritten, apart from it if the outer graph may read it."""
        if not (state.grad and gate._wants_grad((t._value,))):
            return t
        return wrap(o.clone(t._value), self.level, t._has_batch)

    def _snapshot(self, t: Batched) -> Batched:
        """A copy of a tensor about to be overwritten, with its place in the inner graph."""
        was = state.stack
        state.stack = was[:-1]
        try:
            copy = wrap(o.clone(t._value), self.level, t._has_batch)
        finally:
            state.stack = was
        copy._requires_grad, copy._node, copy._out_nr = t._requires_grad, t._node, t._out_nr
        return copy

    def _random(
        self, op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...], writing: bool
    ) -> Any:
        if self.randomness == "error":
            raise RuntimeError(_RANDOM)
        values = tuple([x._value if self._owns(x) else x for x in inputs])
        has = [self._owns(x) and x._has_batch for x in inputs]
        if writing:
            return self._random_write(op, inputs, values, has, attrs)
        if self.randomness == "same":
            if any(has):
                raise RuntimeError(_RANDOM_SAME)
            return gate.call(op, values, attrs)
        if not any(has) or op.name == "multinomial":
            rows = [
                gate.call(
                    op,
                    tuple(
                        [o.select(v, 0, i) if h else v for v, h in zip(values, has, strict=True)]
                    ),
                    attrs,
                )
                for i in range(self.size)
            ]
            return batched(o.stack(rows, 0), self.level)
        return batched(gate.call(op, values, attrs), self.level)

    def _random_write(
        self, op: Op, inputs: Any, values: tuple[Any, ...], has: list[bool], attrs: Any
    ) -> Any:
        target = inputs[0]
        if self.randomness == "same":
            if not any(has):
                gate.write(op, values, attrs)
            elif any(has[1:]):
                raise RuntimeError(_RANDOM_SAME)
            else:
                m = target._meta
                draw = _empty(meta(m.shape, m.dtype, None, m.device))
                gate.write(op, (draw, *values[1:]), attrs)
                gate.write(arithmetic.copy, (values[0], draw), ())
            return target
        if not has[0]:
            if not getattr(target, "_fresh", False):
                raise RuntimeError(_RANDOM_IN_PLACE)
            m = target._meta
            target._value = _empty(meta((self.size, *m.shape), m.dtype, None, m.device))
            target._has_batch = True
            target._counter = target._value._counter
            values = (target._value, *values[1:])
        target._fresh = False
        aligned = [values[0]]
        n = target._meta.ndim
        for x, v, h in zip(inputs[1:], values[1:], has[1:], strict=True):
            if h and x._meta.ndim < n:
                v = o.reshape(v, (self.size, *(1,) * (n - x._meta.ndim), *x._meta.shape))
            aligned.append(v)
        gate.write(op, tuple(aligned), attrs)
        return target
