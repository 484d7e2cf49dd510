"""Summaries of TensorBoard's HParams page: hyper-parameters and metrics of one run.

In: dicts of hyper-parameters and metrics. Out: three Summary messages (the experiment, the
session's start with its values, its end). Source: the HParams plugin's api.proto.
"""

from __future__ import annotations

from typing import Any

from rushlight.tensorboard.arrays import is_tensor, make_np
from rushlight.tensorboard.proto import Message, encode

__all__ = ["hparams"]

_STRING, _FLOAT64 = 1, 3  # DataType
_SUCCESS = 1  # Status


def hparams(
    hparam_dict: dict[str, Any],
    metric_dict: dict[str, Any],
    hparam_domain_discrete: dict[str, list[Any]] | None = None,
) -> tuple[Message, Message, Message]:
    """Three summaries that enter a run in the table of hyper-parameters.

    Args:
        hparam_dict: name to value: bool, str, float, int, a tensor (its first element), or None,
            which is left out. Booleans are stored as numbers, as PyTorch does.
        metric_dict: name to value; only the names count here.
        hparam_domain_discrete: name to all values that the hyper-parameter can have.

    Returns:
        The experiment, the session's start and the session's end.

    Raises:
        TypeError: an argument is no dict, or a domain has values of another type.
        ValueError: a hyper-parameter has a type that the table cannot hold.
    """
    _check_dict(hparam_dict, "hparam_dict")
    _check_dict(metric_dict, "metric_dict")
    domains = hparam_domain_discrete or {}
    _check_dict(domains, "hparam_domain_discrete")
    for name, domain in domains.items():
        kind = type(hparam_dict.get(name))
        if (
            name not in hparam_dict
            or not isinstance(domain, list)
            or not all(isinstance(item, kind) for item in domain)
        ):
            raise TypeError(
                f"parameter: hparam_domain_discrete[{name}] should be a list of same type "
                f"as hparam_dict[{name}]."
            )
    values, infos = [], []
    for name, value in hparam_dict.items():
        if value is None:
            continue
        values.append({"key": name, "value": _value(value)})
        info: Message = {"name": name, "type": _STRING if isinstance(value, str) else _FLOAT64}
        if name in domains:
            info["domain_discrete"] = {"values": [_value(item) for item in domains[name]]}
        infos.append(info)
    metrics = [{"name": {"tag": name}} for name in metric_dict]
    experiment = {"experiment": {"hparam_infos": infos, "metric_infos": metrics}}
    return (
        _summary("_hparams_/experiment", experiment),
        _summary("_hparams_/session_start_info", {"session_start_info": {"hparams": values}}),
        _summary("_hparams_/session_end_info", {"session_end_info": {"status": _SUCCESS}}),
    )


def _check_dict(value: object, name: str) -> None:
    if not isinstance(value, dict):
        raise TypeError(f"parameter: {name} should be a dictionary, nothing logged.")


def _value(value: Any) -> Message:
    if isinstance(value, int | float):
        return {"number_value": value}
    if isinstance(value, str):
        return {"string_value": value}
    if is_tensor(value):
        return {"number_value": float(make_np(value).reshape(-1)[0])}
    raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")


def _summary(tag: str, content: Message) -> Message:
    plugin = {"plugin_name": "hparams", "content": encode("HParamsPluginData", content)}
    return {"value": [{"tag": tag, "metadata": {"plugin_data": plugin}}]}
