"""Averages of weights over training: `torch.optim.swa_utils`.

In: a model as it trains.  Out: a model whose parameters are a running mean (SWA, Izmailov et al.
2018) or an exponential moving average (EMA) of its parameters, and the rate schedule for SWA.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import rushlight as rl
from rushlight.nn.modules.module import Module
from rushlight.optim._lr_base import LRScheduler, for_each_group

if TYPE_CHECKING:
    from rushlight import Tensor
    from rushlight.optim.optimizer import Optimizer

__all__ = [
    "AveragedModel",
    "update_bn",
    "SWALR",
    "get_ema_multi_avg_fn",
    "get_swa_multi_avg_fn",
    "get_ema_avg_fn",
    "get_swa_avg_fn",
]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def _can_lerp(tensor: Tensor) -> bool:
    return bool(tensor.is_floating_point() or tensor.dtype.is_complex)


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], None]:
    """A function that moves a list of averages by `1 - decay` towards the present parameters."""
    _check_decay(decay)

    def ema_update(averages: Any, currents: Any, _: Any) -> None:
        with rl.no_grad():
            for average, current in zip(averages, currents, strict=True):
                if _can_lerp(average):
                    average.lerp_(current, 1 - decay)
                else:
                    average.copy_(average * decay + current * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> Callable[[Any, Any, Any], None]:
    """A function that updates a list of running means after `num_averaged` models."""

    def swa_update(averages: Any, currents: Any, num_averaged: Any) -> None:
        with rl.no_grad():
            for average, current in zip(averages, currents, strict=True):
                if _can_lerp(average):
                    average.lerp_(current, float(1 / (num_averaged + 1)))
                else:
                    average.copy_(average + (current - average) / (num_averaged + 1))

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], Any]:
    """A function that returns the exponential moving average of one parameter."""
    _check_decay(decay)

    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Any:
        with rl.no_grad():
            return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Callable[[Any, Any, Any], Any]:
    """A function that returns the running mean of one parameter."""

    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Any:
        with rl.no_grad():
            return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model that holds averages of its parameters.

    Args:
        model: the model; it is copied.
        device: where the copy lives (default: where the model is).
        avg_fn: `f(average, current, num_averaged)` gives the new average (default: running mean).
        multi_avg_fn: the same for lists of parameters, in place.
        use_buffers: average the buffers too; else they are copied (default False).

    Raises:
        AssertionError: both functions are given.

    Source: Izmailov et al., Averaging weights leads to wider optima and better generalization,
    UAI 2018.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.optim.swa_utils import AveragedModel
        >>> model = rl.nn.Linear(1, 1)
        >>> averaged = AveragedModel(model)
        >>> averaged.update_parameters(model)
        >>> bool(averaged.module.weight == model.weight)
        True
    """

    n_averaged: Any

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[[Any, Any, Any], Any] | None = None,
        multi_avg_fn: Callable[[Any, Any, Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module: Any = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", rl.tensor(0, dtype=rl.long, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The copy's result."""
        return self.module(*args, **kwargs)

    def _pairs(self, model: Any) -> list[tuple[Any, Any]]:
        """Detached averages and present values, side by side."""
        own: Iterable[Any]
        other: Iterable[Any]
        if self.use_buffers:
            own = chain(self.module.parameters(), self.module.buffers())
            other = chain(model.parameters(), model.buffers())
        else:
            own, other = self.parameters(), model.parameters()
        return [
            (average.detach(), current.detach().to(average.device))
            for average, current in zip(own, other, strict=False)
        ]

    def update_parameters(self, model: Module) -> None:
        """Take the present parameters of `model` into the averages."""
        pairs = self._pairs(model)
        if self.n_averaged == 0:
            for average, current in pairs:
                average.copy_(current)
        elif self.avg_fn is not None:
            for average, current in pairs:
                average.copy_(self.avg_fn(average, current, self.n_averaged.to(average.device)))
        else:
            self._update_lists(pairs)
        if not self.use_buffers:
            for own, other in zip(self.module.buffers(), model.buffers(), strict=True):
                own.detach().copy_(other.detach().to(own.device))
        self.n_averaged += 1

    def _update_lists(self, pairs: list[tuple[Any, Any]]) -> None:
        """Apply the list function, once for each device and dtype."""
        groups: dict[Any, list[tuple[Any, Any]]] = {}
        for pair in pairs:
            groups.setdefault((pair[0].device, pair[0].dtype), []).append(pair)
        update = self.multi_avg_fn or get_swa_multi_avg_fn()
        for (device, _), members in groups.items():
            averages, currents = zip(*members, strict=True)
            update(list(averages), list(currents), self.n_averaged.to(device))


def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Recompute the running statistics of a model's batch norms by one pass over `loader`.

    Args:
        loader: gives inputs, or tuples or lists that begin with the input.
        model: the model, usually an `AveragedModel`.
        device: where to send the inputs first (default: nowhere).
    """
    from rushlight.nn.modules.batchnorm import _BatchNorm

    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    was_training = model.training
    with rl.no_grad():
        for norm in norms:
            norm.reset_running_stats()
        model.train()
        for norm in norms:
            norm.momentum = None  # a plain mean over all batches
        for batch in loader:
            inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(inputs if device is None else inputs.to(device))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """Move the rate to a constant one, at which weights are averaged.

    Args:
        optimizer: the optimizer.
        swa_lr: the rate to reach, one or a list with one a group.
        anneal_epochs: epochs of the change (default 10).
        anneal_strategy: "cos" or "linear" (default "cos").
        last_epoch: the last epoch, to resume (default -1).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        for rate, group in zip(
            for_each_group("swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True
        ):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, share: float) -> float:
        """How far the change is at a share of its epochs."""
        if self._anneal_strategy == "cos":
            return (1 - math.cos(math.pi * share)) / 2
        return share

    def get_lr(self) -> list[Any]:
        """lr = swa_lr * a(t) + start * (1 - a(t)); the start follows from the present rate."""
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        length = max(1, self.anneal_epochs)
        before = self.anneal_func(max(0, min(1, (step - 1) / length)))
        now = self.anneal_func(max(0, min(1, step / length)))
        lrs = []
        for group in self.optimizer.param_groups:
            lr, target = group["lr"], group["swa_lr"]
            start = target if before == 1 else (lr - before * target) / (1 - before)
            lrs.append(target * now + start * (1 - now))
        return lrs
