"""Anomaly detection: NaN in a backward pass is an error that names the operator."""

from __future__ import annotations

from rushlight.dispatch import modes

__all__ = ["detect_anomaly", "is_anomaly_enabled", "set_detect_anomaly"]


class set_detect_anomaly:
    """Turns anomaly detection on or off; as a context, until its end.

    Args:
        mode: on or off.
        check_nan: raise where a gradient is NaN.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.was = modes.state.anomaly
        modes.state.anomaly = bool(mode) and check_nan

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        modes.state.anomaly = self.was


class detect_anomaly(set_detect_anomaly):
    """Context in which NaN in a backward pass is an error."""

    def __init__(self, check_nan: bool = True) -> None:
        import warnings

        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            UserWarning,
            stacklevel=2,
        )
        self.was = modes.state.anomaly
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self.was = modes.state.anomaly
        modes.state.anomaly = self.check_nan


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return modes.state.anomaly
