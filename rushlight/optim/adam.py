"""Adam (Kingma & Ba 2015), AMSGrad (Reddi et al. 2018) and, by a switch, AdamW's weight decay.

In: a parameter, its gradient, its two moments and its step counter.  Out: all changed in place.
The order of operations is that of PyTorch's CPU step for one tensor (`torch.optim.adam`).
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
    check_fused,
    check_fused_options,
    check_lr,
    check_not_negative,
    new_counter,
    number,
    scalar,
    zeros_like,
)

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["Adam"]

_NO_TENSOR_LR = "lr as a Tensor is not supported for capturable=False and foreach=True"


def adam_rule(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    max_exp_avg_sq: Tensor | None,
    *,
    step: float,
    lr: Any,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """One update of one parameter; `max_exp_avg_sq` only with AMSGrad.

    m = lerp(m, g, 1 - beta1);  v = beta2 * v + (1 - beta2) * g^2;  v_max = max(v_max, v)
    p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
    """
    exp_avg.lerp_(grad, 1 - beta1)
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    step_size = lr / (1 - beta1**step)
    if max_exp_avg_sq is not None:
        exp_avg_sq = max_exp_avg_sq.copy_(rl.maximum(max_exp_avg_sq, exp_avg_sq))
    denominator = (exp_avg_sq.sqrt() / (1 - beta2**step) ** 0.5).add_(eps)
    param.addcdiv_(exp_avg, denominator, value=-number(step_size))


def adam_rule_tensor_step(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    max_exp_avg_sq: Tensor | None,
    *,
    step: Tensor,
    lr: Any,
    beta1: Any,
    beta2: Any,
    eps: float,
    differentiable: bool,
) -> None:
    """The same update with every number a tensor: for recorded and for differentiable steps."""
    exp_avg.lerp_(grad, 1 - beta1)
    if isinstance(beta2, rl.Tensor) and beta2.requires_grad:
        exp_avg_sq.lerp_(grad.square(), 1 - beta2)
    else:
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=number(1 - beta2))
    # The counter is cloned where a gradient will need it: the next step changes it in place.
    step = step.clone() if differentiable else step
    step_size_neg = (lr / (1 - beta1**step)).neg()
    root = (1 - beta2**step).sqrt()
    if max_exp_avg_sq is not None:
        known = max_exp_avg_sq.clone() if differentiable else max_exp_avg_sq
        exp_avg_sq = max_exp_avg_sq.copy_(rl.maximum(known, exp_avg_sq))
    denominator = (exp_avg_sq.sqrt() / (root * step_size_neg)).add_(eps / step_size_neg)
    param.addcdiv_(exp_avg.clone() if differentiable else exp_avg, denominator)


class Adam(RuleOptimizer):
    """Adam: steps scaled by running averages of the gradient and of its square.

    Args:
        params: tensors, named tensors, or groups (dictionaries) of them.
        lr: learning rate, a number or a one-element tensor (default 1e-3).
        betas: factors of the running averages of gradient and square (default (0.9, 0.999)).
        eps: added to the denominator (default 1e-8).
        weight_decay: L2 penalty (default 0).
        amsgrad: divide by the largest average of squares so far (default False).
        foreach: accepted for PyTorch's sake; the result is the same (default None).
        maximize: climb instead of descend (default False).
        capturable: keep counters on the device so that a step can be recorded (default False).
        differentiable: let gradients flow through the step (default False).
        fused: accepted for floating-point parameters; the result is the same (default None).
        decoupled_weight_decay: shrink parameters as AdamW does (default False).

    Raises:
        ValueError: a hyper-parameter outside its range.

    Source: Kingma, Ba, Adam: A method for stochastic optimization, ICLR 2015; Reddi, Kale, Kumar,
    On the convergence of Adam and beyond, ICLR 2018.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
        >>> optimizer = rl.optim.Adam([weight], lr=0.1)
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([0.9000, 1.9000])
    """

    _DEFAULTS = {
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        tensors_need_capture = bool(foreach) and not capturable
        if isinstance(lr, rl.Tensor) and tensors_need_capture:
            raise ValueError(_NO_TENSOR_LR)
        check_lr(lr)
        check_not_negative("epsilon value", eps)
        check_betas(betas)
        check_not_negative("weight_decay value", weight_decay)
        _check_beta_types(betas, tensors_need_capture)
        defaults = {
            "lr": lr,
            "betas": tuple(scalar(beta) for beta in betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused_options(fused, foreach, differentiable)

    def _start(self, param: Tensor, state: State, group: Group) -> None:
        if group["fused"]:
            check_fused(param)
        state["step"] = new_counter(param, group)
        state["exp_avg"] = zeros_like(param)
        state["exp_avg_sq"] = zeros_like(param)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_like(param)

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        state = self.state[param]
        if not state:
            self._start(param, state, group)
        lr, step_t = scalar(group["lr"]), state["step"]
        differentiable, capturable = group["differentiable"], group["capturable"]
        if isinstance(lr, rl.Tensor):
            _check_tensor_lr(lr, step_t, group)
        if capturable:
            check_capturable("params and state_steps", param, step_t)
        step_t += 1
        if group["maximize"]:
            grad = -grad
        weight_decay = group["weight_decay"]
        if weight_decay != 0:
            if group["decoupled_weight_decay"]:
                param.mul_(1 - lr * weight_decay)
            elif isinstance(weight_decay, rl.Tensor) and weight_decay.requires_grad:
                grad = grad.addcmul_(param.clone(), weight_decay)
            else:
                grad = grad.add(param, alpha=number(weight_decay))
        tensors = (param, grad, state["exp_avg"], state["exp_avg_sq"])
        largest = state["max_exp_avg_sq"] if group["amsgrad"] else None
        if param.dtype.is_complex:
            tensors = tuple(rl.view_as_real(tensor) for tensor in tensors)
            largest = None if largest is None else rl.view_as_real(largest)
        beta1, beta2 = group["betas"]
        if capturable or differentiable:
            adam_rule_tensor_step(
                *tensors, largest, step=step_t, lr=lr, beta1=beta1, beta2=beta2,
                eps=group["eps"], differentiable=differentiable,
            )  # fmt: skip
        else:
            adam_rule(
                *tensors, largest, step=step_t.item(), lr=lr, beta1=number(beta1),
                beta2=number(beta2), eps=group["eps"],
            )  # fmt: skip


def _check_beta_types(betas: Any, tensors_need_capture: bool) -> None:
    are_tensors = [isinstance(beta, rl.Tensor) for beta in betas]
    if not (all(are_tensors) or all(isinstance(beta, float) for beta in betas)):
        raise ValueError("betas must be either both floats or both Tensors")
    for i, beta in enumerate(betas):
        if not are_tensors[i]:
            continue
        if tensors_need_capture:
            raise ValueError(
                f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True"
            )
        if beta.numel() != 1:
            raise ValueError(f"Tensor betas[{i}] must be 1-element")


def _check_tensor_lr(lr: Tensor, step: Tensor, group: Group) -> None:
    if group["differentiable"] and step.requires_grad:
        raise RuntimeError("`requires_grad` is not supported for `step` in differentiable mode")
    if group["foreach"] and not group["capturable"]:
        raise RuntimeError(_NO_TENSOR_LR)
