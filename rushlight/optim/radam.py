"""RAdam, Adam with a rectified variance (Liu et al. 2020).

In: a parameter, its gradient, its moments and its step.  Out: parameter and moments changed in
place, in the order of PyTorch's CPU step for one tensor (`torch.optim.radam`).
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
    scalar,
    zeros_like,
)

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["RAdam"]


def radam_rule(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    *,
    step: Any,
    lr: Any,
    beta1: float,
    beta2: float,
    eps: float,
    differentiable: bool,
) -> None:
    """One update of one parameter; `step` is a number, or a tensor in recorded steps.

    m, v as in Adam;  r_inf = 2 / (1 - beta2) - 1;  r = r_inf - 2 t beta2^t / (1 - beta2^t)
    p -= lr * m / (1 - beta1^t) * (a where r > 5, else 1)
    a = sqrt(1 - beta2^t) / (sqrt(v) + eps) * sqrt((r-4)(r-2) r_inf / ((r_inf-4)(r_inf-2) r))
    """
    exp_avg.lerp_(grad, 1 - beta1)
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    correction2 = 1 - beta2**step
    moment = exp_avg / (1 - beta1**step)
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * step * (beta2**step) / correction2

    def rectification() -> Any:
        top = (rho - 4) * (rho - 2) * rho_inf
        return (top / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5

    def adaptive_lr() -> Any:
        root = exp_avg_sq.sqrt()
        root = root.add(eps) if differentiable else root.add_(eps)
        return (correction2**0.5) / root

    if isinstance(step, rl.Tensor):
        update = rl.where(rho > 5.0, rectification() * adaptive_lr(), 1.0)
        param.add_(moment * lr * update, alpha=-1.0)
    elif rho > 5.0:
        param.add_(moment * lr * adaptive_lr() * rectification(), alpha=-1.0)
    else:
        param.add_(moment * lr, alpha=-1.0)


class RAdam(RuleOptimizer):
    """RAdam: Adam that waits with its adaptive step until the variance can be trusted.

    Args:
        params: tensors, named tensors, or groups (dictionaries) of them.
        lr: learning rate, a number or a one-element tensor (default 1e-3).
        betas: factors of the running averages of gradient and square (default (0.9, 0.999)).
        eps: added to the denominator (default 1e-8).
        weight_decay: L2 penalty (default 0).
        decoupled_weight_decay: shrink parameters as AdamW does (default False).
        foreach: accepted for PyTorch's sake; the result is the same (default None).
        maximize: climb instead of descend (default False).
        capturable: keep counters on the device so that a step can be recorded (default False).
        differentiable: let gradients flow through the step (default False).

    Raises:
        ValueError: a hyper-parameter outside its range.

    Source: Liu et al., On the variance of the adaptive learning rate and beyond, ICLR 2020.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
        >>> optimizer = rl.optim.RAdam([weight], lr=0.1)
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([0.8000, 1.6000])
    """

    _DEFAULTS = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        state = self.state[param]
        if not state:
            state["step"] = new_counter(param, group)
            state["exp_avg"] = zeros_like(param)
            state["exp_avg_sq"] = zeros_like(param)
        if group["maximize"]:
            grad = -grad
        step_t, lr = state["step"], scalar(group["lr"])
        if group["capturable"]:
            check_capturable("params and state_steps", param, step_t)
        tensors: Any = (param, grad, state["exp_avg"], state["exp_avg_sq"])
        if param.dtype.is_complex:
            tensors = tuple(rl.view_as_real(tensor) for tensor in tensors)
        param, grad, exp_avg, exp_avg_sq = tensors
        step_t += 1
        if group["weight_decay"] != 0:
            if group["decoupled_weight_decay"]:
                param.mul_(1 - lr * group["weight_decay"])
            else:
                grad = grad.add(param, alpha=group["weight_decay"])
        beta1, beta2 = group["betas"]
        radam_rule(
            param, grad, exp_avg, exp_avg_sq,
            step=step_t if group["capturable"] else step_t.item(), lr=lr, beta1=beta1,
            beta2=beta2, eps=group["eps"], differentiable=group["differentiable"],
        )  # fmt: skip
