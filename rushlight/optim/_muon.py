"""Muon (Jordan et al. 2024): momentum whose matrix is orthogonalised before it is applied.

In: a matrix parameter, its gradient, its momentum buffer.  Out: parameter and buffer changed in
place, in the order of PyTorch's step for one tensor (`torch.optim._muon`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import rushlight as rl
from rushlight.optim.optimizer import Group, ParamsT, RuleOptimizer, scalar, zeros_like

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["Muon"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(
    matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Any:
    """A bfloat16 matrix near U V^T of the singular value decomposition of `matrix`.

    A quintic Newton-Schulz iteration, X <- a X + (b G + c G^2) X with G = X X^T.
    """
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.bfloat16()
    if tall:
        x = x.T
    x.div_(x.norm().clamp(min=eps))  # spectral norm at most 1
    for _ in range(steps):
        gram = x @ x.T
        x = rl.addmm(x, rl.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def adjusted_lr(lr: Any, method: str | None, shape: Any) -> Any:
    """The rate for a matrix of this shape: Jordan's scaling, or one that matches AdamW's RMS."""
    rows, columns = shape[:2]
    if method == "match_rms_adamw":
        return lr * (0.2 * math.sqrt(max(rows, columns)))
    return lr * math.sqrt(max(1, rows / columns))


def muon_rule(
    param: Tensor,
    grad: Tensor,
    buffer: Tensor,
    *,
    lr: Any,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
    ns_coefficients: tuple[float, float, float],
    eps: float,
    ns_steps: int,
    adjust_lr_fn: str | None,
) -> None:
    """One update of one matrix: b = lerp(b, g, 1 - momentum);  p -= lr' * orthogonal(b)."""
    buffer.lerp_(grad, 1 - momentum)
    update = grad.lerp(buffer, momentum) if nesterov else buffer
    update = orthogonalize(update, ns_coefficients, ns_steps, eps)
    param.mul_(1 - lr * weight_decay)
    param.add_(update, alpha=-adjusted_lr(lr, adjust_lr_fn, param.shape))


class Muon(RuleOptimizer):
    """Muon, for the matrices of hidden layers; biases and embeddings want another optimizer.

    Args:
        params: tensors of two dimensions, or groups (dictionaries) of them.
        lr: learning rate (default 1e-3).
        weight_decay: decoupled weight decay (default 0.1).
        momentum: momentum factor (default 0.95).
        nesterov: Nesterov's momentum (default True).
        ns_coefficients: coefficients of the Newton-Schulz step.
        eps: lower bound of the norm that divides the matrix (default 1e-7).
        ns_steps: number of Newton-Schulz steps (default 5).
        adjust_lr_fn: "original" (default) or "match_rms_adamw".

    Raises:
        ValueError: a parameter that is not a matrix, or a hyper-parameter outside its range.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024; Liu et
    al., Muon is scalable for LLM training, 2025.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.eye(2))
        >>> optimizer = rl.optim.Muon([weight], lr=0.1)
        >>> optimizer.defaults["momentum"]
        0.95
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = COEFFICIENTS,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, rl.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                if param.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter "
                        f"with size: {param.size()}"
                    )

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        if param.dtype.is_complex:
            raise RuntimeError("Muon does not support complex parameters")
        if grad.ndim != 2:
            raise ValueError("Param gradient must be a 2D matrix")
        state = self.state[param]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = zeros_like(grad)
        options = {key: group[key] for key in self.defaults if key != "lr"}
        muon_rule(param, grad, state["momentum_buffer"], lr=scalar(group["lr"]), **options)
