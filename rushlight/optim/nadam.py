"""NAdam, Adam with Nesterov momentum (Dozat 2016).

In: a parameter, its gradient, its moments and the product of momentum factors.  Out: all changed
in place, in the order of PyTorch's CPU step for one tensor (`torch.optim.nadam`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rushlight as rl
from rushlight.optim.optimizer import (
    Group,
    ParamsT,
    RuleOptimizer,
    State,
    check_betas,
    check_capturable,
    check_lr,
    check_not_negative,
    counter_dtype,
    new_counter,
    number,
    scalar,
    zeros_like,
)

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["NAdam"]


def nadam_rule(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    mu_product: Tensor,
    *,
    step: Any,
    lr: Any,
    beta1: float,
    beta2: float,
    eps: float,
    momentum_decay: float,
    tensor_numbers: bool,
) -> None:
    """One update of one parameter; `tensor_numbers` in recorded and in differentiable steps.

    mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2);  M = mu_1 * ... * mu_t
    m = lerp(m, g, 1 - beta1);  v = beta2 * v + (1 - beta2) * g^2
    d = sqrt(v / (1 - beta2^t)) + eps
    p -= lr * (1 - mu_t) / (1 - M) * g / d + lr * mu_(t+1) / (1 - M * mu_(t+1)) * m / d
    """
    mu = beta1 * (1.0 - 0.5 * (0.96 ** (step * momentum_decay)))
    mu_next = beta1 * (1.0 - 0.5 * (0.96 ** ((step + 1) * momentum_decay)))
    mu_product *= mu
    exp_avg.lerp_(grad, 1 - beta1)
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    denominator = exp_avg_sq.div(1 - beta2**step).sqrt()
    if tensor_numbers:
        denominator = denominator.add(eps)
        after = mu_product * mu_next
        param.addcdiv_(grad * (-lr * (1.0 - mu) / (1.0 - mu_product)), denominator)
        param.addcdiv_(exp_avg * (-lr * mu_next / (1.0 - after)), denominator)
        return
    denominator.add_(eps)
    product = mu_product.item()
    param.addcdiv_(grad, denominator, value=number(-lr * (1.0 - mu) / (1.0 - product)))
    param.addcdiv_(exp_avg, denominator, value=number((-lr * mu_next) / (1.0 - product * mu_next)))


class NAdam(RuleOptimizer):
    """NAdam: Adam whose momentum looks one step ahead.

    Args:
        params: tensors, named tensors, or groups (dictionaries) of them.
        lr: learning rate, a number or a one-element tensor (default 2e-3).
        betas: factors of the running averages of gradient and square (default (0.9, 0.999)).
        eps: added to the denominator (default 1e-8).
        weight_decay: L2 penalty (default 0).
        momentum_decay: how the momentum factor grows (default 4e-3).
        decoupled_weight_decay: shrink parameters as AdamW does (default False).
        foreach: accepted for PyTorch's sake; the result is the same (default None).
        maximize: climb instead of descend (default False).
        capturable: keep counters on the device so that a step can be recorded (default False).
        differentiable: let gradients flow through the step (default False).

    Raises:
        ValueError: a hyper-parameter outside its range.

    Source: Dozat, Incorporating Nesterov momentum into Adam, ICLR workshop 2016.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
        >>> optimizer = rl.optim.NAdam([weight], lr=0.1)
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> bool((weight < rl.tensor([1.0, 2.0])).all())
        True
    """

    _DEFAULTS = {
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_not_negative("momentum_decay value", momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _restore_counters(self, param: Tensor, state: State, group: Group) -> None:
        super()._restore_counters(param, state, group)
        if not isinstance(state["mu_product"], rl.Tensor):
            state["mu_product"] = new_counter(param, group).fill_(float(state["mu_product"]))

    def _start(self, param: Tensor, state: State, group: Group) -> None:
        state["step"] = new_counter(param, group)
        place = {"device": param.device} if group["capturable"] else {}
        state["mu_product"] = rl.ones((), dtype=counter_dtype(), **place)
        state["exp_avg"] = zeros_like(param)
        state["exp_avg_sq"] = zeros_like(param)

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        state = self.state[param]
        if not state:
            self._start(param, state, group)
        if group["maximize"]:
            grad = -grad
        tensors: Any = (param, grad, state["exp_avg"], state["exp_avg_sq"])
        if param.dtype.is_complex:
            tensors = tuple(rl.view_as_real(tensor) for tensor in tensors)
        param, grad, exp_avg, exp_avg_sq = tensors
        step_t, mu_product, lr = state["step"], state["mu_product"], scalar(group["lr"])
        capturable = group["capturable"]
        if capturable:
            check_capturable("params, mu_products and state_steps", param, mu_product, step_t)
        step_t += 1
        if group["weight_decay"] != 0:
            if group["decoupled_weight_decay"]:
                param.mul_(1 - lr * group["weight_decay"])
            else:
                grad = grad.add(param, alpha=group["weight_decay"])
        beta1, beta2 = group["betas"]
        nadam_rule(
            param, grad, exp_avg, exp_avg_sq, mu_product,
            step=step_t if capturable else step_t.item(), lr=lr, beta1=beta1, beta2=beta2,
            eps=group["eps"], momentum_decay=group["momentum_decay"],
            tensor_numbers=group["differentiable"] or capturable,
        )  # fmt: skip
