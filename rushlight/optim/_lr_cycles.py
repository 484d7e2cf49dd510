"""The schedules that move rate and momentum together: CyclicLR and OneCycleLR.

In and out as in `rushlight.optim.lr_scheduler`, which exports both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from rushlight.optim._lr_base import (
    LRScheduler,
    check_optimizer,
    for_each_group,
    function_state,
    set_group_value,
    set_momentum,
    supports_momentum,
)

if TYPE_CHECKING:
    from rushlight.optim.optimizer import Optimizer

__all__ = ["CyclicLR", "OneCycleLR"]


def _start_momentum(scheduler: Any, base: Any, largest: Any, last_epoch: int) -> tuple[Any, Any]:
    """Give every group its momentum bounds; returns the lists of both."""
    optimizer = scheduler.optimizer
    scheduler.use_beta1 = supports_momentum(optimizer)
    base_momentums = for_each_group("base_momentum", optimizer, base)
    max_momentums = for_each_group("max_momentum", optimizer, largest)
    if last_epoch == -1:
        for low, high, group in zip(
            base_momentums, max_momentums, optimizer.param_groups, strict=True
        ):
            set_momentum(group, high, scheduler.use_beta1)
            group["max_momentum"] = high
            group["base_momentum"] = low
    return base_momentums, max_momentums


class CyclicLR(LRScheduler):
    """The rate goes up and down between two bounds, batch by batch; momentum the other way.

    Args:
        optimizer: the optimizer.
        base_lr: lower bound, one or a list with one a group.
        max_lr: upper bound of the first cycle, one or one a group.
        step_size_up: batches of the rise (default 2000).
        step_size_down: batches of the fall (default: as the rise).
        mode: "triangular", "triangular2" (halved every cycle) or "exp_range" (default the first).
        gamma: base of "exp_range" (default 1.0).
        scale_fn: own scaling of the height, instead of `mode`.
        scale_mode: "cycle" or "iterations": what `scale_fn` is given (default "cycle").
        cycle_momentum: move momentum too (default True).
        base_momentum: lower bound of momentum (default 0.8).
        max_momentum: upper bound of momentum (default 0.9).
        last_epoch: the last batch, to resume (default -1).

    Source: Smith, Cyclical learning rates for training neural networks, WACV 2017.
    """

    use_beta1: bool

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        base_lrs = for_each_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for lr, group in zip(base_lrs, optimizer.param_groups, strict=True):
                set_group_value(group, "lr", lr)
        self.max_lrs = for_each_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        self._init_scale_fn()
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = _start_momentum(
                self, base_momentum, max_momentum, last_epoch
            )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def _init_scale_fn(self) -> None:
        if self._scale_fn_custom is None:
            self.scale_mode = "iterations" if self.mode == "exp_range" else "cycle"

    def scale_fn(self, x: float) -> float:
        """The height of a cycle: by the cycle's number from 1, or by the batch's number."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        if self.mode == "triangular2":
            return float(1 / (2.0 ** (x - 1)))
        return float(self.gamma**x)

    def get_lr(self) -> list[Any]:
        """lr = base + (max - base) * triangle(t) * scale; momentum = max - the same."""
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        if x <= self.step_ratio:
            height = x / self.step_ratio
        else:
            height = (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for low, high, group in zip(
                self.base_momentums,
                self.max_momentums,
                self.optimizer.param_groups,
                strict=True,
            ):
                set_momentum(group, high - (high - low) * height * scale, self.use_beta1)
        return [
            low + (high - low) * height * scale
            for low, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """The attributes; of an own scaling only an object's attributes are kept."""
        state = super().state_dict()
        custom = state.pop("_scale_fn_custom")
        state["_scale_fn_custom"] = None if custom is None else function_state(custom)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the attributes of a `state_dict()`; an own scaling stays as constructed."""
        state = dict(state_dict)
        saved = state.pop("_scale_fn_custom")
        super().load_state_dict(state)
        if saved is not None and self._scale_fn_custom is not None:
            self._scale_fn_custom.__dict__.update(saved)
        self._init_scale_fn()


class OneCycleLR(LRScheduler):
    """One rise and one long fall of the rate, batch by batch; momentum the other way.

    Args:
        optimizer: the optimizer.
        max_lr: the highest rate, one or a list with one a group.
        total_steps: batches of the whole cycle; or else
        epochs, steps_per_epoch: whose product it is.
        pct_start: share of the rise (default 0.3).
        anneal_strategy: "cos" or "linear" (default "cos").
        cycle_momentum: move momentum too (default True).
        base_momentum: lower bound of momentum, one or one a group (default 0.85).
        max_momentum: upper bound of momentum, one or one a group (default 0.95).
        div_factor: the first rate is `max_lr / div_factor` (default 25).
        final_div_factor: the last rate is the first one divided by this (default 1e4).
        three_phase: fall to the first rate as fast as it rose, then on (default False).
        last_epoch: the last batch, to resume (default -1).

    Raises:
        ValueError: more steps than the cycle has, or an argument outside its range.

    Source: Smith, Topin, Super-convergence, 2018.

    Example:
        >>> import rushlight as rl
        >>> optimizer = rl.optim.SGD([rl.nn.Parameter(rl.ones(1))], lr=1.0, momentum=0.9)
        >>> cycle = rl.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
        >>> round(cycle.get_last_lr()[0], 6)
        0.04
    """

    use_beta1: bool

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        if pct_start < 0 or pct_start > 1 or not isinstance(pct_start, float):
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_func_type = anneal_strategy
        max_lrs = for_each_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for highest, group in zip(max_lrs, optimizer.param_groups, strict=True):
                group["initial_lr"] = highest / div_factor
                group["max_lr"] = highest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            _start_momentum(self, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _anneal_func(self, start: Any, end: Any, share: float) -> Any:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
        return (end - start) * share + start

    def get_lr(self) -> list[Any]:
        """Rates between the bounds of the phase in which the batch lies; sets momentum too."""
        self._warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. "
                f"The specified number of total steps is {self.total_steps}"
            )
        start = 0.0
        for phase in self._schedule_phases:
            end = phase["end_step"]
            if step <= end or phase is self._schedule_phases[-1]:
                break
            start = end
        share = (step - start) / (end - start)
        lrs = []
        for group in self.optimizer.param_groups:
            lrs.append(self._anneal_func(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                low, high = group[phase["start_momentum"]], group[phase["end_momentum"]]
                set_momentum(group, self._anneal_func(low, high, share), self.use_beta1)
        return lrs


def _total_steps(total: Any, epochs: Any, steps_per_epoch: Any) -> int:
    """The length of a cycle, given as such or as a product."""
    if total is not None:
        if total <= 0 or not isinstance(total, int):
            raise ValueError(f"Expected positive integer total_steps, but got {total}")
        return total
    if epochs is None or steps_per_epoch is None:
        raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
    for name, value in (("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
        if not isinstance(value, int) or value <= 0:
            raise ValueError(f"Expected positive integer {name}, but got {value}")
    return int(epochs * steps_per_epoch)


def _phases(total_steps: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    """The last batch of each phase, and the group entries between which it moves."""

    def phase(end_step: float, lrs: str, momentums: str) -> dict[str, Any]:
        start_lr, end_lr = lrs.split()
        start_momentum, end_momentum = momentums.split()
        return {
            "end_step": end_step,
            "start_lr": start_lr,
            "end_lr": end_lr,
            "start_momentum": start_momentum,
            "end_momentum": end_momentum,
        }

    rise = phase(
        float(pct_start * total_steps) - 1, "initial_lr max_lr", "max_momentum base_momentum"
    )
    last = total_steps - 1
    if not three_phase:
        return [rise, phase(last, "max_lr min_lr", "base_momentum max_momentum")]
    fall_end = float(2 * pct_start * total_steps) - 2
    return [
        rise,
        phase(fall_end, "max_lr initial_lr", "base_momentum max_momentum"),
        phase(last, "initial_lr min_lr", "max_momentum max_momentum"),
    ]
