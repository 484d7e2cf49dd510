"""The op record: everything rushlight knows about one operator, and the registry of records.

A record holds the rule that gives the result's Meta, the NumPy kernel that is the operator's living
definition, its gradient, how it is named and published, and sample inputs for the tests.  Its
*kind* decides how it is compiled.  ``docs/ARCHITECTURE.md`` shows how to add one.

Gradient rules.  ``grads`` holds one function an input (or None where there is none), called as

    grad(o, g, *inputs, output, *attrs)

with ``o`` the namespace of operators and ``g`` the gradient of the output.  A function may take
fewer parameters: it gets the first ones.  A parameter whose name starts with an underscore is given
only as a Meta (shape, dtype, strides) and its tensor is not kept alive.  An operator whose
gradients share work has instead ``backward(o, needs, g, inputs, outputs, *attrs)`` returning one
gradient an input, with ``keeps_inputs`` (perhaps a function of ``needs``) and ``keeps_outputs``
naming what it reads (the others are Metas).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rushlight.dtypes import dtype
from rushlight.ir.meta import Meta

__all__ = ["Op", "Plan", "View", "get", "names", "ops"]

KINDS = (
    "create",
    "random",
    "elementwise",
    "reduce",
    "movement",
    "contraction",
    "window",
    "indexing",
    "scan",
    "sort",
    "opaque",
)


class Plan:
    """What a rule decides for inputs of given Metas.

    Attributes:
        outs: the Metas of the results.
        single: whether the operator returns one tensor rather than a tuple.
        compute: the dtype to which tensor inputs are converted before the kernel, if any.
        offsets: for views, how far each result starts behind its base; otherwise None.
        node: the class of graph nodes, set when the first one is made.
    """

    __slots__ = ("compute", "node", "offsets", "outs", "single")

    def __init__(
        self,
        outs: Any,
        compute: dtype | None = None,
        offsets: tuple[int, ...] | None = None,
    ) -> None:
        self.single = isinstance(outs, Meta)
        self.outs: tuple[Meta, ...] = (outs,) if isinstance(outs, Meta) else tuple(outs)
        self.compute = compute
        self.offsets = offsets
        self.node: Any = None


class View:
    """What a movement rule returns: the view's Meta and its offset from the base, in elements."""

    __slots__ = ("meta", "offset")

    def __init__(self, meta: Meta, offset: int = 0) -> None:
        self.meta = meta
        self.offset = offset


_REGISTRY: dict[str, Op] = {}


