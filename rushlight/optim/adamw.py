"""AdamW (Loshchilov & Hutter 2019): Adam whose weight decay leaves the moments alone.

In and out as in `rushlight.optim.adam`, whose rule it uses; mirrors `torch.optim.adamw`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rushlight.optim.adam import Adam
from rushlight.optim.optimizer import ParamsT

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["AdamW"]


class AdamW(Adam):
    """AdamW: Adam with decoupled weight decay.

    Args:
        params: tensors, named tensors, or groups (dictionaries) of them.
        lr: learning rate, a number or a one-element tensor (default 1e-3).
        betas: factors of the running averages of gradient and square (default (0.9, 0.999)).
        eps: added to the denominator (default 1e-8).
        weight_decay: parameters shrink by `lr * weight_decay` a step (default 1e-2).
        amsgrad: divide by the largest average of squares so far (default False).
        maximize: climb instead of descend (default False).
        foreach: accepted for PyTorch's sake; the result is the same (default None).
        capturable: keep counters on the device so that a step can be recorded (default False).
        differentiable: let gradients flow through the step (default False).
        fused: accepted for floating-point parameters; the result is the same (default None).

    Source: Loshchilov, Hutter, Decoupled weight decay regularization, ICLR 2019.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
        >>> optimizer = rl.optim.AdamW([weight], lr=0.1, weight_decay=0.5)
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> weight.data
        tensor([0.8500, 1.8000])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
