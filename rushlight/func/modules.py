"""Modules as functions of their parameters: per-sample gradients, ensembles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rushlight as rl
from rushlight.nn.modules.batchnorm import _BatchNorm
from rushlight.nn.utils.stateless import _functional_call

__all__ = ["functional_call", "replace_all_batch_norm_modules_", "stack_module_state"]


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Calls a module with other tensors in the place of its parameters and buffers.

    Args:
        module: the module.
        parameter_and_buffer_dicts: names (as in ``state_dict``) to tensors; or several such dicts.
        args, kwargs: what the module is called with; ``args`` that is no tuple is one argument.
        tie_weights: what is tied in the module also is in the call.
        strict: refuse missing and unknown names.

    Example:
        >>> import rushlight as torch
        >>> layer = torch.nn.Linear(1, 1, bias=False)
        >>> torch.func.functional_call(layer, {"weight": torch.full((1, 1), 3.0)}, torch.ones(1))
        tensor([3.])
    """
    given = parameter_and_buffer_dicts
    if not isinstance(given, dict):
        if not isinstance(given, Sequence):
            raise ValueError(
                "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but "
                f"got {type(given)}"
            )
        if not all(isinstance(d, dict) for d in given):
            raise ValueError(
                "Expected all elements of parameter_and_buffer_dicts to be dictionaries"
            )
        keys = [name for d in given for name in d]
        twice = [name for name in dict.fromkeys(keys) if keys.count(name) > 1]
        if twice:
            raise ValueError(
                f"{twice} appeared in multiple dictionaries; behavior of functional call is "
                "ambiguous"
            )
        given = {name: t for d in given for name, t in d.items()}
    return _functional_call(module, given, args, kwargs, tie_weights=tie_weights, strict=strict)


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of models of one class, stacked: an ensemble for ``vmap``.

    Returns:
        two dicts from names to tensors whose first dimension is the model.

    Example:
        >>> import rushlight as torch
        >>> layers = [torch.nn.Linear(2, 3) for _ in range(5)]
        >>> parameters, buffers = torch.func.stack_module_state(layers)
        >>> parameters["weight"].shape
        torch.Size([5, 3, 2])
    """
    if len(models) == 0:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    kind = type(models[0])
    if not all(type(m) is kind for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = [dict(m.named_parameters()) for m in models]
    buffers = [dict(m.named_buffers()) for m in models]
    return (
        {name: _stacked(name, [p[name] for p in parameters]) for name in parameters[0]},
        {name: _stacked(name, [b[name] for b in buffers]) for name in buffers[0]},
    )


def _stacked(name: str, tensors: list[Any]) -> Any:
    leaves = all(t.is_leaf for t in tensors)
    wants = [t.requires_grad for t in tensors]
    if not (all(wants) or not any(wants)):
        raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
    made = rl.stack(tensors)
    return made.detach().requires_grad_(wants[0]) if leaves else made


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Makes all batch normalisations under a module use the batch's statistics, and keep none."""
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = None
            module.running_var = None
            module.num_batches_tracked = None
            module.track_running_stats = False
    return root
