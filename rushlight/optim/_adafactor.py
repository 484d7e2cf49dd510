"""Adafactor (Shazeer & Stern 2018), with factored second moments.

In: a parameter, its gradient, its row and column (or full) averages of squares.  Out: all changed
in place, in the order of PyTorch's step for one tensor (`torch.optim._adafactor`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rushlight as rl
from rushlight.optim.optimizer import (
    Group,
    ParamsT,
    RuleOptimizer,
    State,
    counter_dtype,
    number,
    scalar,
    zeros_like,
)

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["Adafactor"]


def second_moment(grad: Tensor, state: State, eps1: float, weight: float) -> Any:
    """Move the averages of g^2 by `weight` and return the estimate for every entry.

    Matrices: rows r and columns c are averaged alone; the estimate is r c / mean(r).
    """
    if grad.dim() <= 1:
        return state["variance"].lerp_(grad * grad, weight).clone()
    row_var, col_var = state["row_var"], state["col_var"]
    for average, dim in ((row_var, -1), (col_var, -2)):
        squares = rl.norm(grad, dim=dim, keepdim=True).square_().div_(grad.size(dim))
        average.lerp_(squares, weight)
    estimate = row_var @ col_var
    return estimate.div_(row_var.mean(dim=-2, keepdim=True).clamp_(min=eps1))


def adafactor_rule(
    param: Tensor,
    grad: Tensor,
    state: State,
    *,
    step: float,
    lr: Any,
    beta2_decay: float,
    weight_decay: float,
    eps: tuple[float | None, float],
    d: float,
) -> None:
    """One update of one parameter.

    a = max(eps2, rms(p)) * min(lr, 1 / sqrt(t));  u = g / sqrt(v);  p -= a * u / max(1, rms(u)/d)
    """
    eps1 = rl.finfo(param.dtype).eps if eps[0] is None else eps[0]
    rate = min(number(lr), 1 / (step**0.5))
    alpha = max(eps[1], param.norm(2).item() / (param.numel() ** 0.5)) * rate
    if weight_decay != 0:
        param.mul_(1 - lr * weight_decay)
    variance = second_moment(grad, state, eps1, step**beta2_decay)
    update = variance.clamp_(min=eps1 * eps1).rsqrt_()
    update.mul_(grad)
    denominator = max(1.0, update.norm(2).item() / ((update.numel() ** 0.5) * d))
    param.add_(update, alpha=-alpha / denominator)


class Adafactor(RuleOptimizer):
    """Adafactor: Adam's scaling with second moments kept as rows and columns.

    Args:
        params: real tensors, named tensors, or groups (dictionaries) of them.
        lr: upper bound of the relative step, a number or a one-element tensor (default 1e-2).
        beta2_decay: power of the step in the average's weight, at most 0 (default -0.8).
        eps: lower bounds of the second moment's root (None: the dtype's eps) and of the
            parameter's scale (default (None, 1e-3)).
        d: clipping threshold of the update, at least 1 (default 1.0).
        weight_decay: decoupled weight decay (default 0).
        foreach: accepted for PyTorch's sake; the result is the same (default None).
        maximize: climb instead of descend (default False).

    Raises:
        ValueError: a hyper-parameter outside its range.
        RuntimeError: a complex parameter, at the step.

    Source: Shazeer, Stern, Adafactor: Adaptive learning rates with sublinear memory cost, 2018.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.ones(2, 2))
        >>> optimizer = rl.optim.Adafactor([weight], lr=0.1)
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> bool((weight < 1).all())
        True
    """

    _DEFAULTS = {"foreach": None}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, rl.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _start(self, grad: Tensor, state: State) -> None:
        state["step"] = rl.zeros((), dtype=counter_dtype())
        if grad.dim() > 1:
            *rest, rows, columns = grad.shape
            state["row_var"] = grad.new_zeros([*rest, rows, 1])
            state["col_var"] = grad.new_zeros([*rest, 1, columns])
        else:
            state["variance"] = zeros_like(grad)

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        if param.dtype.is_complex:
            raise RuntimeError("Adafactor does not support complex parameters")
        state = self.state[param]
        if not state:
            self._start(grad, state)
        state["step"] += 1
        adafactor_rule(
            param,
            -grad if group["maximize"] else grad,
            state,
            step=state["step"].item(),
            lr=scalar(group["lr"]),
            beta2_decay=group["beta2_decay"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            d=group["d"],
        )
