"""The gate: the one door from the API to execution.

``call`` computes an operator into new tensors, ``write`` computes it into its first input (the
``xxx_`` methods), ``write_into`` into a given ``out=``.  Each applies the operator's rule (the
user's mistake is reported here, at the user's line), runs the kernel, and notes the graph edge if a
gradient is wanted.  Tracing and replay slot in here without touching operators or API.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight import config, dtypes
from rushlight.codegen import NATIVE, NATIVE_LARGE, NATIVE_PRODUCTS
from rushlight.devices import CPU
from rushlight.dispatch import modes, symbolic, tape, views
from rushlight.dispatch.autocast import cast_inputs
from rushlight.dispatch.autocast import used as casts_used
from rushlight.dispatch.doors import EAGER, WRITE, door, interrupt, watch
from rushlight.dispatch.tensor import Tensor, changed, memory_of, new, raw_memory
from rushlight.ir.meta import Meta, meta, scalar_meta
from rushlight.ir.op import Op, Plan, View
from rushlight.ir.shapes import same_device
from rushlight.ops.refusals import no_pair
from rushlight.runtime import cpu
from rushlight.runtime.storage import Storage

__all__ = ["call", "clear_plans", "write", "write_into"]

state = modes.state
_EVERY_CALL = config.tier() == "1"
PLAIN: set[type] = {Tensor, int, float, bool, complex, type(None)}  # types without overrides
_METAS: dict[type, Any] = {
    **{kind: scalar_meta(kind) for kind in (bool, int, float, complex)},
    type(None): None,
    symbolic.Symbol: scalar_meta(float),
    symbolic.Count: scalar_meta(int),
}
_plans: dict[Any, Plan] = {}
_MOST_PLANS = 20_000
# x * 2, masked_fill(mask, 0), full(3)
_TAKES_NUMBERS = ("elementwise", "indexing", "random", "opaque", "create")


def call(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...] = ()) -> Any:
    """Computes an operator.

    Args:
        op: the record.
        inputs: tensors, Python numbers or None, in the record's order.
        attrs: static attributes, hashable, in the record's order, all of them.

    Returns:
        a tensor, or a tuple of tensors.
    """
    if casts_used and state.casting.enabled and not state.stack:
        inputs = cast_inputs(op, inputs, attrs)
    return door[0](op, inputs, attrs)


def _call_now(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    """Computes an operator eagerly."""
    if state.stack or not PLAIN.issuperset(map(type, inputs)):
        handled, result = _overridden(op, inputs, attrs)
        if handled:
            return result
    plan = plan_of(op, inputs, attrs)
    if plan.offsets is not None:
        return _view_call(op, plan, inputs, attrs)
    outs = _compute(op, plan, inputs, attrs)
    if state.grad and op.differentiable and _wants_grad(inputs):
        note_on_tape(op, plan, inputs, attrs, outs)
    if state.inference:
        for t in outs:
            t._inference = True
    return outs[0] if plan.single else tuple(outs)


def _wants_grad(inputs: Sequence[Any]) -> bool:
    """Whether an input requires grad, perhaps because its base was written to since."""
    for x in inputs:
        if getattr(x, "_requires_grad", False):
            return True
        view = getattr(x, "_view", None)
        if view is not None and view.seen != x._counter.value:
            views.refresh(x)
            if x._requires_grad:
                return True
    return False


def plan_of(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Plan:
    """The rule's decision for these inputs, from the cache if it was made before."""
    try:
        metas = tuple(
            [_METAS[type(x)] if type(x) in _METAS else x._meta for x in inputs]  # noqa: SIM401
        )
    except AttributeError:  # something else among them, which the error will name
        metas = tuple(
            [getattr(x, "_meta", None) or _operand_meta(op, i, x) for i, x in enumerate(inputs)]
        )
    static = attrs[:-1] if op.kind == "random" else attrs  # the engine decides nothing
    key = (op, metas, static, tuple(map(type, static))) if static else (op, metas)
    plan = _plans.get(key)
    if plan is None:
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        plan = _plans[key] = _make_plan(op, metas, attrs)
    return plan


def clear_plans() -> None:
    """Forgets cached decisions; they depend on the default dtype."""
    _plans.clear()


