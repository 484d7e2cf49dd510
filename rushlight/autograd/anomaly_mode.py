"""Anomaly detection: NaN in a backward pass is an error that names the operator and its origin."""

from __future__ import annotations

import warnings

from rushlight.dispatch import modes
from rushlight.dispatch.doors import enter
from rushlight.naming import PublicType

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class set_detect_anomaly(metaclass=PublicType):
    """Turns anomaly detection on or off; as a context, until its end.

    While it is on, each operator notes the line that called it, and a failing backward pass warns
    with that line.

    Args:
        mode: on or off.
        check_nan: raise where a gradient is NaN.

    Example:
        >>> import rushlight as torch
        >>> with torch.autograd.set_detect_anomaly(True):
        ...     torch.is_anomaly_enabled()
        True
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        state = modes.state
        enter("anomaly detection")
        self.was = state.anomaly, state.check_nan
        state.anomaly, state.check_nan = bool(mode), bool(check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        modes.state.anomaly, modes.state.check_nan = self.was

    def __repr__(self) -> str:
        return f"<torch.autograd.anomaly_mode.{type(self).__name__} object at {id(self):#x}>"


class detect_anomaly(set_detect_anomaly):
    """Context in which a NaN gradient is an error."""

    def __init__(self, check_nan: bool = True) -> None:
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            UserWarning,
            stacklevel=2,
        )
        self.was = modes.state.anomaly, modes.state.check_nan
        self.wanted = bool(check_nan)

    def __enter__(self) -> None:
        self.was = modes.state.anomaly, modes.state.check_nan
        modes.state.anomaly, modes.state.check_nan = True, self.wanted
