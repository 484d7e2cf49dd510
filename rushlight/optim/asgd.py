"""Averaged stochastic gradient descent (Polyak & Juditsky 1992).

In: a parameter, its gradient, its average and the rates of the step.  Out: parameter, average and
rates changed in place, in the order of PyTorch's CPU step for one tensor (`torch.optim.asgd`).
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
    check_not_negative,
    counter_dtype,
    number,
    scalar,
    zeros_like,
)

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["ASGD"]


def asgd_rule(
    param: Tensor, grad: Tensor, average: Tensor, *, lambd: float, eta: float, mu: float
) -> None:
    """One update of one parameter: p = (1 - lambd * eta) * p - eta * g;  a += mu * (p - a)."""
    param.mul_(1 - lambd * eta)
    param.add_(grad, alpha=-eta)
    if mu != 1:
        average.add_(param.sub(average).mul_(mu))
    else:
        average.copy_(param)


def asgd_rule_tensor_rates(
    param: Tensor, grad: Tensor, average: Tensor, *, lambd: float, eta: Tensor, mu: Tensor
) -> None:
    """The same update with tensor rates, for recorded steps."""
    param.mul_(1 - lambd * eta)
    param.addcmul_(grad, eta, value=-1)
    average.add_(param.sub(average).mul_(mu))


class ASGD(RuleOptimizer):
    """Averaged SGD; the average of the parameters so far is `state[param]["ax"]`.

    Args:
        params: tensors, named tensors, or groups (dictionaries) of them.
        lr: learning rate, a number or a one-element tensor (default 1e-2).
        lambd: decay of the parameters (default 1e-4).
        alpha: power of the decay of the rate (default 0.75).
        t0: the step at which averaging starts (default 1e6).
        weight_decay: L2 penalty (default 0).
        foreach: accepted for PyTorch's sake; the result is the same (default None).
        maximize: climb instead of descend (default False).
        differentiable: let gradients flow through the step (default False).
        capturable: keep counters on the device so that a step can be recorded (default False).

    Raises:
        ValueError: a negative `lr` or `weight_decay`.

    Source: Polyak, Juditsky, Acceleration of stochastic approximation by averaging, 1992.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
        >>> optimizer = rl.optim.ASGD([weight], lr=0.1, lambd=0.0)
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([0.8000, 1.6000])
    """

    _DEFAULTS = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _restore_counters(self, param: Tensor, state: State, group: Group) -> None:
        for key in ("step", "eta", "mu"):
            if not isinstance(state[key], rl.Tensor):
                state[key] = _rate(param, float(state[key]))

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        state, lr = self.state[param], scalar(group["lr"])
        if not state:
            state["step"] = _rate(param, 0.0)
            state["eta"] = _rate(param, number(lr))
            state["mu"] = _rate(param, 1.0)
            state["ax"] = zeros_like(param)
        if group["maximize"]:
            grad = -grad
        step_t, eta, mu = state["step"], state["eta"], state["mu"]
        if group["capturable"]:
            check_capturable("params, mus, etas, and state_steps", param, mu, eta, step_t)
        average = state["ax"]
        if param.dtype.is_complex:
            param, grad, average = (rl.view_as_real(t) for t in (param, grad, average))
        step_t += 1
        if group["weight_decay"] != 0:
            grad = grad.add(param, alpha=group["weight_decay"])
        lambd, alpha, t0 = group["lambd"], group["alpha"], group["t0"]
        if group["capturable"]:
            asgd_rule_tensor_rates(param, grad, average, lambd=lambd, eta=eta, mu=mu)
            eta.copy_(lr / ((1 + lambd * lr * step_t) ** alpha))
            mu.copy_(1 / rl.maximum(step_t - t0, rl.ones_like(step_t)))
            return
        asgd_rule(param, grad, average, lambd=lambd, eta=eta.item(), mu=mu.item())
        step = step_t.item()
        eta.fill_(number(lr / ((1 + lambd * lr * step) ** alpha)))
        mu.fill_(1 / max(1, step - t0))


def _rate(param: Tensor, value: Any) -> Any:
    """A one-number tensor beside the parameter."""
    return rl.full((), value, dtype=counter_dtype(), device=param.device)
