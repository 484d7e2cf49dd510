"""Batching rules: how an operator is computed for a whole batch at once.

In: a Call, with values whose first dimension is the batch where `has` says so.  Out: the results
for the batch, batch first.  A rule is found by the operator's name, else by its kind; an operator
without one is computed sample by sample, with PyTorch's warning.

Two ways to write a rule: on values (``@values``), or as a composition of other operators on the
tensors of one sample (``@composition``), which the mode then batches one by one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rushlight.dispatch import gate, modes
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.op import Op, Plan

__all__ = ["Call", "apply", "by_kind", "composition", "values"]

RULES: dict[str, Callable[[Call], Any]] = {}
KINDS: dict[str, Callable[[Call], Any]] = {}


class Call:
    """One call inside ``vmap``.

    Attributes:
        op, attrs, plan: the call and its plan, for one sample.
        values: the inputs, with the batch as first dimension where they have one.
        has: which inputs have a batch dimension.
        logical: the inputs as a sample sees them (Batched tensors outside the inner graph).
        size: the batch's size.
    """

    def __init__(
        self,
        mode: Any,
        op: Op,
        plan: Plan,
        values: list[Any],
        has: list[bool],
        logical: list[Any],
        attrs: tuple[Any, ...],
    ) -> None:
        self.mode = mode
        self.op = op
        self.plan = plan
        self.values = values
        self.has = has
        self.logical = logical
        self.attrs = attrs
        self.size: int = mode.size

    def ndim(self, i: int) -> int:
        """The dimensions of input i in one sample."""
        return self.logical[i]._meta.ndim  # type: ignore[no-any-return]

    def shape(self, i: int) -> tuple[int, ...]:
        """The shape of input i in one sample."""
        return tuple(self.logical[i]._meta.shape)

    def full(self, i: int) -> Any:
        """Input i with a batch dimension, expanded if it has none."""
        v = self.values[i]
        if self.has[i] or not isinstance(v, Tensor):
            return v
        return o.expand(o.unsqueeze(v, 0), (self.size, *v._meta.shape))

    def out(self, i: int = 0) -> tuple[int, ...]:
        """The shape of result i for the batch."""
        return (self.size, *self.plan.outs[i].shape)

    def shaped(self, results: Any) -> Any:
        """The results in the shapes that the plan says, a batch of them."""
        many = results if isinstance(results, tuple) else (results,)
        fixed = tuple(
            [
                r if tuple(r._meta.shape) == self.out(i) else o.reshape(r, self.out(i))
                for i, r in enumerate(many)
            ]
        )
        return fixed if isinstance(results, tuple) else fixed[0]


def values(*names: str) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Registers a rule on values for operators of these names."""

    def register(rule: Callable[[Call], Any]) -> Callable[[Call], Any]:
        for name in names:
            RULES[name] = rule
        return rule

    return register


def by_kind(*kinds: str) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Registers a rule on values for operators of these kinds that have none by name."""

    def register(rule: Callable[[Call], Any]) -> Callable[[Call], Any]:
        for kind in kinds:
            KINDS[kind] = rule
        return rule

    return register


def composition(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers ``f(*inputs, *attrs)``, written in operators on the tensors of one sample."""

    def register(f: Callable[..., Any]) -> Callable[..., Any]:
        def rule(c: Call) -> Any:
            return composed(c, f)

        for name in names:
            RULES[name] = rule
        return f

    return register


def composed(c: Call, f: Callable[..., Any]) -> Any:
    """The results of a composition, with a batch dimension each."""
    with modes.pushed(c.mode):
        made = f(*c.logical, *c.attrs)
    many = made if isinstance(made, tuple) else (made,)
    return tuple([whole(c, t) for t in many])


def whole(c: Call, t: Any) -> Any:
    """The value of a sample's tensor for the batch."""
    if c.mode._owns(t):
        if t._has_batch:
            return t._value
        t = t._value
    return o.expand(o.unsqueeze(t, 0), (c.size, *t._meta.shape))


def apply(c: Call) -> Any:
    """The results of a call for the whole batch."""
    rule = RULES.get(c.op.name) or KINDS.get(c.op.kind) or one_by_one
    return rule(c)


def one_by_one(c: Call) -> Any:
    """Each sample by itself, and the results stacked."""
    warnings.warn(
        "There is a performance drop because we have not yet implemented the batching rule for "
        f"aten::{c.op.name}. Please file us an issue on GitHub so that we can prioritize its "
        "implementation.",
        UserWarning,
        stacklevel=6,
    )
    rows = []
    for i in range(c.size):
        inputs = [o.select(v, 0, i) if h else v for v, h in zip(c.values, c.has, strict=True)]
        result = gate.call(c.op, tuple(inputs), c.attrs)
        rows.append(result if isinstance(result, tuple) else (result,))
    return tuple([o.stack(list(column), 0) for column in zip(*rows, strict=True)])


from rushlight.func.rules import contraction, indexing, loss, pointwise, window  # noqa: E402, F401
