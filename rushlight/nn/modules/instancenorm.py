"""Instance normalisation layers and their lazy variants.

In: (N, C, ...) or (C, ...).  Out: each channel of each sample with mean 0 and variance 1.
"""

from __future__ import annotations

import warnings
from typing import Any

from rushlight.nn import functional as F

from .batchnorm import _LazyNormBase, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    """The forward pass of all instance normalisations."""

    _spatial_dims: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _get_no_batch_dim(self) -> int:
        return self._spatial_dims + 1

    def _check_input_dim(self, input: Any) -> None:
        self._expect_dims(input, self._spatial_dims + 1, self._spatial_dims + 2)

    def _apply_instance_norm(self, input: Any) -> Any:
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        if local_metadata.get("version", None) is None and not self.track_running_stats:
            # Before 0.4 statistics were tracked by default; such files are named, not loaded.
            names = (prefix + "running_mean", prefix + "running_var")
            stale = [key for key in names if key in state_dict]
            if stale:
                quoted = " and ".join(f'"{key}"' for key in stale)
                klass = type(self).__name__
                error_msgs.append(
                    f"Unexpected running stats buffer(s) {quoted} for {klass} with "
                    "track_running_stats=False. If state_dict is a checkpoint saved before "
                    f"0.4.0, this may be expected because {klass} does not track running stats "
                    "by default since 0.4.0. Please remove these keys from state_dict. If the "
                    "running stats are actually needed, instead set track_running_stats=True in "
                    f"{klass} to enable them. See the documentation of {klass} for details."
                )
            for key in stale:
                state_dict.pop(key)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def forward(self, input: Any) -> Any:
        """Normalise `input`."""
        self._check_input_dim(input)
        unbatched = self._get_no_batch_dim()
        dim = input.dim() - unbatched
        if input.size(dim) != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={dim} to match num_features"
                    f" ({self.num_features}), but got: {input.size(dim)}."
                )
            warnings.warn(
                f"input's size at dim={dim} does not match num_features. "
                "You can silence this warning by not passing in num_features, "
                "which is not used because affine=False",
                stacklevel=2,
            )
        if input.dim() == unbatched:
            return self._apply_instance_norm(input.unsqueeze(0)).squeeze(0)
        return self._apply_instance_norm(input)


class InstanceNorm1d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel of each sample.

    Args:
        num_features: C, the number of channels.
        eps: keeps the root from 0. Default: 1e-5.
        momentum: share of the new batch in the running statistics. Default: 0.1.
        affine: whether there are weight and bias. Default: `False`.
        track_running_stats: keep running statistics and use them in evaluation. Default: `False`.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias, if affine. Default: `True`.

    Shape:
        (N, C, L) or (C, L); output the same.

    Source: Ulyanov et al., "Instance normalization", 2016.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.InstanceNorm1d(3)(rl.randn(2, 3, 5)).shape
        torch.Size([2, 3, 5])
    """

    _spatial_dims = 1


class LazyInstanceNorm1d(_LazyNormBase, _InstanceNorm):
    """An InstanceNorm1d whose `num_features` comes from its first input.

    Args: as InstanceNorm1d without `num_features`; affine and tracking by default.

    Example:
        >>> import rushlight as rl
        >>> layer = rl.nn.LazyInstanceNorm1d()
        >>> _ = layer(rl.randn(2, 3, 5))
        >>> layer.num_features
        3
    """

    cls_to_become = InstanceNorm1d
    _spatial_dims = 1


class InstanceNorm2d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel of each sample.

    Args:
        num_features: C, the number of channels.
        eps: keeps the root from 0. Default: 1e-5.
        momentum: share of the new batch in the running statistics. Default: 0.1.
        affine: whether there are weight and bias. Default: `False`.
        track_running_stats: keep running statistics and use them in evaluation. Default: `False`.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias, if affine. Default: `True`.

    Shape:
        (N, C, H, W) or (C, H, W); output the same.

    Source: Ulyanov et al., "Instance normalization", 2016.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.InstanceNorm2d(3)(rl.randn(2, 3, 5, 5)).shape
        torch.Size([2, 3, 5, 5])
    """

    _spatial_dims = 2


class LazyInstanceNorm2d(_LazyNormBase, _InstanceNorm):
    """An InstanceNorm2d whose `num_features` comes from its first input.

    Args: as InstanceNorm2d without `num_features`; affine and tracking by default.

    Example:
        >>> import rushlight as rl
        >>> layer = rl.nn.LazyInstanceNorm2d()
        >>> _ = layer(rl.randn(2, 3, 5, 5))
        >>> layer.num_features
        3
    """

    cls_to_become = InstanceNorm2d
    _spatial_dims = 2


class InstanceNorm3d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel of each sample.

    Args:
        num_features: C, the number of channels.
        eps: keeps the root from 0. Default: 1e-5.
        momentum: share of the new batch in the running statistics. Default: 0.1.
        affine: whether there are weight and bias. Default: `False`.
        track_running_stats: keep running statistics and use them in evaluation. Default: `False`.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias, if affine. Default: `True`.

    Shape:
        (N, C, D, H, W) or (C, D, H, W); output the same.

    Source: Ulyanov et al., "Instance normalization", 2016.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.InstanceNorm3d(3)(rl.randn(2, 3, 5, 5, 5)).shape
        torch.Size([2, 3, 5, 5, 5])
    """

    _spatial_dims = 3


class LazyInstanceNorm3d(_LazyNormBase, _InstanceNorm):
    """An InstanceNorm3d whose `num_features` comes from its first input.

    Args: as InstanceNorm3d without `num_features`; affine and tracking by default.

    Example:
        >>> import rushlight as rl
        >>> layer = rl.nn.LazyInstanceNorm3d()
        >>> _ = layer(rl.randn(2, 3, 5, 5, 5))
        >>> layer.num_features
        3
    """

    cls_to_become = InstanceNorm3d
    _spatial_dims = 3
