"""Activation functions as modules.

In: a tensor of any shape.  Out: the same shape, each element (or each slice along `dim`) passed
through a nonlinearity.  Only PReLU and MultiheadAttention (in `attention.py`) have parameters.
"""

from __future__ import annotations

import warnings
from typing import Any

import rushlight as rl
from rushlight.nn import functional as F
from rushlight.nn.parameter import Parameter

from .attention import MultiheadAttention
from .module import Module

__all__ = ["Threshold", "ReLU", "RReLU", "Hardtanh", "ReLU6", "Sigmoid", "Hardsigmoid", "Tanh"]
__all__ += ["SiLU", "Mish", "Hardswish", "ELU", "CELU", "SELU", "GLU", "GELU", "Hardshrink"]
__all__ += ["LeakyReLU", "LogSigmoid", "Softplus", "Softshrink", "MultiheadAttention", "PReLU"]
__all__ += ["Softsign", "Tanhshrink", "Softmin", "Softmax", "Softmax2d", "LogSoftmax"]


class _Inplace(Module):
    """An activation whose only setting is whether it overwrites its input."""

    __constants__ = ["inplace"]
    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Threshold(Module):
    """x where x > threshold, else `value`.

    Args:
        threshold: the limit.
        value: what replaces the rest.
        inplace: overwrite the input. Default: `False`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Threshold(0.5, 9.0)(rl.tensor([0.0, 1.0]))
        tensor([9., 1.])
    """

    __constants__ = ["threshold", "value", "inplace"]
    threshold: float
    value: float
    inplace: bool

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (
            ", inplace=True" if self.inplace else ""
        )


