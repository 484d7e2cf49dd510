"""Trading computation for memory: `torch.utils.checkpoint`.

A checkpointed function saves only its inputs in the forward pass; the backward pass runs it again.
In: a function and its arguments.  Out: its results, in the graph.  Source: T. Chen, B. Xu, C. Zhang
and C. Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016 (arXiv:1604.06174).
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import rushlight as rl
from rushlight.autograd.function import Function
from rushlight.autograd.graph import saved_tensors_hooks

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "noop_context_fn",
]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


class CheckpointError(RuntimeError):
    """The function did not do the same when it was run again."""


def noop_context_fn() -> Contexts:
    """Two contexts that do nothing, for the forward pass and for running again."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs, with tensors taken out of the graph; they require grad as they did."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            "Only tuple of tensors is supported. Got Unsupported input type: ",
            type(inputs).__name__,
        )
    return tuple(
        [
            x.detach().requires_grad_(x.requires_grad) if isinstance(x, rl.Tensor) else x
            for x in inputs
        ]
    )


class _Replay:
    """The modes and the random state under which a function ran first."""

    def __init__(self, preserve: bool) -> None:
        self.random = rl.get_rng_state() if preserve else None
        self.grad = rl.is_grad_enabled()

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        """Context in which everything is as it was then; afterwards as before."""
        before = rl.get_rng_state() if self.random is not None else None
        if self.random is not None:
            rl.set_rng_state(self.random)
        try:
            yield
        finally:
            if before is not None:
                rl.set_rng_state(before)


class CheckpointFunction(Function):
    """The re-entrant form: an operator whose backward runs a backward pass of its own."""

    @staticmethod
    def forward(ctx: Any, run_function: Any, preserve: bool, *args: Any) -> Any:
        """Runs the function without recording and keeps its arguments."""
        ctx.run_function = run_function
        ctx.replay = _Replay(preserve)
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, rl.Tensor)]
        ctx.inputs = [None if isinstance(a, rl.Tensor) else a for a in args]
        ctx.save_for_backward(*[args[i] for i in ctx.places])
        with rl.no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Runs the function again, recorded, and differentiates it."""
        inputs = list(ctx.inputs)
        for place, t in zip(ctx.places, ctx.saved_tensors, strict=True):
            inputs[place] = t
        detached = detach_variable(tuple(inputs))
        with rl.enable_grad(), ctx.replay.again():
            outputs = ctx.run_function(*detached)
        if isinstance(outputs, rl.Tensor):
            outputs = (outputs,)
        pairs = [
            (y, g)
            for y, g in zip(outputs, grads, strict=True)
            if isinstance(y, rl.Tensor) and y.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        rl.autograd.backward([y for y, _ in pairs], [g for _, g in pairs])
        return (None, None, *[x.grad if isinstance(x, rl.Tensor) else None for x in detached])


class _Inputs(Function):
    """Keeps the arguments of a checkpointed call, with the versions that they have."""

    @staticmethod
    def forward(ctx: Any, _none: Any, *tensors: Any) -> Any:
        ctx.save_for_backward(*tensors)
        return rl.empty(0)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise AssertionError("nobody differentiates this")


class _Slot:
    """Stands in the graph for a tensor that is not kept."""

    __slots__ = ("__weakref__",)


class _Frame:
    """One checkpointed call of the non-reentrant form: what it would save, and how to get it back.

    Each tensor that the function saves is replaced by a slot. When the first of them is asked for,
    the function runs again and its saved tensors fill the slots in the same order.
    """

    def __init__(
        self, run: Callable[[], Any], replay: _Replay, context: Any, check: bool, early_stop: bool
    ) -> None:
        self.run = run
        self.replay = replay
        self.context = context
        self.check = check
        self.early_stop = early_stop
        self.slots: list[weakref.ref[_Slot]] = []
        self.metas: list[tuple[Any, Any, Any]] = []
        self.values: weakref.WeakKeyDictionary[_Slot, Any] = weakref.WeakKeyDictionary()

    def pack(self, t: Any) -> _Slot:
        """Takes a tensor's place."""
        slot = _Slot()
        self.slots.append(weakref.ref(slot))
        self.metas.append((t.shape, t.dtype, t.device))
        return slot

    def unpack(self, slot: _Slot) -> Any:
        """The tensor of a slot, computed again if needed."""
        if slot not in self.values:
            self._recompute()
        if slot not in self.values:
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation."
            )
        return self.values.pop(slot)

    def _recompute(self) -> None:
        count = 0

        def pack(t: Any) -> Any:
            nonlocal count
            at, count = count, count + 1
            if at < len(self.slots):
                self._compare(at, t)
                slot = self.slots[at]()
                if slot is not None:
                    self.values[slot] = t.detach()
            elif self.check:
                raise CheckpointError(
                    "torch.utils.checkpoint: A different number of tensors was saved during the "
                    "original forward and recomputation."
                )
            if self.early_stop and count == len(self.slots):
                raise _Enough
            return t

        with (
            contextlib.suppress(_Enough),
            rl.set_grad_enabled(self.replay.grad),
            self.replay.again(),
            self.context,
            saved_tensors_hooks(pack, lambda t: t),
        ):
            self.run()

    def _compare(self, at: int, t: Any) -> None:
        if self.check and self.metas[at] != (t.shape, t.dtype, t.device):
            shape, dtype, device = self.metas[at]
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have "
                "different metadata than during the forward pass.\n"
                f"tensor at position {at}:\n"
                f"saved metadata: {{'shape': {shape}, 'dtype': {dtype}, 'device': {device!r}}}\n"
                f"recomputed metadata: {{'shape': {t.shape}, 'dtype': {t.dtype}, "
                f"'device': {t.device!r}}}"
            )


