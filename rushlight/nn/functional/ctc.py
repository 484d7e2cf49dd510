"""Connectionist temporal classification: the loss of a sequence against labels without alignment.

In: log-probabilities (T, N, C), labels and lengths.  Out: minus the log-probability of all the
alignments together.  Source: Graves et al., "Connectionist temporal classification", 2006, whose
forward and backward variables (equations 6 to 16) are computed in logarithms.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight.dispatch.tensor import Tensor
from rushlight.nn import _reduction as _Reduction

__all__ = ["ctc_loss"]

_NONE = float("-inf")


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """The CTC loss.

    Args:
        log_probs: (T, N, C) or (T, C), the output of log_softmax.
        targets: (N, S) padded labels, or all of them in one row.
        input_lengths: of the N inputs, at most T.
        target_lengths: of the N targets.
        blank: index of the blank label. Default: 0.
        reduction: `"mean"` divides each loss by its target's length and averages; `"sum"`,
            `"none"`.
        zero_infinity: losses of impossible alignments, and their gradients, are 0.

    Raises:
        RuntimeError: lengths or labels that do not fit.

    Example:
        >>> import rushlight as rl
        >>> log_probs = rl.full((2, 1, 2), 0.5).log()
        >>> rl.nn.functional.ctc_loss(log_probs, rl.tensor([[1]]), (2,), (1,))
        tensor(0.2877)
    """
    number = _Reduction.get_enum(reduction)
    is_batched = log_probs.dim() == 3
    if not is_batched:
        log_probs = log_probs.unsqueeze(1)
    steps, batch, classes = log_probs.shape
    times = _lengths(input_lengths)
    sizes = _lengths(target_lengths)
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    if len(times) != batch:
        raise RuntimeError("input_lengths must be of size batch_size")
    if len(sizes) != batch:
        raise RuntimeError("target_lengths must be of size batch_size")
    for time in times:
        if time > steps:
            raise RuntimeError(
                f"Expected input_lengths to have value at most {steps}, but got value {time} "
                "(while checking arguments for ctc_loss_cpu)"
            )
    labels = _padded(targets, sizes, is_batched).to(log_probs.device)
    loss = _function().apply(log_probs, labels, times, sizes, blank)
    if zero_infinity:
        loss = rl.where(loss == float("inf"), rl.zeros_like(loss), loss)
    if number == 1:
        weight = rl.tensor(sizes, dtype=loss.dtype, device=loss.device).clamp(min=1)
        return (loss / weight).mean()
    if number == 2:
        return loss.sum()
    return loss if is_batched else loss.squeeze(0)


def _lengths(lengths: Any) -> list[int]:
    if isinstance(lengths, Tensor):
        return [int(n) for n in lengths.reshape(-1).tolist()]
    return [int(n) for n in lengths]


def _padded(targets: Any, sizes: list[int], is_batched: bool) -> Any:
    """Labels as (N, S), int64."""
    targets = targets.to(rl.int64)
    if targets.dim() == 2 or not is_batched:
        rows = targets if targets.dim() == 2 else targets.unsqueeze(0)
        if sizes and max(sizes) > rows.size(1):
            raise RuntimeError(
                f"Expected tensor to have size at least {max(sizes)} at dimension 1, but got "
                f"size {list(rows.shape)} for argument #2 'targets' (while checking arguments "
                "for ctc_loss_cpu)"
            )
        return rows
    if sum(sizes) != targets.size(0):
        raise RuntimeError(
            f"Expected tensor to have size {sum(sizes)} at dimension 0, but got size "
            f"{targets.size(0)} for argument #2 'targets' (while checking arguments for "
            "ctc_loss_cpu)"
        )
    rows = targets.new_zeros((len(sizes), max(sizes, default=0)))
    start = 0
    for row, size in enumerate(sizes):
        rows[row, :size] = targets[start : start + size]
        start += size
    return rows


def _log_sum(*terms: Any) -> Any:
    """log(sum(exp(terms))), where -inf is the logarithm of nothing."""
    largest = terms[0]
    for term in terms[1:]:
        largest = rl.maximum(largest, term)
    base = largest.masked_fill(largest == _NONE, 0.0)
    return sum((term - base).exp() for term in terms).log() + base  # type: ignore[union-attr]


def _shifted(x: Any, by: int) -> Any:
    """States moved by `by` along dimension 1, -inf where nothing comes from."""
    none = rl.full_like(x[:, : abs(by)], _NONE)
    return rl.cat([none, x[:, :-by]], 1) if by > 0 else rl.cat([x[:, -by:], none], 1)


class _States:
    """The extended labels: a blank before, between and after the labels of each target."""

    def __init__(self, labels: Any, sizes: list[int], blank: int) -> None:
        batch, width = labels.shape
        self.ext = labels.new_full((batch, 2 * width + 1), blank)  # (N, 2S + 1)
        self.ext[:, 1::2] = labels
        # A step may jump over the blank between two different labels.
        jump = rl.zeros_like(self.ext, dtype=rl.bool)
        if width > 1:
            jump[:, 3::2] = labels[:, 1:] != labels[:, :-1]
        self.jump = jump
        last = rl.tensor(sizes, device=labels.device).unsqueeze(1) * 2
        place = rl.arange(2 * width + 1, device=labels.device).unsqueeze(0)
        self.ends = (place == last) | (place == last - 1)
        self.inside = place <= last
        self.starts = (place == 0) | ((place == 1) & (last > 0))

    def emitted(self, log_probs: Any, t: int) -> Any:
        """The log-probability of each state's label at step t."""
        return log_probs[t].gather(1, self.ext)


