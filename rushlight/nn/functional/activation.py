"""Activation functions and softmax."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight.dispatch.gate import call, write
from rushlight.ops import activation as records

from .composite import _get_softmax_dim

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softshrink",
    "tanh",
    "threshold",
    "threshold_",
]

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def _run(op: Any, input: Any, attrs: tuple[Any, ...], inplace: bool) -> Any:
    return write(op, (input,), attrs) if inplace else call(op, (input,), attrs)


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0), element by element.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.relu(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return write(records.relu, (input,)) if inplace else call(records.relu, (input,))


def relu_(input: Any) -> Any:
    """``relu`` written into the tensor itself."""
    return write(records.relu, (input,))


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6), element by element."""
    return _run(records.hardtanh, input, (0.0, 6.0), inplace)


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-x)), element by element."""
    return call(records.sigmoid, (input,))


def tanh(input: Any) -> Any:
    """The hyperbolic tangent, element by element."""
    return rl.tanh(input)


def logsigmoid(input: Any) -> Any:
    """log(sigmoid(x)) without overflow."""
    return call(records.log_sigmoid, (input,))


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x above 0, ``negative_slope * x`` below."""
    return _run(records.leaky_relu, input, (negative_slope,), inplace)


def leaky_relu_(input: Any, negative_slope: float = 0.01) -> Any:
    """``leaky_relu`` written into the tensor itself."""
    return leaky_relu(input, negative_slope, True)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x above 0, ``alpha * (exp(x) - 1)`` below (Clevert et al. 2015)."""
    return _run(records.elu, input, (alpha, 1.0, 1.0), inplace)


def elu_(input: Any, alpha: float = 1.0) -> Any:
    """``elu`` written into the tensor itself."""
    return elu(input, alpha, True)


def selu(input: Any, inplace: bool = False) -> Any:
    """The self-normalising ELU (Klambauer et al. 2017)."""
    return _run(records.elu, input, (_SELU_ALPHA, _SELU_SCALE, 1.0), inplace)


def selu_(input: Any) -> Any:
    """``selu`` written into the tensor itself."""
    return selu(input, True)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """The continuously differentiable ELU (Barron 2017)."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _run(records.celu, input, (alpha,), inplace)


def celu_(input: Any, alpha: float = 1.0) -> Any:
    """``celu`` written into the tensor itself."""
    return celu(input, alpha, True)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta; x itself where ``beta x`` exceeds the threshold."""
    return call(records.softplus, (input,), (beta, threshold))


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x kept within [min_val, max_val]."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return _run(records.hardtanh, input, (min_val, max_val), inplace)


def hardtanh_(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """``hardtanh`` written into the tensor itself."""
    return hardtanh(input, min_val, max_val, True)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """x / 6 + 1 / 2, kept within [0, 1]."""
    return _run(records.hardsigmoid, input, (), inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x times ``hardsigmoid`` of x (Howard et al. 2019)."""
    return _run(records.hardswish, input, (), inplace)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """0 within [-lambd, lambd], x outside."""
    return call(records.hardshrink, (input,), (lambd,))


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x moved towards 0 by ``lambd``."""
    if lambd < 0:
        most = f"{rl.finfo(input.dtype).max:.6g}" if input.is_floating_point() else "inf"
        raise RuntimeError(
            f"lambda must be in range [0, {most}] for input dtype {input.dtype.title}, but found "
            f"{lambd:g}"
        )
    return call(records.softshrink, (input,), (lambd,))


def silu(input: Any, inplace: bool = False) -> Any:
    """x times sigmoid of x."""
    return _run(records.silu, input, (), inplace)


def mish(input: Any, inplace: bool = False) -> Any:
    """x times tanh(softplus(x)) (Misra 2019)."""
    return _run(records.mish, input, (), inplace)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x times the normal distribution function of x; ``tanh`` approximates it."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return call(records.gelu, (input,), (approximate,))


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x above the threshold, ``value`` elsewhere."""
    return _run(records.threshold, input, (threshold, value), inplace)


def threshold_(input: Any, threshold: float, value: float) -> Any:
    """``threshold`` written into the tensor itself."""
    return write(records.threshold, (input,), (threshold, value))


def prelu(input: Any, weight: Any) -> Any:
    """x above 0, ``weight * x`` below, with one weight or one a channel."""
    return call(records.prelu, (input, weight))


def glu(input: Any, dim: int = -1) -> Any:
    """The first half along ``dim`` times sigmoid of the second (Dauphin et al. 2016)."""
    return call(records.glu, (input,), (dim,))


def rrelu(
    input: Any,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Any = None,
) -> Any:
    """Leaky ReLU with a random slope in training, the mean slope otherwise."""
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    engine = (generator or rl.default_generator).engine
    slopes = call(records.rrelu_slopes, (input,), (lower, upper, engine))
    return input.mul_(slopes) if inplace else input * slopes


def rrelu_(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Any:
    """``rrelu`` written into the tensor itself."""
    return rrelu(input, lower, upper, training, True)


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """exp(x) / sum of exp(x) along ``dim``, computed without overflow.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.softmax(torch.zeros(4), dim=0)
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    if dim is None:
        dim = _get_softmax_dim("softmax", input.dim(), _stacklevel)
    return call(records.softmax, (input,), (dim, dtype))


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """The logarithm of ``softmax``, computed without overflow."""
    if dim is None:
        dim = _get_softmax_dim("log_softmax", input.dim(), _stacklevel)
    return call(records.log_softmax, (input,), (dim, dtype))
