"""Resilient backpropagation (Riedmiller & Braun 1993).

In: a parameter, its gradient, the previous gradient and the step sizes.  Out: all changed in
place, in the order of PyTorch's CPU step for one tensor (`torch.optim.rprop`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rushlight as rl
from rushlight.optim.optimizer import (
    Group,
    ParamsT,
    RuleOptimizer,
    State,
    check_capturable,
    check_lr,
    new_counter,
    number,
    scalar,
    zeros_like,
)

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["Rprop"]


def rprop_rule(
    param: Tensor,
    grad: Tensor,
    prev: Tensor,
    step_size: Tensor,
    *,
    etas: tuple[float, float],
    step_sizes: tuple[float, float],
    differentiable: bool,
) -> None:
    """One update of one parameter.

    s = sign(g * g_prev);  f = etaplus, etaminus or 1 as s is positive, negative or zero
    d = clamp(d * f, min, max);  g = 0 where s < 0;  p -= sign(g) * d;  g_prev = g
    """
    etaminus, etaplus = etas
    agreement = grad.mul(prev.clone() if differentiable else prev)
    agree, differ = agreement > 0, agreement < 0
    factor = rl.ones_like(agreement).masked_fill_(agree, etaplus).masked_fill_(differ, etaminus)
    step_size.mul_(factor).clamp_(*step_sizes)
    grad = grad.masked_fill(differ, 0)
    param.addcmul_(grad.sign(), step_size, value=-1)
    prev.copy_(grad)


class Rprop(RuleOptimizer):
    """Rprop: steps whose sizes follow the signs of gradients alone; for full batches.

    Args:
        params: tensors, named tensors, or groups (dictionaries) of them.
        lr: the first step size, a number or a one-element tensor (default 1e-2).
        etas: factors by which a step size shrinks and grows (default (0.5, 1.2)).
        step_sizes: smallest and largest step size (default (1e-6, 50)).
        capturable: keep counters on the device so that a step can be recorded (default False).
        foreach: accepted for PyTorch's sake; the result is the same (default None).
        maximize: climb instead of descend (default False).
        differentiable: let gradients flow through the step (default False).

    Raises:
        ValueError: a negative `lr`, or not 0 < etas[0] < 1 < etas[1].

    Source: Riedmiller, Braun, A direct adaptive method for faster backpropagation learning, 1993.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
        >>> optimizer = rl.optim.Rprop([weight], lr=0.1)
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([0.9000, 1.9000])
    """

    _DEFAULTS = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _start(self, param: Tensor, grad: Tensor, state: State, group: Group) -> None:
        state["step"] = new_counter(param, group)
        state["prev"] = zeros_like(param)
        lr = number(scalar(group["lr"]))
        # Real and imaginary parts are two numbers with a step size each.
        size = complex(lr, lr) if param.dtype.is_complex else lr
        state["step_size"] = rl.full_like(grad, size)

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        state = self.state[param]
        if not state:
            self._start(param, grad, state, group)
        if group["maximize"]:
            grad = -grad
        if group["capturable"]:
            check_capturable("params and state_steps", param, state["step"])
        state["step"] += 1
        tensors: Any = (param, grad, state["prev"], state["step_size"])
        if param.dtype.is_complex:
            tensors = (rl.view_as_real(tensor) for tensor in tensors)
        rprop_rule(
            *tensors,
            etas=group["etas"],
            step_sizes=group["step_sizes"],
            differentiable=group["differentiable"],
        )