class _Enough(Exception):
    """All that was asked for has been computed."""


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Runs a function without keeping what its gradient needs; the backward pass runs it again.

    Args:
        function: computes the results from the arguments; must do the same each time.
        use_reentrant: the older form, which needs a positional tensor that requires grad and no
            keyword arguments; False is the form to use. Say which.
        context_fn: gives two contexts, for the first run and for running again.
        determinism_check: ``"default"`` compares shapes, dtypes and devices of what both runs
            save, ``"none"`` does not.
        early_stop: running again stops as soon as all saved tensors are there.
        preserve_rng_state: draw the same random numbers again (True by default).

    Returns:
        what the function returns.

    Raises:
        ValueError: unexpected keyword arguments in the re-entrant form.
        CheckpointError: the two runs differed.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> y = torch.utils.checkpoint.checkpoint(torch.exp, x, use_reentrant=False)
        >>> y.sum().backward()
        >>> x.grad
        tensor([2.7183, 7.3891])
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
            "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an "
            "exception. use_reentrant=False is recommended, but if you need to preserve the "
            "current default behavior, you can pass use_reentrant=True. Refer to docs for more "
            "details on the differences between the two variants.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs and use_reentrant:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if use_reentrant:
        if context_fn is not noop_context_fn or debug:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        if rl.is_grad_enabled() and not any(
            isinstance(a, rl.Tensor) and a.requires_grad for a in args
        ):
            warnings.warn(
                "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
            )
        return CheckpointFunction.apply(function, preserve, *args)
    first, second = context_fn()
    if not rl.is_grad_enabled():
        with first:
            return function(*args, **kwargs)
    places = [i for i, a in enumerate(args) if isinstance(a, rl.Tensor)]
    kept = _Inputs.apply(rl.empty(0, requires_grad=True), *[args[i] for i in places]).grad_fn
    others = [None if i in places else a for i, a in enumerate(args)]

    def again() -> Any:
        given = list(others)
        for i, t in zip(places, kept.saved_tensors, strict=True):  # it asks for their versions
            given[i] = t
        return function(*given, **kwargs)

    frame = _Frame(
        again,
        _Replay(preserve),
        second,
        determinism_check != "none",
        early_stop,
    )
    with saved_tensors_hooks(frame.pack, frame.unpack), first:
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Runs a sequence of modules in segments, each but the last a checkpoint.

    Args:
        functions: a Sequential, or modules to be called one after the other.
        segments: how many parts to cut the sequence into.
        input: what the first module gets.

    Example:
        >>> import rushlight as torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
        >>> x = torch.ones(1, 2)
        >>> torch.utils.checkpoint.checkpoint_sequential(net, 2, x, use_reentrant=False).shape
        torch.Size([1, 2])
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be "
            "passed explicitly. In version 2.9 we will raise an exception if use_reentrant is not "
            "passed. use_reentrant=False is recommended, but if you need to preserve the current "
            "default behavior, you can pass use_reentrant=True. Refer to docs for more details on "
            "the differences between the two variants.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    modules: Sequence[Any] = (
        list(functions.children()) if isinstance(functions, rl.nn.Sequential) else list(functions)
    )
    size = len(modules) // segments
    end = -1
    for start in range(0, size * (segments - 1), size):
        end = start + size - 1
        input = checkpoint(
            _chain(modules[start : end + 1]),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve,
        )
    return _chain(modules[end + 1 :])(input)


def _chain(modules: Sequence[Any]) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        for module in modules:
            value = module(value)
        return value

    return run
