"""Stochastic gradient descent, with momentum (Polyak 1964; Sutskever et al. 2013) or without.

In: a parameter, its gradient, its momentum buffer.  Out: both changed in place.  The order of
operations is that of PyTorch's CPU step for one tensor (`torch.optim.sgd`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rushlight as rl
from rushlight.optim.optimizer import (
    Group,
    ParamsT,
    RuleOptimizer,
    check_fused,
    check_fused_options,
    number,
    scalar,
)

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["SGD"]


def sgd_rule(
    param: Tensor,
    grad: Tensor,
    buffer: Tensor | None,
    *,
    lr: Any,
    momentum: float,
    dampening: float,
    weight_decay: Any,
    nesterov: bool,
    maximize: bool,
) -> Tensor | None:
    """One update of one parameter; returns the momentum buffer (None without momentum).

    g += weight_decay * p;  b = momentum * b + (1 - dampening) * g  (b = g the first time)
    g = g + momentum * b (nesterov) or b;  p -= lr * g
    """
    if maximize:
        grad = -grad
    if isinstance(weight_decay, rl.Tensor) and weight_decay.requires_grad:
        grad = grad.addcmul_(param.clone(), weight_decay)
    elif weight_decay != 0:
        grad = grad.add(param, alpha=number(weight_decay))
    if momentum != 0:
        if buffer is None:
            buffer = grad.detach().clone()
        else:
            buffer.mul_(momentum).add_(grad, alpha=1 - dampening)
        grad = grad.add(buffer, alpha=momentum) if nesterov else buffer
    if isinstance(lr, rl.Tensor) and lr.requires_grad:
        param.addcmul_(grad, lr, value=-1)
    else:
        param.add_(grad, alpha=-number(lr))
    return buffer


class SGD(RuleOptimizer):
    """Stochastic gradient descent, optionally with momentum.

    Args:
        params: tensors, named tensors, or groups (dictionaries) of them.
        lr: learning rate, a number or a one-element tensor (default 1e-3).
        momentum: momentum factor (default 0).
        dampening: dampening of the momentum (default 0).
        weight_decay: L2 penalty (default 0).
        nesterov: Nesterov's momentum; needs a momentum and no dampening (default False).
        maximize: climb instead of descend (default False).
        foreach: accepted for PyTorch's sake; the result is the same (default None).
        differentiable: let gradients flow through the step (default False).
        fused: accepted for floating-point parameters; the result is the same (default None).

    Raises:
        ValueError: a negative `lr`, `momentum` or `weight_decay`; Nesterov without momentum.

    Source: Sutskever, Martens, Dahl, Hinton, On the importance of initialization and momentum in
    deep learning, ICML 2013; the velocity is not multiplied by the learning rate, as in PyTorch.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
        >>> optimizer = rl.optim.SGD([weight], lr=0.1, momentum=0.9)
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([0.8000, 1.6000])
    """

    _DEFAULTS = {
        "nesterov": False,
        "maximize": False,
        "foreach": None,
        "differentiable": False,
        "fused": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if isinstance(lr, rl.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for text, value in (
            ("learning rate", lr),
            ("momentum value", momentum),
            ("weight_decay value", weight_decay),
        ):
            if value < 0.0:
                raise ValueError(f"Invalid {text}: {value}")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, defaults)
        check_fused_options(fused, foreach, differentiable)

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        if group["fused"]:
            check_fused(param)
        momentum = group["momentum"]
        buffer = self.state[param].get("momentum_buffer") if momentum != 0 else None
        buffer = sgd_rule(
            param,
            grad,
            buffer,
            lr=scalar(group["lr"]),
            momentum=momentum,
            dampening=group["dampening"],
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
        )
        if momentum != 0:
            self.state[param]["momentum_buffer"] = buffer