class ReLU(_Inplace):
    """max(0, x).

    Args:
        inplace: overwrite the input. Default: `False`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ReLU()(rl.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.relu(input, self.inplace)


class RReLU(Module):
    """x for x >= 0, else a * x with a drawn from U(lower, upper), or their mean in evaluation.

    Args:
        lower: smallest slope. Default: 1/8.
        upper: largest slope. Default: 1/3.
        inplace: overwrite the input. Default: `False`.

    Source: Xu et al., "Empirical evaluation of rectified activations in convolutional
    network", 2015.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.RReLU(0.5, 0.5).eval()(rl.tensor([-1.0, 2.0]))
        tensor([-0.5000,  2.0000])
    """

    __constants__ = ["lower", "upper", "inplace"]
    lower: float
    upper: float
    inplace: bool

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (
            ", inplace=True" if self.inplace else ""
        )


class Hardtanh(Module):
    """x cut to [min_val, max_val].

    Args:
        min_val: lower limit. Default: -1.
        max_val: upper limit. Default: 1.
        inplace: overwrite the input. Default: `False`.
        min_value: deprecated name of `min_val`.
        max_value: deprecated name of `max_val`.

    Raises:
        AssertionError: `max_val` is not greater than `min_val`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Hardtanh()(rl.tensor([-3.0, 0.5]))
        tensor([-1.0000,  0.5000])
    """

    __constants__ = ["min_val", "max_val", "inplace"]
    min_val: float
    max_val: float
    inplace: bool

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        if min_value is not None:
            warnings.warn(
                "keyword argument `min_value` is deprecated and renamed to `min_val`",
                FutureWarning,
                stacklevel=2,
            )
            min_val = min_value
        if max_value is not None:
            warnings.warn(
                "keyword argument `max_value` is deprecated and renamed to `max_val`",
                FutureWarning,
                stacklevel=2,
            )
            max_val = max_value
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace
        if max_val <= min_val:
            raise AssertionError(
                f"max_val ({self.max_val}) must be greater than min_val ({self.min_val})"
            )

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        inplace = ", inplace=True" if self.inplace else ""
        return f"min_val={self.min_val}, max_val={self.max_val}{inplace}"


class ReLU6(Hardtanh):
    """min(max(0, x), 6).

    Args:
        inplace: overwrite the input. Default: `False`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ReLU6()(rl.tensor([-1.0, 8.0]))
        tensor([0., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """1 / (1 + exp(-x)).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Sigmoid()(rl.zeros(1))
        tensor([0.5000])
    """

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return rl.sigmoid(input)


class Hardsigmoid(_Inplace):
    """min(max(0, x + 3), 6) / 6.

    Args:
        inplace: overwrite the input. Default: `False`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Hardsigmoid()(rl.tensor([-4.0, 0.0]))
        tensor([0.0000, 0.5000])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class Tanh(Module):
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Tanh()(rl.zeros(1))
        tensor([0.])
    """

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return rl.tanh(input)


class SiLU(_Inplace):
    """x * sigmoid(x), also called swish.

    Args:
        inplace: overwrite the input. Default: `False`.

    Source: Elfwing et al., "Sigmoid-weighted linear units", 2017.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.SiLU()(rl.zeros(1))
        tensor([0.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.silu(input, inplace=self.inplace)


class Mish(_Inplace):
    """x * tanh(softplus(x)).

    Args:
        inplace: overwrite the input. Default: `False`.

    Source: Misra, "Mish: a self regularized non-monotonic activation function", 2019.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Mish()(rl.zeros(1))
        tensor([0.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.mish(input, inplace=self.inplace)


class Hardswish(_Inplace):
    """x * min(max(0, x + 3), 6) / 6.

    Args:
        inplace: overwrite the input. Default: `False`.

    Source: Howard et al., "Searching for MobileNetV3", 2019.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Hardswish()(rl.tensor([-4.0, 3.0]))
        tensor([-0., 3.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class ELU(Module):
    """x for x > 0, else alpha * (exp(x) - 1).

    Args:
        alpha: default: 1.
        inplace: overwrite the input. Default: `False`.

    Source: Clevert et al., "Fast and accurate deep network learning by exponential linear
    units", 2015.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ELU()(rl.tensor([0.0, 2.0]))
        tensor([0., 2.])
    """

    __constants__ = ["alpha", "inplace"]
    alpha: float
    inplace: bool

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class CELU(Module):
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1)).

    Args:
        alpha: default: 1.
        inplace: overwrite the input. Default: `False`.

    Source: Barron, "Continuously differentiable exponential linear units", 2017.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.CELU()(rl.tensor([0.0, 2.0]))
        tensor([0., 2.])
    """

    __constants__ = ["alpha", "inplace"]
    alpha: float
    inplace: bool

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class SELU(_Inplace):
    """scale * ELU(x), with the scale and alpha that keep mean 0 and variance 1.

    Args:
        inplace: overwrite the input. Default: `False`.

    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.SELU()(rl.zeros(1))
        tensor([0.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace)

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.selu(input, self.inplace)


class GLU(Module):
    """a * sigmoid(b), where a and b are the halves of the input along `dim`.

    Args:
        dim: the dimension that is halved. Default: -1.

    Source: Dauphin et al., "Language modeling with gated convolutional networks", 2016.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.GLU()(rl.zeros(2, 6)).shape
        torch.Size([2, 3])
    """

    __constants__ = ["dim"]
    dim: int

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class GELU(Module):
    """x * Phi(x), where Phi is the normal distribution function.

    Args:
        approximate: `"none"`, or `"tanh"` for the usual formula with tanh. Default: `"none"`.

    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.GELU()(rl.zeros(1))
        tensor([0.])
    """

    __constants__ = ["approximate"]
    approximate: str

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Hardshrink(Module):
    """x where |x| > lambd, else 0.

    Args:
        lambd: default: 0.5.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Hardshrink()(rl.tensor([0.25, 2.0]))
        tensor([0., 2.])
    """

    __constants__ = ["lambd"]
    lambd: float

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class LeakyReLU(Module):
    """x for x >= 0, else negative_slope * x.

    Args:
        negative_slope: default: 0.01.
        inplace: overwrite the input. Default: `False`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LeakyReLU(0.5)(rl.tensor([-2.0, 2.0]))
        tensor([-1.,  2.])
    """

    __constants__ = ["inplace", "negative_slope"]
    negative_slope: float
    inplace: bool

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class LogSigmoid(Module):
    """log(1 / (1 + exp(-x))).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LogSigmoid()(rl.zeros(1))
        tensor([-0.6931])
    """

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.logsigmoid(input)


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x is above the threshold.

    Args:
        beta: default: 1.
        threshold: default: 20.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Softplus()(rl.zeros(1))
        tensor([0.6931])
    """

    __constants__ = ["beta", "threshold"]
    beta: float
    threshold: float

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softshrink(Module):
    """x - lambd above lambd, x + lambd below -lambd, else 0.

    Args:
        lambd: not negative. Default: 0.5.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Softshrink()(rl.tensor([0.25, 2.0]))
        tensor([0.0000, 1.5000])
    """

    __constants__ = ["lambd"]
    lambd: float

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class PReLU(Module):
    """x for x >= 0, else a * x with a learned a.

    Args:
        num_parameters: 1, or the number of channels (dimension 1): one a for each. Default: 1.
        init: first value of a. Default: 0.25.
        device: of the parameter.
        dtype: of the parameter.

    Attributes:
        weight: (num_parameters).

    Source: He et al., "Delving deep into rectifiers", 2015.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.PReLU()(rl.tensor([-4.0, 2.0])).detach()
        tensor([-1.,  2.])
    """

    __constants__ = ["num_parameters"]
    num_parameters: int

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        self.num_parameters = num_parameters
        super().__init__()
        self.init = init
        self.weight = Parameter(rl.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Give every slope its first value."""
        with rl.no_grad():
            self.weight.fill_(self.init)

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Softsign(Module):
    """x / (1 + |x|).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Softsign()(rl.tensor([1.0]))
        tensor([0.5000])
    """

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.softsign(input)


class Tanhshrink(Module):
    """x - tanh(x).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Tanhshrink()(rl.zeros(1))
        tensor([0.])
    """

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.tanhshrink(input)


class _AlongDim(Module):
    """An activation that normalises along one dimension."""

    __constants__ = ["dim"]
    dim: int | None

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not hasattr(self, "dim"):
            self.dim = None

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(_AlongDim):
    """exp(-x) / sum(exp(-x)) along `dim`.

    Args:
        dim: the dimension that sums to one; without it one is guessed, with a warning.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Softmin(dim=0)(rl.zeros(2))
        tensor([0.5000, 0.5000])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim)

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.softmin(input, self.dim, _stacklevel=5)


class Softmax(_AlongDim):
    """exp(x) / sum(exp(x)) along `dim`: values in [0, 1] that sum to 1.

    Args:
        dim: the dimension that sums to one; without it one is guessed, with a warning.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Softmax(dim=1)(rl.zeros(1, 4))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim)

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.softmax(input, self.dim, _stacklevel=5)


class Softmax2d(Module):
    """Softmax over the channels of every pixel of (N, C, H, W) or (C, H, W).

    Raises:
        ValueError: the input has another number of dimensions.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Softmax2d()(rl.zeros(1, 2, 1, 1)).flatten()
        tensor([0.5000, 0.5000])
    """

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        if input.dim() not in (3, 4):
            raise ValueError(
                f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead"
            )
        return F.softmax(input, -3, _stacklevel=5)


class LogSoftmax(_AlongDim):
    """log(exp(x) / sum(exp(x))) along `dim`.

    Args:
        dim: the dimension that sums to one; without it one is guessed, with a warning.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LogSoftmax(dim=0)(rl.zeros(2))
        tensor([-0.6931, -0.6931])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim)

    def forward(self, input: Any) -> Any:
        """Apply the function to `input`."""
        return F.log_softmax(input, self.dim, _stacklevel=5)
