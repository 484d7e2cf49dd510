"""Batch normalisation layers, their lazy variants, and SyncBatchNorm.

In: (N, C) or (N, C, ...).  Out: each channel with mean 0 and variance 1 over the batch (or by the
running statistics, in evaluation), then scaled and shifted.
"""

from __future__ import annotations

import sys
from typing import Any

import rushlight as rl
from rushlight.nn import functional as F
from rushlight.nn import init
from rushlight.nn.parameter import Parameter, UninitializedBuffer, UninitializedParameter

from .lazy import LazyModuleMixin
from .module import Module

__all__ = [
    "BatchNorm1d",
    "LazyBatchNorm1d",
    "BatchNorm2d",
    "LazyBatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
]


class _NormBase(Module):
    """Scale, shift and running statistics for each channel."""

    _version = 2
    __constants__ = ["track_running_stats", "momentum", "eps", "num_features", "affine"]
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    weight: Any
    bias: Any
    running_mean: Any
    running_var: Any
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            if wanted:
                setattr(self, name, Parameter(rl.empty(num_features, device=device, dtype=dtype)))
            else:
                self.register_parameter(name, None)
        if track_running_stats:
            mean = rl.zeros(num_features, device=device, dtype=dtype)
            self.register_buffer("running_mean", mean)
            self.register_buffer("running_var", rl.ones(num_features, device=device, dtype=dtype))
            count = rl.tensor(0, dtype=rl.int64, device=device)
            self.register_buffer("num_batches_tracked", count)
        else:
            self.register_buffer("running_mean", None)
            self.register_buffer("running_var", None)
            self.register_buffer("num_batches_tracked", None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the batches seen: mean 0, variance 1, count 0."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget the batches seen; scale 1, shift 0."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input: Any) -> None:
        raise NotImplementedError

    def _expect_dims(self, input: Any, low: int, high: int) -> None:
        """ValueError unless the input has `low` or `high` dimensions."""
        dims = len(input.shape)
        if dims != low and dims != high:
            wanted = f"{low}D" if low == high else f"{low}D or {high}D"
            raise ValueError(f"expected {wanted} input (got {dims}D input)")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        version = local_metadata.get("version", None)
        key = prefix + "num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:
            # The first version of the format had no count.
            count = self.num_batches_tracked
            if count is None or count.is_meta:
                count = rl.tensor(0, dtype=rl.int64)
            state_dict[key] = count
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class _BatchNorm(_NormBase):
    """The forward pass of all batch normalisations."""

    def forward(self, input: Any) -> Any:
        """Normalise `input`; while training, update the running statistics."""
        self._check_input_dim(input)
        training = self.training
        track = self.track_running_stats
        mean, var, momentum = self.running_mean, self.running_var, self.momentum
        factor = 0.0 if momentum is None else momentum
        if training and track:
            count = self.num_batches_tracked
            if count is not None:
                count.add_(1)
                if momentum is None:  # the plain average of all batches
                    factor = 1.0 / float(count)
        use_batch = training or (mean is None and var is None)
        if training and not track:
            mean = var = None
        return F.batch_norm(input, mean, var, self.weight, self.bias, use_batch, factor, self.eps)


class _LazyNormBase(LazyModuleMixin, _NormBase):  # type: ignore[misc]
    """Takes `num_features` from dimension 1 of the first input."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        # No parameters and statistics yet: the real ones come below.
        super().__init__(0, eps, momentum, False, False, device, dtype, bias=False)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = rl.tensor(0, dtype=rl.int64, device=device)

    def reset_parameters(self) -> None:
        """Scale 1, shift 0 and no batches seen, if the parameters exist."""
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Any) -> None:
        """Give parameters and statistics their shapes."""
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        lazy = [self.weight, self.bias] if self.affine else []
        if self.track_running_stats:
            lazy += [self.running_mean, self.running_var]
        for member in lazy:
            if member is not None:
                member.materialize((self.num_features,))
        self.reset_parameters()


class BatchNorm1d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, channel by channel over the batch.

    Args:
        num_features: C, the number of channels.
        eps: keeps the root from 0. Default: 1e-5.
        momentum: share of the new batch in the running statistics; None for a plain average.
            Default: 0.1.
        affine: whether there are weight and bias. Default: `True`.
        track_running_stats: keep running statistics and use them in evaluation. Default: `True`.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias. Default: `True`.

    Shape:
        (N, C) or (N, C, L); output the same.

    Attributes:
        weight, bias: (C), 1 and 0 at first.
        running_mean, running_var: (C); the running variance is the unbiased one.
        num_batches_tracked: how many batches were seen.

    Raises:
        ValueError: another number of dimensions, or one value a channel while training.

    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.BatchNorm1d(3)(rl.randn(4, 3)).shape
        torch.Size([4, 3])
    """

    def _check_input_dim(self, input: Any) -> None:
        self._expect_dims(input, 2, 3)


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm):
    """A BatchNorm1d whose `num_features` comes from its first input; else the same arguments.

    Example:
        >>> import rushlight as rl
        >>> layer = rl.nn.LazyBatchNorm1d()
        >>> _ = layer(rl.randn(4, 3))
        >>> layer.num_features
        3
    """

    cls_to_become = BatchNorm1d

    def _check_input_dim(self, input: Any) -> None:
        self._expect_dims(input, 2, 3)


