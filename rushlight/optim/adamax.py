"""Adamax, Adam with the infinity norm (Kingma & Ba 2015, section 7).

In: a parameter, its gradient, its first moment and its largest gradient.  Out: all changed in
place, in the order of PyTorch's CPU step for one tensor (`torch.optim.adamax`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rushlight as rl
from rushlight.optim.optimizer import (
    Group,
    ParamsT,
    RuleOptimizer,
    check_betas,
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

__all__ = ["Adamax"]


def adamax_rule(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_inf: Tensor,
    *,
    step: Any,
    lr: Any,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """One update of one parameter; `step` is a number, or a tensor in recorded steps.

    m = lerp(m, g, 1 - beta1);  u = max(beta2 * u, |g| + eps);  p -= lr / (1 - beta1^t) * m / u
    """
    exp_avg.lerp_(grad, 1 - beta1)
    exp_inf.copy_(rl.maximum(exp_inf.mul_(beta2), grad.abs().add_(eps)))
    if isinstance(step, rl.Tensor):
        param.addcdiv_(exp_avg, exp_inf * (beta1**step - 1).div_(lr))
    else:
        param.addcdiv_(exp_avg, exp_inf, value=-number(lr / (1 - beta1**step)))


class Adamax(RuleOptimizer):
    """Adamax: Adam with the largest decayed gradient in place of the root mean square.

    Args:
        params: tensors, named tensors, or groups (dictionaries) of them.
        lr: learning rate, a number or a one-element tensor (default 2e-3).
        betas: factors of the running average and of the norm (default (0.9, 0.999)).
        eps: added to the gradient's magnitude (default 1e-8).
        weight_decay: L2 penalty (default 0).
        foreach: accepted for PyTorch's sake; the result is the same (default None).
        maximize: climb instead of descend (default False).
        differentiable: let gradients flow through the step (default False).
        capturable: keep counters on the device so that a step can be recorded (default False).

    Raises:
        ValueError: a hyper-parameter outside its range.

    Source: Kingma, Ba, Adam: A method for stochastic optimization, ICLR 2015.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
        >>> optimizer = rl.optim.Adamax([weight], lr=0.1)
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([0.9000, 1.9000])
    """

    _DEFAULTS = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("epsilon value", eps)
        check_betas(betas)
        check_not_negative("weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        state = self.state[param]
        if not state:
            state["step"] = new_counter(param, group)
            state["exp_avg"] = zeros_like(param)
            state["exp_inf"] = zeros_like(param)
        step_t = state["step"]
        if group["capturable"]:
            check_capturable("params and state_steps", param, step_t)
        step_t += 1
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            grad = grad.add(param, alpha=group["weight_decay"])
        tensors: Any = (param, grad, state["exp_avg"], state["exp_inf"])
        if param.dtype.is_complex:
            tensors = (rl.view_as_real(tensor) for tensor in tensors)
        beta1, beta2 = group["betas"]
        adamax_rule(
            *tensors,
            step=step_t if group["capturable"] else step_t.item(),
            lr=scalar(group["lr"]),
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
        )
