"""Ready-made parametrisations: weight normalisation, spectral normalisation, orthogonality.

In: a module and the name of its weight.  Out: the same module, its weight computed.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import rushlight as rl
from rushlight.dispatch.tensor import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules.module import Module

from . import parametrize
from .spectral_norm import output_dim
from .weight_norm import norm_except_dim, scaled

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _weight_of(module: Any, name: str) -> Any:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


class _WeightNorm(Module):
    """w = g * v / |v|."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        return scaled(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Train a weight's length and direction apart: w = g * v / |v|; returns the module.

    Args:
        module: with the parameter `name`.
        name: default: `"weight"`.
        dim: the dimension whose slices keep a length of their own; None for one in all.
            Default: 0.

    Source: Salimans and Kingma, "Weight normalization", 2016.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.nn.utils.parametrizations import weight_norm
        >>> weight_norm(rl.nn.Linear(20, 40)).parametrizations.weight.original0.size()
        torch.Size([40, 1])
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def take_old_names(state_dict: Any, prefix: str, *rest: Any) -> None:
        """Files of the hook form keep `weight_g` and `weight_v`."""
        old = [f"{prefix}{name}_g", f"{prefix}{name}_v"]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(take_old_names)
    return module


class _SpectralNorm(Module):
    """w / sigma(w), the largest singular value by power iteration."""

    _u: Any
    _v: Any

    def __init__(
        self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        ndim = weight.ndim
        if dim >= ndim or dim < -ndim:
            raise IndexError(
                "Dimension out of range (expected to be in range of "
                f"[-{ndim}, {ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but "
                f"got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + ndim
        self.eps = eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._reshape_weight_to_matrix(weight)
            height, width = matrix.size()
            u = matrix.new_empty(height).normal_(0, 1)
            v = matrix.new_empty(width).normal_(0, 1)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._power_method(matrix, 15)  # a good start, so that one step a forward is enough

    def _reshape_weight_to_matrix(self, weight: Any) -> Any:
        if self.dim != 0:
            weight = weight.permute(self.dim, *(d for d in range(weight.dim()) if d != self.dim))
        return weight.flatten(1)

    def _power_method(self, matrix: Any, steps: int) -> None:
        with rl.no_grad():
            for _ in range(steps):
                self._u = F.normalize(rl.mv(matrix, self._v), dim=0, eps=self.eps, out=self._u)
                turned = rl.mv(matrix.conj().t(), self._u)
                self._v = F.normalize(turned, dim=0, eps=self.eps, out=self._v)

    def forward(self, weight: Any) -> Any:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._reshape_weight_to_matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # The buffers change in the next forward; backward needs these values.
        u, v = self._u.clone(), self._v.clone()
        return weight / rl.vdot(u, rl.mv(matrix, v))

    def right_inverse(self, value: Any) -> Any:
        return value  # it may not be normalised: assigning and reading back may differ


def spectral_norm(
    module: Any,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Any:
    """Keep the largest singular value of a weight at 1; returns the module.

    Args:
        module: with the parameter `name`.
        name: default: `"weight"`.
        n_power_iterations: steps of the iteration a forward, while training. Default: 1.
        eps: smallest norm. Default: 1e-12.
        dim: the dimension of the outputs. Default: that of the layer.

    Source: Miyato et al., "Spectral normalization for generative adversarial networks", 2018.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.nn.utils.parametrizations import spectral_norm
        >>> layer = spectral_norm(rl.nn.Linear(20, 40))
        >>> [name for name, _ in layer.named_parameters()]
        ['bias', 'parametrizations.weight.original']
    """
    weight = _weight_of(module, name)
    dim = output_dim(module) if dim is None else dim
    function = _SpectralNorm(weight, n_power_iterations, dim, eps)
    parametrize.register_parametrization(module, name, function)
    return module


class _OrthMaps(Enum):
    """From matrices to orthogonal ones."""

    matrix_exp = auto()
    cayley = auto()
    householder = auto()


def _is_orthogonal(q: Any) -> bool:
    n, k = q.size(-2), q.size(-1)
    identity = rl.eye(k, dtype=q.dtype, device=q.device)
    return bool(rl.allclose(q.mH @ q, identity, atol=10.0 * n * rl.finfo(q.dtype).eps))


def _make_orthogonal(a: Any) -> Any:
    """The orthogonal factor of a QR decomposition, made unique."""
    x, tau = rl.geqrf(a)
    q = rl.linalg.householder_product(x, tau)
    return q * x.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _Orthogonal(Module):
    """Orthogonal (or, if not square, semi-orthogonal) matrices."""

    base: Any

    def __init__(
        self, weight: Any, orthogonal_map: _OrthMaps, *, use_trivialization: bool = True
    ) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == _OrthMaps.householder:
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Any) -> Any:
        turned = x.size(-2) < x.size(-1)
        if turned:
            x = x.mT
        n, k = x.size(-2), x.size(-1)
        if self.orthogonal_map == _OrthMaps.householder:
            a = x.tril(diagonal=-1)
            tau = 2.0 / (1.0 + (a * a).sum(dim=-2))
            q = rl.linalg.householder_product(a, tau)
            # The diagonal carries the signs that the reflections cannot.
            q = q * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        else:
            x = x.tril()
            if n != k:
                zeros = x.new_zeros(n, n - k).expand(*x.shape[:-2], -1, -1)
                x = rl.cat([x, zeros], dim=-1)
            skew = x - x.mH
            if self.orthogonal_map == _OrthMaps.matrix_exp:
                q = rl.matrix_exp(skew)
            else:  # (I + A/2) (I - A/2)^-1
                identity = rl.eye(n, dtype=skew.dtype, device=skew.device)
                half = 0.5 * skew
                q = rl.linalg.solve(identity - half, identity + half)
            q = q[..., :k] if n != k else q
        if getattr(self, "base", None) is not None:
            q = self.base @ q
        return q.mT if turned else q

    def right_inverse(self, q: Any) -> Any:
        """The matrix that maps to `q`; or `q` becomes the new base, and the matrix zero."""
        if q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. "
                f"Got a tensor of shape {q.shape}."
            )
        with rl.no_grad():
            given = q
            turned = q.size(-2) < q.size(-1)
            if turned:
                q = q.mT
            n, k = q.size(-2), q.size(-1)
            if "base" not in self._buffers:
                if self.orthogonal_map != _OrthMaps.householder:
                    raise NotImplementedError(
                        "It is not possible to assign to the matrix exponential "
                        "or the Cayley parametrizations when use_trivialization=False."
                    )
                a, tau = rl.geqrf(q)
                diagonal = a.diagonal(dim1=-2, dim2=-1)
                diagonal.sign_()
                diagonal[tau == 0.0] *= -1
                return a.mT if turned else a
            if n == k:
                q = q.clone() if _is_orthogonal(q) else _make_orthogonal(q)
            else:
                shape = (*q.size()[:-2], n, n - k)
                drawn = rl.randn(*shape, dtype=q.dtype, device=q.device)
                q = _make_orthogonal(rl.cat([q, drawn], dim=-1))
            self.base = q
            # Of this matrix the map is the identity, whatever the map.
            start = rl.zeros_like(given)
            start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
            return start


def orthogonal(
    module: Any,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Any:
    """Keep a weight orthogonal (or with orthonormal rows or columns); returns the module.

    Args:
        module: with the parameter `name`.
        name: default: `"weight"`.
        orthogonal_map: `"matrix_exp"`, `"cayley"` or `"householder"`. Default: `"matrix_exp"`
            for square or complex weights, else `"householder"`.
        use_trivialization: keep a base matrix, so that any value can be assigned.

    Raises:
        ValueError: no such weight, fewer than two dimensions, or an unknown map.

    Source: Lezcano Casado, "Trivializations for gradient-based optimization on manifolds", 2019.
    """
    weight = _weight_of(module, name)
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _OrthMaps.__members__:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    function = _Orthogonal(weight, _OrthMaps[orthogonal_map], use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, function, unsafe=True)
    return module
