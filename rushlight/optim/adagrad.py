"""Adagrad (Duchi, Hazan & Singer 2011).

In: a parameter, its gradient and its sum of squares.  Out: parameter and sum changed in place.
The order of operations is that of PyTorch's CPU step for one tensor (`torch.optim.adagrad`).
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
    check_lr,
    check_not_negative,
    new_counter,
    number,
    scalar,
)

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["Adagrad"]


def adagrad_rule(
    param: Tensor, grad: Tensor, total: Tensor, *, lr: Any, eps: float, differentiable: bool
) -> None:
    """One update of one parameter: s += g^2;  p -= lr * g / (sqrt(s) + eps)."""
    total.addcmul_(grad, grad, value=1)
    root = total.sqrt()
    root = root + eps if differentiable else root.add_(eps)
    param.addcdiv_(grad, root, value=-number(lr))


class Adagrad(RuleOptimizer):
    """Adagrad: steps divided by the root of the sum of all squared gradients so far.

    Args:
        params: tensors, named tensors, or groups (dictionaries) of them.
        lr: learning rate, a number or a one-element tensor (default 1e-2).
        lr_decay: the rate of step t is `lr / (1 + (t - 1) * lr_decay)` (default 0).
        weight_decay: L2 penalty (default 0).
        initial_accumulator_value: what the sum starts from (default 0).
        eps: added to the denominator (default 1e-10).
        foreach: accepted for PyTorch's sake; the result is the same (default None).
        maximize: climb instead of descend (default False).
        differentiable: let gradients flow through the step (default False).
        fused: accepted for floating-point parameters; the result is the same (default None).

    Raises:
        ValueError: a negative hyper-parameter.

    Source: Duchi, Hazan, Singer, Adaptive subgradient methods, JMLR 2011.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
        >>> optimizer = rl.optim.Adagrad([weight], lr=0.1)
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([0.9000, 1.9000])
    """

    _DEFAULTS = {"foreach": None, "maximize": False, "differentiable": False, "fused": None}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative("lr_decay value", lr_decay)
        check_not_negative("weight_decay value", weight_decay)
        check_not_negative("initial_accumulator_value value", initial_accumulator_value)
        check_not_negative("epsilon value", eps)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused_options(fused, foreach, differentiable)
        for group in self.param_groups:
            for param in group["params"]:
                self._start(param, group)

    def _start(self, param: Tensor, group: Group) -> None:
        if group["fused"]:
            check_fused(param)
        start = group["initial_accumulator_value"]
        state = self.state[param]
        state["step"] = new_counter(param, group)
        state["sum"] = rl.full_like(
            param,
            complex(start, start) if param.dtype.is_complex else start,
            memory_format=rl.preserve_format,
        )

    def share_memory(self) -> None:
        """Move the sums to shared memory, for training by several processes."""
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param]["sum"].share_memory_()

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        if not self.state[param]:
            self._start(param, group)
        state = self.state[param]
        step_t, total = state["step"], state["sum"]
        step_t += 1
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            grad = grad.add(param, alpha=group["weight_decay"])
        lr = scalar(group["lr"]) / (1 + (step_t.item() - 1) * group["lr_decay"])
        if param.dtype.is_complex:
            param, grad, total = (rl.view_as_real(tensor) for tensor in (param, grad, total))
        adagrad_rule(
            param, grad, total, lr=lr, eps=group["eps"], differentiable=group["differentiable"]
        )