def _forward_variables(log_probs: Any, states: _States) -> Any:
    """alpha (T, N, 2S + 1): all beginnings that end in a state at a step."""
    emitted = states.emitted(log_probs, 0)
    alphas = [emitted.masked_fill(~states.starts, _NONE)]
    width = states.ext.size(1)
    for t in range(1, log_probs.size(0)):
        alpha = alphas[-1]
        terms = [alpha]
        if width > 1:
            terms.append(_shifted(alpha, 1))
            terms.append(_shifted(alpha, 2).masked_fill(~states.jump, _NONE))
        alphas.append(_log_sum(*terms) + states.emitted(log_probs, t))
    return rl.stack(alphas)


def _backward_variables(log_probs: Any, states: _States, times: Any) -> Any:
    """beta (T, N, 2S + 1): all ends that begin in a state at a step."""
    width = states.ext.size(1)
    beta = rl.full_like(states.emitted(log_probs, 0), _NONE)
    betas = []
    for t in range(log_probs.size(0) - 1, -1, -1):
        terms = [beta]
        if width > 1:
            terms.append(_shifted(beta, -1))
            leap = beta.masked_fill(~states.jump, _NONE)
            terms.append(_shifted(leap, -2))
        emitted = states.emitted(log_probs, t)
        moved = _log_sum(*terms) + emitted
        first = emitted.masked_fill(~states.ends, _NONE)
        beta = rl.where(times == t + 1, first, moved)
        beta = beta.masked_fill((times <= t) | ~states.inside, _NONE)
        betas.append(beta)
    betas.reverse()
    return rl.stack(betas)


_made: Any = None


def _function() -> Any:
    """The autograd function, made at first use."""
    global _made
    if _made is None:
        _made = _make_function()
    return _made


def _make_function() -> Any:
    from rushlight.autograd import Function

    class CtcLoss(Function):
        """Minus the log-probability of each target, with its gradient in closed form."""

        @staticmethod
        def forward(
            ctx: Any, log_probs: Any, labels: Any, times: Any, sizes: Any, blank: int
        ) -> Any:
            states = _States(labels, sizes, blank)
            alpha = _forward_variables(log_probs, states)
            length = rl.tensor(times, device=log_probs.device)
            rows = rl.arange(len(times), device=log_probs.device)
            final = alpha[(length - 1).clamp(min=0), rows]  # (N, 2S + 1)
            final = final.masked_fill(~states.ends, _NONE)
            loss = -_log_sum(*final.unbind(1))
            none_wanted = rl.tensor([n == 0 for n in sizes], device=log_probs.device)
            loss = rl.where(
                length == 0, rl.where(none_wanted, 0.0, float("inf")).to(loss.dtype), loss
            )
            ctx.states = states
            ctx.save_for_backward(log_probs, alpha, loss, length)
            return loss

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            """exp(lp) - sum over a label's states of exp(alpha + beta - lp + loss)"""
            log_probs, alpha, loss, length = ctx.saved_tensors
            states = ctx.states
            times = length.unsqueeze(1)
            beta = _backward_variables(log_probs, states, times)
            index = states.ext.unsqueeze(0).expand_as(alpha)
            emitted = log_probs.gather(2, index)
            log_share = alpha + beta - emitted + loss.unsqueeze(0).unsqueeze(2)
            share = log_share.masked_fill((alpha == _NONE) | (beta == _NONE), _NONE).exp()
            used = rl.zeros_like(log_probs).scatter_add(2, index, share)
            steps = rl.arange(log_probs.size(0), device=log_probs.device)
            alive = (steps.unsqueeze(1) < length.unsqueeze(0)).unsqueeze(2)
            result = (log_probs.exp() - used) * grad.unsqueeze(0).unsqueeze(2)
            # A gradient of exactly 0 (a loss that was set to zero) stays 0 beside infinities.
            dead = ~alive | (grad == 0).unsqueeze(0).unsqueeze(2)
            return result.masked_fill(dead, 0.0), None, None, None, None

    return CtcLoss