class Op:
    """One operator.

    Args:
        name: its name, unique; PyTorch's where PyTorch has one.
        kind: one of KINDS.
        inputs: names of the tensor parameters; one name ``*tensors`` means any number.
        attrs: names of the static attributes, passed by position after the inputs.
        defaults: default values of the last attributes.
        rule: ``rule(*metas, *attrs)`` gives a Meta, a tuple of Metas, a Plan, or (movement) Views.
        kernel: ``kernel(*arrays, *attrs)`` computes the result with NumPy; absent for movement,
            which only re-reads memory.  Kernels of kind create and random take the result's Meta
            first; those of kind random return a flat array in memory order.
        grads, backward, keeps_inputs, keeps_outputs: the gradient, see the file's head.
        materialize: whether outputs that got no gradient are given as zeros rather than None.
        node: the name that ``grad_fn`` shows: text, or a function of (metas, attrs).
        chain: what its ``next_functions`` shows if that is not the inputs with a gradient rule: a
            tuple, or a function of (metas, attrs) that gives one, with an entry for each function:
            an input's index, None, or (name, *entries) for a node that PyTorch has in between.
        api: where it is published, for example ``"torch method inplace"``.
        doc: the public docstring.
        samples: a function that yields (inputs, attrs) for the tests, given a SampleMaker.
        domain: the interval from which the tests draw values.
        ufunc: a NumPy ufunc that does what the kernel does with default attributes, on numbers
            other than bool; writes in place use it without a temporary.
        single_pass: whether the kernel walks its operands once, without large temporaries, so that
            computing block by block gains nothing.
        whole: what the kernel does that the compiler cannot read, for records of other kinds than
            random, scan, sort and opaque: some of their calls, or all, run whole in a program.
    """

    __slots__ = (
        "_keeps",
        "api",
        "attrs",
        "backward",
        "chain",
        "defaults",
        "doc",
        "domain",
        "grads",
        "inputs",
        "keeps_inputs",
        "keeps_outputs",
        "kernel",
        "kind",
        "materialize",
        "name",
        "node",
        "public",
        "rule",
        "samples",
        "single_pass",
        "ufunc",
        "variadic",
        "whole",
    )

    def __init__(
        self,
        name: str,
        *,
        kind: str,
        inputs: Sequence[str] = ("input",),
        attrs: Sequence[str] = (),
        defaults: tuple[Any, ...] = (),
        rule: Callable[..., Any],
        kernel: Callable[..., Any] | None = None,
        grads: Sequence[Callable[..., Any] | None] | None = None,
        backward: Callable[..., Any] | None = None,
        keeps_inputs: tuple[int, ...] | Callable[[Any], tuple[int, ...]] = (),
        keeps_outputs: tuple[int, ...] = (),
        materialize: bool = True,
        node: str | Callable[..., str] | None = None,
        chain: tuple[Any, ...] | Callable[..., Any] | None = None,
        api: str = "",
        doc: str = "",
        samples: Callable[..., Any] | None = None,
        domain: tuple[float, float] = (-3.0, 3.0),
        ufunc: Any = None,
        single_pass: bool = False,
        whole: str = "",
    ) -> None:
        if name in _REGISTRY:
            raise ValueError(f"operator {name} has two records")
        if kind not in KINDS:
            raise ValueError(f"operator {name}: unknown kind {kind}")
        self.name = name
        self.kind = kind
        self.inputs = tuple(inputs)
        self.variadic = bool(inputs) and inputs[0].startswith("*")
        self.attrs = tuple(attrs)
        self.defaults = defaults
        self.rule = rule
        self.kernel = kernel
        self.grads = tuple(grads) if grads is not None else None
        self.backward = backward
        self.keeps_inputs = keeps_inputs
        self.keeps_outputs = keeps_outputs
        self.materialize = materialize
        self.node = node
        self.chain = chain
        self.api = api
        self.doc = doc
        self.samples = samples
        self.domain = domain
        self.ufunc = ufunc
        self.single_pass = single_pass or isinstance(kernel, np.ufunc)
        self.whole = whole
        self.public: Callable[..., Any] | None = None
        self._keeps: dict[Any, tuple[frozenset[int] | None, frozenset[int]]] = {}
        _REGISTRY[name] = self

    def __repr__(self) -> str:
        return f"Op({self.name})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (get, (self.name,))

    @property
    def differentiable(self) -> bool:
        """Whether a gradient rule exists."""
        return self.grads is not None or self.backward is not None

    def node_name(self, metas: tuple[Any, ...], attrs: tuple[Any, ...]) -> str:
        """The name of the graph node that ``grad_fn`` shows."""
        if self.node is None:
            parts = self.name.lstrip("_").split("_")
            return "".join(p[:1].upper() + p[1:] for p in parts) + "Backward0"
        return self.node if isinstance(self.node, str) else self.node(metas, attrs)

    def shown(self, metas: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        """The entries of ``next_functions``, see `chain`; None for all inputs."""
        if self.chain is not None:
            return self.chain(metas, attrs) if callable(self.chain) else self.chain
        if self.variadic:
            return None
        return tuple(
            [
                i
                for i, m in enumerate(metas)
                if not (m is not None and m.is_scalar)
                and (self.grads is None or self.grads[i] is not None)
            ]
        )

    def keeps(self, needs: tuple[bool, ...]) -> tuple[frozenset[int], frozenset[int]]:
        """Which inputs and outputs the gradient reads, if these inputs need one."""
        found = self._keeps.get(needs)
        if found is None:
            found = self._keeps[needs] = self._find_keeps(needs)
        return found  # type: ignore[return-value]

    def _find_keeps(self, needs: tuple[bool, ...]) -> tuple[frozenset[int], frozenset[int]]:
        if self.backward is not None:
            kept = self.keeps_inputs
            return frozenset(kept(needs) if callable(kept) else kept), frozenset(self.keeps_outputs)
        inputs: set[int] = set()
        outputs: set[int] = set()
        n = len(self.inputs)
        for need, grad in zip(needs, self.grads or (), strict=False):
            if not need or grad is None:
                continue
            code = grad.__code__
            for at, parameter in enumerate(code.co_varnames[2 : code.co_argcount]):
                if not parameter.startswith("_"):
                    if at < n:
                        inputs.add(at)
                    elif at == n:
                        outputs.add(0)
        return frozenset(inputs), frozenset(outputs)


def get(name: str) -> Op:
    """The record of this name."""
    return _REGISTRY[name]


def ops() -> Iterator[Op]:
    """All records."""
    return iter(_REGISTRY.values())


def names() -> Iterator[str]:
    """The names of all records."""
    return iter(_REGISTRY)