class BatchNorm2d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, channel by channel over the batch.

    Args:
        num_features: C, the number of channels.
        eps: keeps the root from 0. Default: 1e-5.
        momentum: share of the new batch in the running statistics; None for a plain average.
            Default: 0.1.
        affine: whether there are weight and bias. Default: `True`.
        track_running_stats: keep running statistics and use them in evaluation. Default: `True`.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias. Default: `True`.

    Shape:
        (N, C, H, W); output the same.

    Attributes:
        weight, bias: (C), 1 and 0 at first.
        running_mean, running_var: (C); the running variance is the unbiased one.
        num_batches_tracked: how many batches were seen.

    Raises:
        ValueError: another number of dimensions, or one value a channel while training.

    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.BatchNorm2d(3)(rl.randn(4, 3, 5, 5)).shape
        torch.Size([4, 3, 5, 5])
    """

    def _check_input_dim(self, input: Any) -> None:
        if len(input.shape) != 4:
            self._expect_dims(input, 4, 4)


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm):
    """A BatchNorm2d whose `num_features` comes from its first input; else the same arguments.

    Example:
        >>> import rushlight as rl
        >>> layer = rl.nn.LazyBatchNorm2d()
        >>> _ = layer(rl.randn(4, 3, 5, 5))
        >>> layer.num_features
        3
    """

    cls_to_become = BatchNorm2d

    def _check_input_dim(self, input: Any) -> None:
        if len(input.shape) != 4:
            self._expect_dims(input, 4, 4)


class BatchNorm3d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, channel by channel over the batch.

    Args:
        num_features: C, the number of channels.
        eps: keeps the root from 0. Default: 1e-5.
        momentum: share of the new batch in the running statistics; None for a plain average.
            Default: 0.1.
        affine: whether there are weight and bias. Default: `True`.
        track_running_stats: keep running statistics and use them in evaluation. Default: `True`.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias. Default: `True`.

    Shape:
        (N, C, D, H, W); output the same.

    Attributes:
        weight, bias: (C), 1 and 0 at first.
        running_mean, running_var: (C); the running variance is the unbiased one.
        num_batches_tracked: how many batches were seen.

    Raises:
        ValueError: another number of dimensions, or one value a channel while training.

    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.BatchNorm3d(3)(rl.randn(4, 3, 2, 5, 5)).shape
        torch.Size([4, 3, 2, 5, 5])
    """

    def _check_input_dim(self, input: Any) -> None:
        self._expect_dims(input, 5, 5)


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm):
    """A BatchNorm3d whose `num_features` comes from its first input; else the same arguments.

    Example:
        >>> import rushlight as rl
        >>> layer = rl.nn.LazyBatchNorm3d()
        >>> _ = layer(rl.randn(4, 3, 2, 5, 5))
        >>> layer.num_features
        3
    """

    cls_to_become = BatchNorm3d

    def _check_input_dim(self, input: Any) -> None:
        self._expect_dims(input, 5, 5)


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the batches of all processes of a group.

    Without a process group (or with one process) it is a BatchNorm of any dimension.

    Args:
        num_features: C, the number of channels.
        eps: keeps the root from 0. Default: 1e-5.
        momentum: share of the new batch in the running statistics. Default: 0.1.
        affine: whether there are weight and bias. Default: `True`.
        track_running_stats: keep running statistics. Default: `True`.
        process_group: the processes. Default: all.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias. Default: `True`.

    Raises:
        ValueError: fewer than two dimensions, no channels, or several processes on the CPU.

    Example:
        >>> import rushlight as rl
        >>> net = rl.nn.Sequential(rl.nn.BatchNorm1d(3))
        >>> rl.nn.SyncBatchNorm.convert_sync_batchnorm(net)[0].num_features
        3
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Any) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def forward(self, input: Any) -> Any:
        """Normalise `input` by the statistics of all processes."""
        self._check_input_dim(input)
        if input.size(1) == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")
        if self.training and _process_count(self.process_group) > 1:
            if input.device.type == "cpu":
                raise ValueError("SyncBatchNorm expected input tensor to be on GPU or XPU")
            raise NotImplementedError(
                "SyncBatchNorm over several processes is not in rushlight yet"
            )
        return super().forward(input)

    @classmethod
    def convert_sync_batchnorm(cls, module: Any, process_group: Any = None) -> Any:
        """Replace every BatchNorm in `module` by a SyncBatchNorm with the same values.

        Args:
            module: the network; changed in place.
            process_group: for the new layers.

        Returns:
            `module`, or the new layer if it is a BatchNorm itself.
        """
        converted = module
        if isinstance(module, _BatchNorm):
            converted = SyncBatchNorm(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            if module.affine:
                converted.weight = module.weight
                converted.bias = module.bias
            converted.running_mean = module.running_mean
            converted.running_var = module.running_var
            converted.num_batches_tracked = module.num_batches_tracked
            converted.training = module.training
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted


def _process_count(process_group: Any) -> int:
    """How many processes take part; 1 as long as nobody has loaded `distributed`."""
    distributed: Any = sys.modules.get("rushlight.distributed")
    if distributed is None or not (distributed.is_available() and distributed.is_initialized()):
        return 1
    return int(distributed.get_world_size(process_group or distributed.group.WORLD))
