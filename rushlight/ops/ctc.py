"""Connectionist temporal classification: the loss of unaligned label sequences, and its gradient.

With l' the targets with blanks between and around them (2 L + 1 symbols), alpha(t, s) is the
probability of all ways to have reached symbol s at time t, beta(t, s) of all ways to go on from it.
All arithmetic is on logarithms.  Source: Graves et al. 2006.

Shapes: log_probs (T, N, C), targets (N, L); losses (N).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ops.build import no_derivative, unsupported

Ints = tuple[int, ...]


def _rule(
    lp: Meta, targets: Meta, input_lengths: Ints, target_lengths: Ints, blank: int, zero: bool
) -> Plan:
    if lp.dtype.name not in ("float32", "float64"):
        raise NotImplementedError(f"\"ctc_loss_cpu\" not implemented for '{lp.dtype.title}'")
    steps, n, _ = lp.shape
    alpha = meta((n, steps, 2 * targets.shape[1] + 1), lp.dtype, None, lp.device)
    return Plan([meta((n,), lp.dtype, None, lp.device), alpha])


def _symbols(targets: Any, blank: int) -> tuple[Any, Any]:
    """The targets with blanks, and where a symbol may follow the one two before it."""
    n, length = targets.shape
    symbols = np.full((n, 2 * length + 1), blank, np.int64)
    symbols[:, 1::2] = targets
    skip = np.zeros(symbols.shape, bool)
    skip[:, 2:] = (symbols[:, 2:] != blank) & (symbols[:, 2:] != symbols[:, :-2])
    return symbols, skip


def _log_add(*terms: Any) -> Any:
    total = terms[0]
    for t in terms[1:]:
        total = np.logaddexp(total, t)
    return total


def _shifted(values: Any, by: int) -> Any:
    """Values of the symbol ``by`` places before; minus infinity where there is none."""
    out = np.full_like(values, -np.inf)
    if by > 0:
        out[:, by:] = values[:, :-by]
    else:
        out[:, :by] = values[:, -by:]
    return out


def _forward(
    lp: Any, targets: Any, input_lengths: Ints, target_lengths: Ints, blank: int, zero: bool
) -> Any:
    steps, n, _ = lp.shape
    symbols, skip = _symbols(targets, blank)
    emitted = np.take_along_axis(lp.transpose(1, 0, 2), symbols[:, None, :].repeat(steps, 1), 2)
    alpha = np.full((n, steps, symbols.shape[1]), -np.inf, lp.dtype)
    lengths, labels = np.asarray(input_lengths), np.asarray(target_lengths)
    if steps:
        alpha[:, 0, :1] = emitted[:, 0, :1]
        if symbols.shape[1] > 1:
            alpha[:, 0, 1] = np.where(labels > 0, emitted[:, 0, 1], -np.inf)
    for t in range(1, steps):
        before = alpha[:, t - 1]
        jump = np.where(skip, _shifted(before, 2), -np.inf)
        alpha[:, t] = _log_add(before, _shifted(before, 1), jump) + emitted[:, t]
    rows = np.arange(n)
    last = 2 * labels
    at = np.maximum(lengths - 1, 0)
    end = alpha[rows, at, last] if steps else np.full(n, -np.inf, lp.dtype)
    other = (
        np.where(labels > 0, alpha[rows, at, np.maximum(last - 1, 0)], -np.inf) if steps else end
    )
    loss = -np.logaddexp(end, other)
    # a sequence of no steps fits only an empty target
    loss = np.where(lengths == 0, np.where(labels == 0, 0, np.inf), loss)
    return loss.astype(lp.dtype), alpha


def _betas(emitted: Any, skip: Any, lengths: Any, labels: Any) -> Any:
    n, steps, width = emitted.shape
    beta = np.full(emitted.shape, -np.inf, emitted.dtype)
    ahead = np.zeros_like(skip)
    ahead[:, :-2] = skip[:, 2:]
    rows = np.arange(n)
    places = np.arange(width)[None]
    final = (places == 2 * labels[:, None]) | (
        (places == 2 * labels[:, None] - 1) & (labels[:, None] > 0)
    )
    for t in range(steps - 1, -1, -1):
        value = np.full((n, width), -np.inf, emitted.dtype)
        if t + 1 < steps:
            after = beta[:, t + 1]
            jump = np.where(ahead, _shifted(after, -2), -np.inf)
            value = _log_add(after, _shifted(after, -1), jump)
        starts = np.where(final, 0, -np.inf)
        value = np.where((lengths - 1 == t)[:, None], starts, value)
        value = np.where((lengths - 1 < t)[:, None], -np.inf, value)
        beta[rows, t] = value + emitted[:, t]
    return beta


def _gradient_rule(g: Meta, lp: Meta, *how: Any) -> Plan:
    if lp.dtype.kind != "f":
        raise unsupported("ctc_loss_backward_cpu", lp.dtype)
    return Plan(lp.like())


def _gradient(
    g: Any,
    lp: Any,
    targets: Any,
    loss: Any,
    alpha: Any,
    input_lengths: Ints,
    target_lengths: Ints,
    blank: int,
    zero: bool,
) -> Any:
    """``g (exp lp - sum over symbols of alpha beta / (p exp lp))``, within each input's length.

    The first term belongs to the softmax under the probabilities; PyTorch includes it.
    """
    steps, n, classes = lp.shape
    symbols, skip = _symbols(targets, blank)
    lengths, labels = np.asarray(input_lengths), np.asarray(target_lengths)
    rows = lp.transpose(1, 0, 2)
    emitted = np.take_along_axis(rows, symbols[:, None, :].repeat(steps, 1), 2)
    both = alpha + _betas(emitted, skip, lengths, labels)
    past = np.arange(symbols.shape[1])[None] > 2 * labels[:, None]
    both = np.where(past[:, None], -np.inf, both)
    together = np.full((n, steps, classes), -np.inf, lp.dtype)
    places = np.arange(n)
    for s in range(symbols.shape[1]):
        c = symbols[:, s]
        together[places, :, c] = np.logaddexp(together[places, :, c], both[:, :, s])
    share = np.exp(together + loss[:, None, None] - rows)
    grad = (np.exp(rows) - share) * g[:, None, None]
    inside = np.arange(steps)[None] < lengths[:, None]
    grad = np.where(inside[..., None], grad, 0)
    if zero:
        grad = np.where(np.isinf(loss)[:, None, None], 0, grad)
    return grad.transpose(1, 0, 2)


def _backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, *how: Any) -> Any:
    return o.ctc_gradient(g[0], *inputs, *outputs, *how), None


ctc_loss = Op(
    "ctc_loss",
    kind="scan",
    inputs=("log_probs", "targets"),
    attrs=("input_lengths", "target_lengths", "blank", "zero_infinity"),
    rule=_rule,
    kernel=_forward,
    backward=_backward,
    keeps_inputs=(0, 1),
    keeps_outputs=(0, 1),
    node="CtcLossBackward0",
)
ctc_gradient = Op(
    "ctc_gradient",
    kind="scan",
    inputs=("grad_output", "log_probs", "targets", "loss", "alpha"),
    attrs=("input_lengths", "target_lengths", "blank", "zero_infinity"),
    rule=_gradient_rule,
    kernel=_gradient,
    grads=(no_derivative("_ctc_loss_backward"),) * 5,
)
