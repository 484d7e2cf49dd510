"""RMSprop (Hinton's lecture 6, 2012), plain or centred (Graves 2013), with momentum or without.

In: a parameter, its gradient and its averages.  Out: all changed in place.  The order of
operations is that of PyTorch's CPU step for one tensor (`torch.optim.rmsprop`): eps is added
after the square root.
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
    new_counter,
    number,
    scalar,
    zeros_like,
)

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["RMSprop"]


def rmsprop_rule(
    param: Tensor,
    grad: Tensor,
    square_avg: Tensor,
    grad_avg: Tensor | None,
    buffer: Tensor | None,
    *,
    lr: Any,
    alpha: float,
    eps: float,
    momentum: float,
    differentiable: bool,
) -> None:
    """One update of one parameter; `grad_avg` only if centred, `buffer` only with momentum.

    v = alpha * v + (1 - alpha) * g^2;  a = lerp(a, g, 1 - alpha)
    d = sqrt(v - a^2) + eps;  b = momentum * b + g / d;  p -= lr * b
    """
    square_avg.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
    if grad_avg is not None:
        grad_avg.lerp_(grad, 1 - alpha)
        average = square_avg.addcmul(grad_avg, grad_avg, value=-1).sqrt_()
    else:
        average = square_avg.sqrt()
    average = average.add(eps) if differentiable else average.add_(eps)
    if buffer is not None:
        buffer.mul_(momentum).addcdiv_(grad, average)
        param.add_(buffer, alpha=-number(lr))
    else:
        param.addcdiv_(grad, average, value=-number(lr))


class RMSprop(RuleOptimizer):
    """RMSprop: the gradient divided by a running root mean square of itself.

    Args:
        params: tensors, named tensors, or groups (dictionaries) of them.
        lr: learning rate, a number or a one-element tensor (default 1e-2).
        alpha: factor of the running average (default 0.99).
        eps: added to the denominator (default 1e-8).
        weight_decay: L2 penalty (default 0).
        momentum: momentum factor (default 0).
        centered: divide by an estimate of the standard deviation (default False).
        capturable: keep counters on the device so that a step can be recorded (default False).
        foreach: accepted for PyTorch's sake; the result is the same (default None).
        maximize: climb instead of descend (default False).
        differentiable: let gradients flow through the step (default False).

    Raises:
        ValueError: a negative hyper-parameter.

    Source: Hinton, Neural networks for machine learning, lecture 6, 2012; Graves, Generating
    sequences with recurrent neural networks, 2013 (centred).

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
        >>> optimizer = rl.optim.RMSprop([weight], lr=0.01)
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([0.9000, 1.9000])
    """

    _DEFAULTS = {
        "momentum": 0,
        "centered": False,
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("epsilon value", eps)
        check_not_negative("momentum value", momentum)
        check_not_negative("weight_decay value", weight_decay)
        check_not_negative("alpha value", alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _start(self, param: Tensor, state: State, group: Group) -> None:
        state["step"] = new_counter(param, group)
        state["square_avg"] = zeros_like(param)
        if group["momentum"] > 0:
            state["momentum_buffer"] = zeros_like(param)
        if group["centered"]:
            state["grad_avg"] = zeros_like(param)

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        state = self.state[param]
        if not state:
            self._start(param, state, group)
        if group["capturable"]:
            check_capturable("params and state_steps", param, state["step"])
        state["step"] += 1
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            grad = grad.add(param, alpha=group["weight_decay"])
        grad_avg = state["grad_avg"] if group["centered"] else None
        buffer = state["momentum_buffer"] if group["momentum"] > 0 else None
        tensors = [param, grad, state["square_avg"], grad_avg, buffer]
        if param.dtype.is_complex:
            tensors = [None if t is None else rl.view_as_real(t) for t in tensors]
        rmsprop_rule(
            *tensors,
            lr=scalar(group["lr"]),
            alpha=group["alpha"],
            eps=group["eps"],
            momentum=group["momentum"],
            differentiable=group["differentiable"],
        )
