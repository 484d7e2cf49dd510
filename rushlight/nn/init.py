"""Initial values of parameters: `torch.nn.init`.

In: a tensor, which is filled in place without recording gradients.  Out: the same tensor.  The
draws and the order of floating-point steps are PyTorch's, so a seed gives the same numbers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import rushlight as rl

__all__ = [
    "calculate_gain",
    "uniform_",
    "normal_",
    "trunc_normal_",
    "constant_",
    "ones_",
    "zeros_",
    "eye_",
    "dirac_",
    "xavier_uniform_",
    "xavier_normal_",
    "kaiming_uniform_",
    "kaiming_normal_",
    "orthogonal_",
    "sparse_",
    "uniform",
    "normal",
    "constant",
    "eye",
    "dirac",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
    "sparse",
]

_UNIT_GAIN = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """The factor by which weights grow to make up for a nonlinearity.

    Args:
        nonlinearity: `"linear"`, a convolution's name, `"sigmoid"` (all 1), `"tanh"` (5/3),
            `"relu"` (sqrt 2), `"leaky_relu"` (sqrt(2 / (1 + slope^2))) or `"selu"` (3/4).
        param: the negative slope of leaky_relu. Default: 0.01.

    Raises:
        ValueError: an unknown name, or a slope that is no number.

    Example:
        >>> calculate_gain("tanh")
        1.6666666666666667
    """
    if nonlinearity in _UNIT_GAIN:
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Any:
    """Fill with draws from U(a, b).

    Args:
        tensor: filled in place.
        a: lower bound. Default: 0.
        b: upper bound. Default: 1.
        generator: the random stream; the default one when absent.

    Example:
        >>> import rushlight as rl
        >>> w = rl.nn.init.uniform_(rl.empty(3, 5))
        >>> bool((w >= 0).all() and (w < 1).all())
        True
    """
    with rl.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Any:
    """Fill with draws from N(mean, std^2).

    Args:
        tensor: filled in place.
        mean: default: 0.
        std: default: 1.
        generator: the random stream; the default one when absent.
    """
    with rl.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Any:
    """Fill with draws from N(mean, std^2) that lie in [a, b].

    Args:
        tensor: filled in place.
        mean: of the normal before truncation. Default: 0.
        std: of the normal before truncation. Default: 1.
        a: smallest value. Default: -2.
        b: largest value. Default: 2.
        generator: the random stream; the default one when absent.

    Where at least 30 % of the normal's mass lies inside, values outside are drawn again; else
    uniform draws are accepted in proportion to the density. Both draw whole tensors.
    """
    if tensor.is_meta:
        return tensor
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )

    def below(x: float) -> float:
        return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0

    with rl.no_grad():
        if below((b - mean) / std) - below((a - mean) / std) > 0.3:
            return _redraw_normal(tensor, mean, std, a, b, generator)
        return _accept_uniform(tensor, mean, std, a, b, generator)


def _redraw_normal(tensor: Any, mean: float, std: float, a: float, b: float, generator: Any) -> Any:
    """Draw normals; take a fresh whole tensor at the places that are still outside [a, b]."""
    low = tensor.new_tensor(a, device="cpu").item()  # the bounds as this dtype knows them
    high = tensor.new_tensor(b, device="cpu").item()
    drawn = tensor.normal_(mean, std, generator=generator)
    while True:
        outside = (drawn < low) | (drawn > high)
        if not outside.any():
            break
        fresh = rl.empty_like(drawn).normal_(mean, std, generator=generator)
        drawn = rl.where(outside, fresh, drawn)
    if drawn is not tensor:
        tensor.copy_(drawn)
    return tensor


def _accept_uniform(
    tensor: Any, mean: float, std: float, a: float, b: float, generator: Any
) -> Any:
    """Rejection sampling: keep uniform x where log u <= log density(x) - log peak."""
    log_peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
    chance = rl.empty_like(tensor)

    def refused(candidates: Any) -> Any:
        log_ratio = candidates.clone().sub_(mean).div_(std).pow_(2).mul_(-0.5).sub_(log_peak)
        return chance.uniform_(generator=generator).log_().gt(log_ratio)

    drawn = tensor.uniform_(a, b, generator=generator)
    pending = refused(drawn)
    while pending.any():
        fresh = rl.empty_like(tensor).uniform_(a, b, generator=generator)
        drawn = rl.where(pending, fresh, drawn)
        pending = rl.where(pending, refused(fresh), pending)
    if drawn is not tensor:
        tensor.copy_(drawn)
    return tensor


def constant_(tensor: Any, val: float) -> Any:
    """Fill with the number `val`."""
    with rl.no_grad():
        return tensor.fill_(val)


def ones_(tensor: Any) -> Any:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Any) -> Any:
    """Fill with zeros."""
    with rl.no_grad():
        return tensor.zero_()


def eye_(tensor: Any) -> Any:
    """Fill a matrix with the identity: as many inputs as fit pass through a Linear layer.

    Raises:
        ValueError: not two dimensions.
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with rl.no_grad():
        rl.eye(*tensor.shape, out=tensor, requires_grad=tensor.requires_grad)
    return tensor


