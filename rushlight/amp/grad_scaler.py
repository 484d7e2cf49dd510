"""Loss scaling: gradients of float16 kept above underflow.

The loss is multiplied by a scale, the gradients divided by it before the step; a step whose
gradients are not finite is left out and the scale lowered, many good steps raise it.  Source:
Micikevicius et al., "Mixed precision training" (2018).
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable
from enum import Enum
from typing import Any

import rushlight as rl
from rushlight.naming import PublicType

__all__ = ["GradScaler", "OptState"]


class OptState(Enum):
    """How far an optimizer is in this iteration."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _new_state() -> dict[str, Any]:
    return {"stage": OptState.READY, "found_inf_per_device": {}}


class GradScaler(metaclass=PublicType):
    """Scales losses, and unscales and checks gradients before steps.

    Args:
        device: ``"cuda"`` (the default; without CUDA the scaler does nothing) or ``"cpu"``.
        init_scale: the first scale.
        growth_factor: by which the scale grows after ``growth_interval`` good steps; above 1.
        backoff_factor: by which it is multiplied after a bad step; below 1.
        growth_interval: how many good steps in a row raise it.
        enabled: whether the scaler does anything.

    Raises:
        AssertionError: factors on the wrong side of 1; calls out of order.

    Example:
        >>> import rushlight as torch
        >>> w = torch.ones(1, requires_grad=True)
        >>> optimizer, scaler = torch.optim.SGD([w], lr=0.5), torch.amp.GradScaler("cpu")
        >>> scaler.scale((w * 2).sum()).backward()
        >>> _ = scaler.step(optimizer)
        >>> scaler.update()
        >>> w
        tensor([0.], requires_grad=True)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if device == "cuda" and enabled and not rl.cuda.is_available():
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                stacklevel=2,
            )
            self._enabled = False
        if not self._enabled:
            return
        if growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._init_scale = init_scale
        self._scale: Any = None  # made on the device of the first loss
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._init_growth_tracker = 0
        self._growth_tracker: Any = None  # good steps since the last change
        self._per_optimizer_states: dict[int, dict[str, Any]] = defaultdict(_new_state)

    def _require_scale(self, what: str) -> None:
        for name in ("_scale", "_growth_tracker"):
            if getattr(self, name) is None:
                raise AssertionError(
                    f"Attempted {what} but {name} is None.  This may indicate your script did not "
                    "use scaler.scale(loss or outputs) earlier in the iteration."
                )

    def scale(self, outputs: Any) -> Any:
        """Outputs (a tensor, or tensors in containers) times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, rl.Tensor):
            if self._scale is None:
                device, track = outputs.device, self._init_growth_tracker
                self._scale = rl.full((), self._init_scale, dtype=rl.float32, device=device)
                self._growth_tracker = rl.full((), track, dtype=rl.int32, device=device)
            return outputs * self._scale.to(outputs.device)
        if isinstance(outputs, Iterable):
            scaled = map(self.scale, outputs)
            kind: Any = type(outputs)
            return kind(scaled) if isinstance(outputs, (list, tuple)) else scaled
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def _unscale_grads_(
        self, optimizer: Any, inv_scale: Any, found_inf: Any, allow_fp16: bool
    ) -> dict[Any, Any]:
        """Multiplies the gradients; returns for each device 1 where one was not finite, else 0."""
        found: dict[Any, Any] = {}
        with rl.no_grad():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    grad = parameter.grad
                    if grad is None:
                        continue
                    if not allow_fp16 and grad.dtype == rl.float16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    if grad.device not in found:
                        found[grad.device] = found_inf.clone().to(grad.device)
                    found[grad.device].masked_fill_(~rl.isfinite(grad).all(), 1.0)
                    grad.mul_(inv_scale.to(grad.device))
        return found

    def unscale_(self, optimizer: Any) -> None:
        """Divides the gradients of an optimizer's parameters by the scale, for clipping, say.

        Raises:
            RuntimeError: called twice, or after ``step``, in one iteration.
        """
        if not self._enabled:
            return
        self._require_scale("unscale_")
        record = self._per_optimizer_states[id(optimizer)]
        if record["stage"] is OptState.UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if record["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        inverse = self._scale.double().reciprocal().float()
        found_inf = rl.full((), 0.0, dtype=rl.float32, device=self._scale.device)
        record["found_inf_per_device"] = self._unscale_grads_(optimizer, inverse, found_inf, False)
        record["stage"] = OptState.UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Unscales if that was not done, and steps unless a gradient is not finite.

        Returns:
            What ``optimizer.step`` returns; None where the step is left out.

        Raises:
            RuntimeError: a closure; a second step before ``update``.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._require_scale("step")
        record = self._per_optimizer_states[id(optimizer)]
        if record["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if record["stage"] is OptState.READY:
            self.unscale_(optimizer)
        found = record["found_inf_per_device"]
        if not found:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None
        if not sum(flag.item() for flag in found.values()):
            result = optimizer.step(*args, **kwargs)
        record["stage"] = OptState.STEPPED
        return result

    def update(self, new_scale: Any = None) -> None:
        """Adjusts the scale by what the steps of this iteration found, or sets it."""
        if not self._enabled:
            return
        self._require_scale("update")
        if new_scale is not None:
            self._set_scale(new_scale)
        else:
            found = [
                flag.item()
                for record in self._per_optimizer_states.values()
                for flag in record["found_inf_per_device"].values()
            ]
            if not found:
                raise AssertionError("No inf checks were recorded prior to update.")
            self._adjust(any(found))
        self._per_optimizer_states = defaultdict(_new_state)

    def _set_scale(self, new_scale: Any) -> None:
        if isinstance(new_scale, float):
            self._scale.fill_(new_scale)
            return
        if (
            new_scale.device.type != self._device
            or new_scale.numel() != 1
            or new_scale.requires_grad
        ):
            raise AssertionError(
                "new_scale should be a float or a 1-element torch.cuda.FloatTensor or "
                "torch.FloatTensor with requires_grad=False."
            )
        self._scale.copy_(new_scale)

    def _adjust(self, bad: bool) -> None:
        if bad:
            self._scale.mul_(self._backoff_factor)
            self._growth_tracker.fill_(0)
            return
        self._growth_tracker.add_(1)
        due = self._growth_tracker == self._growth_interval
        grown = self._scale * self._growth_factor
        # a scale may not overflow
        self._scale.copy_(rl.where(due & rl.isfinite(grown), grown, self._scale))
        self._growth_tracker.masked_fill_(due, 0)

    def get_scale(self) -> float:
        """The scale; 1 if the scaler is off."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale)

    def get_growth_factor(self) -> float:
        """The growth factor."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Sets the growth factor."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """The backoff factor."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Sets the backoff factor."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """The growth interval."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Sets the growth interval."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        if not self._enabled:
            return 0
        if self._growth_tracker is None:
            return self._init_growth_tracker
        return int(self._growth_tracker)

    def is_enabled(self) -> bool:
        """Whether the scaler does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The scaler's state; empty if it is off."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up a state.

        Raises:
            RuntimeError: an empty state, as a scaler that was off gives it.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved "
                "from a disabled instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._scale is not None:
            self._scale.fill_(state_dict["scale"])
            self._growth_tracker.fill_(state_dict["_growth_tracker"])

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._enabled:
            if self._per_optimizer_states:
                raise AssertionError(
                    "A GradScaler instance may only be pickled at the beginning "
                    "of an iteration, or at the end after scaler.update()."
                )
            state["_init_scale"] = self.get_scale()
            state["_init_growth_tracker"] = self._get_growth_tracker()
            state["_scale"] = state["_growth_tracker"] = None
        return state
