"""Adadelta (Zeiler 2012).

In: a parameter, its gradient and its running averages of squares (of gradients, of updates).
Out: all changed in place, in the order of PyTorch's CPU step for one tensor
(`torch.optim.adadelta`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rushlight as rl
from rushlight.optim.optimizer import (
    Group,
    ParamsT,
    RuleOptimizer,
    check_capturable,
    check_lr,
    check_not_negative,
    new_counter,
    number,
    scalar,
    zeros_like,
)

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["Adadelta"]


def adadelta_rule(
    grad: Tensor,
    square_avg: Tensor,
    acc_delta: Tensor,
    *,
    rho: float,
    eps: float,
    differentiable: bool,
) -> Any:
    """The update of one parameter, which goes `lr` times against it.

    v = rho * v + (1 - rho) * g^2;  u = g * sqrt(a + eps) / sqrt(v + eps)
    a = rho * a + (1 - rho) * u^2
    """
    square_avg.mul_(rho).addcmul_(grad, grad, value=1 - rho)
    root = square_avg.add(eps).sqrt_()
    delta = acc_delta.add(eps).sqrt_()
    if differentiable:
        delta = delta.clone()
    delta.div_(root).mul_(grad)
    acc_delta.mul_(rho).addcmul_(delta, delta, value=1 - rho)
    return delta


class Adadelta(RuleOptimizer):
    """Adadelta: steps in the units of the parameter, from two running averages.

    Args:
        params: tensors, named tensors, or groups (dictionaries) of them.
        lr: factor of the update, a number or a one-element tensor (default 1.0).
        rho: factor of the running averages (default 0.9).
        eps: added inside the roots (default 1e-6).
        weight_decay: L2 penalty (default 0).
        foreach: accepted for PyTorch's sake; the result is the same (default None).
        capturable: keep counters on the device so that a step can be recorded (default False).
        maximize: climb instead of descend (default False).
        differentiable: let gradients flow through the step (default False).

    Raises:
        ValueError: a hyper-parameter outside its range.

    Source: Zeiler, ADADELTA: An adaptive learning rate method, 2012.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
        >>> optimizer = rl.optim.Adadelta([weight])
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([0.9968, 1.9968])
    """

    _DEFAULTS = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_not_negative("epsilon value", eps)
        check_not_negative("weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        state = self.state[param]
        if not state:
            state["step"] = new_counter(param, group)
            state["square_avg"] = zeros_like(param)
            state["acc_delta"] = zeros_like(param)
        if group["capturable"]:
            check_capturable("params and state_steps", param, state["step"])
        state["step"] += 1
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            grad = grad.add(param, alpha=group["weight_decay"])
        tensors: Any = (grad, state["square_avg"], state["acc_delta"])
        if param.dtype.is_complex:
            tensors = (rl.view_as_real(tensor) for tensor in tensors)
        delta = adadelta_rule(
            *tensors, rho=group["rho"], eps=group["eps"], differentiable=group["differentiable"]
        )
        if param.dtype.is_complex:
            delta = rl.view_as_complex(delta)
        param.add_(delta, alpha=-number(scalar(group["lr"])))