def _make_plan(op: Op, metas: tuple[Any, ...], attrs: tuple[Any, ...]) -> Plan:
    if len(metas) > 1:
        same_device(metas)
    numbers = [i for i, m in enumerate(metas) if m is not None and m.is_scalar]
    if (numbers and op.kind not in _TAKES_NUMBERS) or (
        metas and op.kind != "create" and not any([isinstance(m, Meta) for m in metas])
    ):
        if len(numbers) == 2 == len(op.inputs) and op.kind == "elementwise":
            raise no_pair(op.name, op.inputs, [metas[i].kind for i in numbers])
        at = numbers[0] if numbers else 0
        kind = metas[at].name if numbers else "NoneType"
        name = op.inputs[min(at, len(op.inputs) - 1)].lstrip("*")
        raise TypeError(
            f"{op.name}(): argument '{name}' (position {at + 1}) must be Tensor, not {kind}"
        )
    found = op.rule(*metas, *attrs)
    if isinstance(found, Plan):
        return found
    if op.kind == "movement":
        parts = [found] if isinstance(found, View) else list(found)
        outs: Any = parts[0].meta if isinstance(found, View) else [p.meta for p in parts]
        return Plan(outs, offsets=tuple([p.offset for p in parts]))
    return Plan(found)


def _operand_meta(op: Op, position: int, x: Any) -> Any:
    if x is None:
        return None
    found = scalar_meta(type(x))
    if found is not None:
        return found
    name = op.inputs[min(position, len(op.inputs) - 1)].lstrip("*")
    raise TypeError(
        f"{op.name}(): argument '{name}' (position {position + 1}) must be Tensor, "
        f"not {_class_name(x)}"
    )


def _class_name(x: Any) -> str:
    kind = type(x)
    return f"numpy.{kind.__name__}" if kind.__module__ == "numpy" else kind.__name__


