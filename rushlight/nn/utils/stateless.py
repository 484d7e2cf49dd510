"""Calling a module with other tensors in place of its parameters and buffers.

In: a module, tensors by dotted name, arguments.  Out: the result; the module is as before.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

__all__ = ["functional_call"]


def _owner(module: Any, name: str) -> tuple[dict[str, Any], str]:
    """The dictionary that holds the parameter or buffer `name`, and its key there."""
    path, _, key = name.rpartition(".")
    try:
        owner = module.get_submodule(path)
    except AttributeError:
        raise KeyError(name) from None
    for members in (owner._parameters, owner._buffers):
        if key in members:
            return members, key
    raise KeyError(name)


def _all_names(module: Any) -> dict[str, Any]:
    names = dict(module.named_parameters(remove_duplicate=False))
    names.update(module.named_buffers(remove_duplicate=False))
    return names


def _with_tied(module: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Also replace the other names of shared tensors."""
    groups: dict[int, list[str]] = {}
    for name, tensor in _all_names(module).items():
        groups.setdefault(id(tensor), []).append(name)
    untied = dict(given)
    for names in groups.values():
        named = [name for name in names if name in given]
        if len({id(given[name]) for name in named}) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, "
                "which are tied. Consider using tie_weights=False"
            )
        for name in names if named else ():
            untied[name] = given[named[0]]
    return untied


def _check_keys(module: Any, given: dict[str, Any]) -> None:
    names = _all_names(module)
    unexpected = [name for name in given if name not in names]
    missing = [name for name in names if name not in given]
    problems = []
    if unexpected:
        problems.append(f"Unexpected key(s): {', '.join(map(repr, unexpected))}.")
    if missing:
        problems.append(f"Missing key(s): {', '.join(map(repr, missing))}.")
    if problems:
        raise RuntimeError(
            "Error(s) in reparametrizing for {}:\n\t{}".format(
                module._get_name(), "\n\t".join(problems)
            )
        )


@contextlib.contextmanager
def _reparametrize_module(
    module: Any, given: dict[str, Any], tie_weights: bool = False, strict: bool = False
) -> Iterator[None]:
    """Context in which the module has the given tensors; what it writes goes back to `given`."""
    wanted = _with_tied(module, given) if tie_weights else given
    if strict:
        _check_keys(module, wanted)
    swapped: list[tuple[dict[str, Any], str, Any, str]] = []
    try:
        for name, tensor in wanted.items():
            try:
                members, key = _owner(module, name)
            except KeyError:
                continue  # unknown names are ignored unless strict
            swapped.append((members, key, members[key], name))
            members[key] = tensor
        yield
    finally:
        for members, key, before, name in reversed(swapped):
            if name in given:
                given[name] = members[key]
            members[key] = before


def _functional_call(
    module: Any,
    parameters_and_buffers: dict[str, Any],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`torch.func.functional_call` for one dictionary."""
    from rushlight.nn.parallel import DataParallel

    if isinstance(module, DataParallel):
        raise RuntimeError("The stateless API can't be used with nn.DataParallel module")
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _reparametrize_module(module, parameters_and_buffers, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def functional_call(
    module: Any,
    parameters_and_buffers: dict[str, Any],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Deprecated place of `torch.func.functional_call`: call a module with other tensors.

    Args:
        module: the module.
        parameters_and_buffers: tensors by dotted name.
        args: positional arguments, or the only one.
        kwargs: keyword arguments.
        tie_weights: also replace a shared tensor under its other names. Default: `True`.
        strict: demand exactly the module's names. Default: `False`.
    """
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 "
        "and will be removed in a future version of PyTorch. "
        "Please use `torch.func.functional_call` instead which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(
        module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict
    )