def dirac_(tensor: Any, groups: int = 1) -> Any:
    """Fill a convolution's weight so that input channels pass through unchanged.

    Args:
        tensor: three to five dimensions.
        groups: of the convolution; each group keeps its own channels. Default: 1.

    Raises:
        ValueError: another number of dimensions, or output channels not divisible by `groups`.
    """
    dimensions = tensor.ndimension()
    if dimensions not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    sizes = tensor.size()
    if sizes[0] % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    if tensor.is_meta:
        return tensor
    per_group = sizes[0] // groups
    centre = tuple(size // 2 for size in sizes[2:])
    with rl.no_grad():
        tensor.zero_()
        for group in range(groups):
            for d in range(min(per_group, sizes[1])):
                tensor[(group * per_group + d, d, *centre)] = 1
    return tensor


def _calculate_fan_in_and_fan_out(tensor: Any) -> tuple[int, int]:
    """Inputs that reach one output, and outputs that one input reaches, of a weight."""
    if tensor.dim() < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.size(1) * field, tensor.size(0) * field


def _calculate_correct_fan(tensor: Any, mode: str) -> int:
    mode = mode.lower()
    valid_modes = ["fan_in", "fan_out"]
    if mode not in valid_modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {valid_modes}")
    return _calculate_fan_in_and_fan_out(tensor)[valid_modes.index(mode)]


def _xavier_std(tensor: Any, gain: float) -> float:
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return gain * math.sqrt(2.0 / float(fan_in + fan_out))


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Fill from U(-a, a) with a = gain * sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010.

    Args:
        tensor: two dimensions at least.
        gain: see `calculate_gain`. Default: 1.
        generator: the random stream; the default one when absent.
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Fill from N(0, std^2) with std = gain * sqrt(2 / (fan_in + fan_out)) (Glorot 2010).

    Args:
        tensor: two dimensions at least.
        gain: see `calculate_gain`. Default: 1.
        generator: the random stream; the default one when absent.
    """
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def _kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _is_empty(tensor: Any) -> bool:
    if 0 not in tensor.shape:
        return False
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    return True


def kaiming_uniform_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Any:
    """Fill from U(-bound, bound) with bound = gain * sqrt(3 / fan).

    Source: He et al., "Delving deep into rectifiers", 2015.

    Args:
        tensor: two dimensions at least.
        a: the negative slope after this layer (leaky_relu only). Default: 0.
        mode: `"fan_in"` keeps the variance of the forward pass, `"fan_out"` of the backward.
        nonlinearity: see `calculate_gain`. Default: `"leaky_relu"`.
        generator: the random stream; the default one when absent.

    Example:
        >>> import rushlight as rl
        >>> w = rl.nn.init.kaiming_uniform_(rl.empty(3, 6), nonlinearity="relu")
        >>> bool(w.abs().max() <= 1)
        True
    """
    if _is_empty(tensor):
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Any:
    """Fill from N(0, std^2) with std = gain / sqrt(fan) (He et al. 2015).

    Args: as for `kaiming_uniform_`.
    """
    if _is_empty(tensor):
        return tensor
    return normal_(tensor, 0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Any, gain: float = 1, generator: Any = None) -> Any:
    """Fill with a (semi-)orthogonal matrix; dimensions after the first count as columns.

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks", 2013.

    Args:
        tensor: two dimensions at least.
        gain: factor on the result. Default: 1.
        generator: the random stream; the default one when absent.
    """
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0 or tensor.is_meta:
        return tensor
    rows = tensor.size(0)
    cols = tensor.numel() // rows
    flat = tensor.new_empty((rows, cols)).normal_(0, 1, generator=generator)
    if rows < cols:
        flat.t_()
    q, r = rl.linalg.qr(flat)
    q *= rl.diag(r, 0).sign()  # makes the decomposition, so the distribution, unique
    if rows < cols:
        q.t_()
    with rl.no_grad():
        tensor.view_as(q).copy_(q)
        tensor.mul_(gain)
    return tensor


def sparse_(tensor: Any, sparsity: float, std: float = 0.01, generator: Any = None) -> Any:
    """Fill a matrix from N(0, std^2), with a share of each column set to zero.

    Source: Martens, "Deep learning via Hessian-free optimization", 2010.

    Args:
        tensor: two dimensions.
        sparsity: the share of zeros in a column.
        std: default: 0.01.
        generator: the stream of the normal draws; which rows are zero comes from the default one.
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    if tensor.is_meta:
        return tensor
    rows, cols = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with rl.no_grad():
        tensor.normal_(0, std, generator=generator)
        for col in range(cols):
            tensor[rl.randperm(rows)[:zeros], col] = 0
    return tensor


def _deprecated(function: Callable[..., Any]) -> Callable[..., Any]:
    """The old name of an initialiser, without the underscore: it warns and does the same."""
    new_name = function.__name__
    old_name = new_name[:-1]

    def old(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(
            f"`nn.init.{old_name}` is now deprecated in favor of `nn.init.{new_name}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    old.__name__ = old.__qualname__ = old_name
    old.__doc__ = f"Deprecated name of `{new_name}`."
    return old


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