def _overridden(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> tuple[bool, Any]:
    """Lets the innermost mode, then ``__torch_function__`` of the inputs, have the call."""
    stack = state.stack
    if stack:
        mode = stack[-1]
        state.stack = stack[:-1]
        try:
            return True, mode(op, inputs, attrs, call)
        finally:
            state.stack = stack
    if state.plain:
        return False, None
    from rushlight.dispatch.overrides import handle

    return handle(op, inputs, attrs)


def _compute(op: Op, plan: Plan, inputs: Sequence[Any], attrs: tuple[Any, ...]) -> list[Tensor]:
    if plan.outs and plan.outs[0].device is not CPU:
        return [new(Tensor, Storage(_extent(m), m.device), m) for m in plan.outs]
    operands = [x if type(x) in _METAS else memory_of(x) for x in inputs]
    if symbolic.used:
        operands = list(symbolic.plain(tuple(operands)))
    if _EVERY_CALL:
        return _placed(plan, _as_program(op, plan, operands, attrs), operands)
    kernel = None
    if op.name in NATIVE or (op.name in NATIVE_LARGE and plan.outs[0].numel >= cpu.WORTH_COMPILED):
        kernel = _native(op, operands, attrs)
    elif op.kind == "contraction" and cpu.product_work(operands, plan) >= cpu.WORTH_PRODUCT:
        if plan.compute is not plan.outs[0].dtype and plan.compute is not None:
            operands = cpu.convert(operands, plan.compute)  # halves
        if op.name in NATIVE_PRODUCTS:
            kernel = _native(op, operands, attrs)
    if kernel is None and plan.single and cpu.worth_blocks(op, plan.outs[0].numel, attrs):
        m = plan.outs[0]
        if m.contiguous:
            storage, placed = cpu.empty(m)
            if cpu.run_in_blocks(op, plan, operands, attrs, placed, False):
                return [new(Tensor, storage, m, 0, placed)]
    arrays = kernel(operands, attrs) if kernel else cpu.run(op, plan, operands, attrs)
    return _placed(plan, arrays, operands)


def _placed(plan: Plan, arrays: list[Any], operands: list[Any]) -> list[Tensor]:
    """Tensors over a kernel's results."""
    if plan.single:
        m = plan.outs[0]
        storage, placed = cpu.place(arrays[0], m, operands)
        return [new(Tensor, storage, m, 0, placed)]
    outs = []
    for array, m in zip(arrays, plan.outs, strict=True):
        storage, placed = cpu.place(array, m, operands)
        outs.append(new(Tensor, storage, m, 0, placed))
    return outs


def _as_program(op: Op, plan: Plan, operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    """A call compiled and run by itself: RUSHLIGHT_TIER=1."""
    from rushlight.compiler import single

    return single.run(op, plan, operands, attrs)


def _native(op: Op, operands: list[Any], attrs: tuple[Any, ...]) -> Any:
    """The compiled kernel for this call of a heavy operator, if there is one."""
    from rushlight.codegen import native  # brings in ctypes and hashing

    return native.find(op.name, operands, attrs)


def _extent(m: Meta) -> int:
    if m.numel == 0:
        return 0
    reach = sum((n - 1) * s for n, s in zip(m.shape, m.strides, strict=True)) + 1
    return reach * m.dtype.itemsize


def note_on_tape(
    op: Op, plan: Plan, inputs: Sequence[Any], attrs: tuple[Any, ...], outs: Sequence[Tensor]
) -> None:
    """Notes the call on the tape; results that can have a gradient now require one."""
    differentiable = [t for t in outs if t._meta.dtype.kind in "fc"]
    if not differentiable:
        return
    edges = tuple([tape.gradient_edge(x) if isinstance(x, Tensor) else None for x in inputs])
    if edges[0] is None and not any(edges):
        edges = tape.lost_edges(inputs)
    node = (plan.node or _node_class(op, plan, inputs, attrs))(op, attrs, edges, plan.outs)
    if state.anomaly:
        tape.note_origin(node)
    node.save(inputs, outs)
    for nr, t in enumerate(outs):
        if t._meta.dtype.kind in "fc":
            t._requires_grad, t._node, t._out_nr = True, node, nr


def _node_class(op: Op, plan: Plan, inputs: Sequence[Any], attrs: tuple[Any, ...]) -> Any:
    """The class of the nodes for calls with this plan; kept with the plan."""
    metas = tuple([x._meta if isinstance(x, Tensor) else _METAS[type(x)] for x in inputs])
    plan.node = tape.class_for(op, metas, attrs)
    return plan.node


def _view_call(op: Op, plan: Plan, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    """A movement call: new tensors over the memory of the input."""
    source = inputs[0]
    multiple = not plan.single
    outs = []
    for i, (m, offset) in enumerate(zip(plan.outs, plan.offsets or (), strict=True)):
        start = source._offset * source._meta.dtype.itemsize // m.dtype.itemsize
        t = new(Tensor, source._storage, m, start + offset, None, source._counter)
        t._view = views.view_record(source, op, attrs, i, multiple)
        if source._inference:
            t._inference = True
        outs.append(t)
    if op.differentiable and (source._requires_grad or source._view is not None):
        if state.grad:
            if _wants_grad(inputs):
                note_on_tape(op, plan, inputs, attrs, outs)
        elif source._requires_grad:
            for t in outs:
                t._requires_grad = t._borrowed = t._meta.dtype.kind in "fc"
    return outs[0] if plan.single else tuple(outs)


def write(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...] = ()) -> Tensor:
    """Computes an operator into its first input and returns that; the ``xxx_`` methods."""
    return door[0](op, inputs, attrs, WRITE)  # type: ignore[no-any-return]


def _write_now(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Tensor:
    """Computes an operator into its first input eagerly."""
    target = inputs[0]
    if state.stack or not PLAIN.issuperset(map(type, inputs)):
        from rushlight.dispatch.overrides import handle_write

        handled, result = handle_write(op, inputs, attrs, write)
        if handled:
            return result  # type: ignore[no-any-return]
    if not isinstance(target, Tensor):
        _operand_meta(op, 0, target)
        raise TypeError(f"{op.name}_(): the first argument must be a Tensor")
    wants = state.grad and op.differentiable and _wants_grad(inputs[1:])
    views.check_write(target, wants, op, inputs)
    plan = plan_of(op, inputs, attrs)
    _check_result(plan.outs[0], target._meta)
    node: Any = None
    if state.grad and op.differentiable and (wants or target._requires_grad):
        node = node_of_write(op, plan, inputs, attrs)
    m = target._meta
    if m.device is CPU:
        operands = [x if type(x) in _METAS else memory_of(x) for x in inputs]
        if symbolic.used:
            operands = list(symbolic.plain(tuple(operands)))
        if op.kind == "random":
            plan = Plan(m, plan.compute)
        if (
            op.ufunc is None
            or _EVERY_CALL
            or attrs != op.defaults
            or m.conj
            or m.neg
            or not cpu.run_into(op, plan, operands, raw_memory(target))
        ):
            _compute_into(target, op, plan, operands, attrs)
    target._counter.value += 1
    if node is not None:
        note_write(target, node)
    return target


def node_of_write(op: Op, plan: Plan, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    """The node of a write that is about to happen."""
    target = inputs[0]
    edges = tuple([tape.gradient_edge(x) if isinstance(x, Tensor) else None for x in inputs])
    cls = plan.node or _node_class(op, plan, inputs, attrs)
    node = cls(op, attrs, edges, (target._meta,))
    if state.anomaly:
        tape.note_origin(node)
    first = _snapshot(target) if 0 in op.keeps(node.needs)[0] else target
    node.save((first, *inputs[1:]), ())
    return node


def note_write(target: Tensor, node: Any) -> None:
    """Makes the node of a write, which has happened, the target's history."""
    kept = 0 in node.op.keeps(node.needs)[1]
    node.outputs = (tape.SavedTensor(target, True) if kept else target._meta,)
    views.rebase(target, node)


def _compute_into(
    target: Tensor, op: Op, plan: Plan, operands: list[Any], attrs: tuple[Any, ...]
) -> None:
    m = target._meta
    if _EVERY_CALL:
        _store(target, _as_program(op, plan, operands, attrs)[0])
        return
    if op.name in NATIVE_LARGE and m.numel >= cpu.WORTH_COMPILED:
        kernel = _native(op, operands, attrs)
        if kernel:
            _store(target, kernel(operands, attrs)[0])
            return
    if cpu.worth_blocks(op, m.numel, attrs) and not (m.conj or m.neg):
        if cpu.run_in_blocks(op, plan, operands, attrs, raw_memory(target), True):
            return
    _store(target, cpu.run(op, plan, operands, attrs)[0])


def _snapshot(t: Tensor) -> Tensor:
    """A copy of a tensor about to be overwritten, with its place in the graph."""
    storage, array = cpu.empty(t._meta.like(strides=t._meta.strides if t._meta.dense else None))
    array[...] = memory_of(t)
    copy = new(
        Tensor,
        storage,
        t._meta.like(strides=tuple(t._meta.strides) if t._meta.dense else None),
        0,
        array,
    )
    copy._requires_grad, copy._node, copy._out_nr = t._requires_grad, t._node, t._out_nr
    if watch[0] is not None:
        watch[0].copied(t, copy)
    return copy


def _store(target: Tensor, array: Any) -> None:
    memory = raw_memory(target)
    m = target._meta
    if m.conj:
        array = array.conj()
    if m.neg:
        array = -array
    cpu.cast_into(memory, array)


def _check_result(result: Meta, target: Meta) -> None:
    if not dtypes.can_cast(result.dtype, target.dtype):
        raise RuntimeError(
            f"result type {result.dtype.title} can't be cast to the desired output type "
            f"{target.dtype.title}"
        )
    if result.shape != target.shape:
        raise RuntimeError(
            f"output with shape {list(target.shape)} doesn't match the broadcast shape "
            f"{list(result.shape)}"
        )


def write_into(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...], out: Any) -> Any:
    """Computes an operator into ``out=``, resizing it if its shape differs."""
    interrupt("an out= argument")
    targets = out if isinstance(out, (tuple, list)) else (out,)
    for t in targets:
        if not isinstance(t, Tensor):
            raise TypeError(f"{op.name}(): argument 'out' must be Tensor, not {type(t).__name__}")
    if state.grad and (_wants_grad(inputs) or any([t._requires_grad for t in targets])):
        raise RuntimeError(
            f"{op.name}(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad."
        )
    with modes.no_grad():
        results = call(op, inputs, attrs)
    store_out(results, targets)
    return out


def store_out(results: Any, targets: Sequence[Tensor]) -> None:
    """Writes computed results into ``out=`` tensors."""
    for t, result in zip(
        targets, results if isinstance(results, tuple) else (results,), strict=True
    ):
        have, want = t._meta, result._meta
        if not dtypes.can_cast(want.dtype, have.dtype):
            raise RuntimeError(
                f"result type {want.dtype.title} can't be cast to the desired output type "
                f"{have.dtype.title}"
            )
        views.check_write(t, False)
        if have.shape != want.shape:
            resize_out(t, want)
        if t._meta.device is CPU:
            _store(t, memory_of(result))
        t._counter.value += 1


def resize_out(t: Tensor, want: Meta) -> None:
    """Gives an ``out=`` tensor the result's shape; PyTorch warns unless it was empty."""
    if t._meta.numel:
        import warnings

        warnings.warn(
            f"An output with one or more elements was resized since it had shape "
            f"{list(t._meta.shape)}, which does not match the required output shape "
            f"{list(want.shape)}. This behavior is deprecated, and in a future PyTorch release "
            "outputs will not be resized unless they have zero elements. You can explicitly reuse "
            "an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
            UserWarning,
            stacklevel=5,
        )
    set_geometry(t, meta(want.shape, t._meta.dtype, want.strides, t._meta.device))


def set_geometry(t: Tensor, m: Meta) -> None:
    """Gives a tensor a new shape in place, growing its storage if needed."""
    need = _extent(m) + t._offset * m.dtype.itemsize
    if need > t._storage.length:
        t._storage.resize(need)
    t._meta = m
    changed(t)
    t._array = None


EAGER[None] = _call_now
EAGER[WRITE] = _write_now
