"""Making one batch of many samples.

In: a list of samples: tensors, arrays, numbers, strings, and dictionaries, tuples and lists of
them.  Out: the same structure, with tensors that have one dimension more.  Mirrors
`torch.utils.data._utils.collate`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

import rushlight as rl
from rushlight.errors import with_note

CollateMap = dict[Any, Callable[..., Any]]

np_str_obj_array_pattern = re.compile(r"[SaUO]")
default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def _same_mapping(like: Any, items: dict[Any, Any]) -> Any:
    """A mapping of the same type with new values; a plain dictionary where that is impossible."""
    try:
        if isinstance(like, MutableMapping):
            # The type may have attributes of its own, which its constructor does not know.
            made: Any = copy.copy(like)
            made.update(items)
            return made
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def _same_sequence(like: Any, items: list[Any]) -> Any:
    """A sequence of the same type with new values; a plain list where that is impossible."""
    try:
        if isinstance(like, MutableSequence):
            made: Any = copy.copy(like)
            for i, item in enumerate(items):
                made[i] = item
            return made
        return type(like)(items)
    except TypeError:
        return items


def default_convert(data: Any) -> Any:
    """Turn the NumPy arrays and scalars of a sample into tensors; the rest stays.

    Args:
        data: a sample, of any structure.

    Example:
        >>> from rushlight.utils.data import default_convert
        >>> import numpy as np
        >>> default_convert({"x": np.array([1, 2])})
        {'x': tensor([1, 2])}
    """
    if isinstance(data, rl.Tensor):
        return data
    kind = type(data)
    if kind.__module__ == "numpy" and kind.__name__ not in ("str_", "string_"):
        if kind.__name__ == "ndarray" and np_str_obj_array_pattern.search(data.dtype.str):
            return data
        return rl.as_tensor(data)
    if isinstance(data, Mapping):
        return _same_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return kind(*(default_convert(item) for item in data))
    if isinstance(data, tuple):
        return [default_convert(item) for item in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _same_sequence(data, [default_convert(item) for item in data])
    return data


def collate(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Make one batch of a list of samples.

    Args:
        batch: samples of equal structure.
        collate_fn_map: how to join the elements, by type (or tuple of types): functions of the
            list and of this map.

    Raises:
        TypeError: an element of a type that is not in the map and is no container.
        RuntimeError: lists of different lengths.
    """
    elem = batch[0]
    kind = type(elem)
    if collate_fn_map is not None:
        join = collate_fn_map.get(kind)
        if join is None:
            join = next((fn for t, fn in collate_fn_map.items() if isinstance(elem, t)), None)
        if join is not None:
            return join(batch, collate_fn_map=collate_fn_map)

    def inner(items: Any) -> Any:
        return collate(items, collate_fn_map=collate_fn_map)

    if isinstance(elem, Mapping):
        return _same_mapping(elem, {key: inner([d[key] for d in batch]) for key in elem})
    if isinstance(elem, tuple) and hasattr(elem, "_fields"):
        return kind(*(inner(column) for column in zip(*batch, strict=False)))
    if isinstance(elem, Sequence):
        size = len(elem)
        if any(len(item) != size for item in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [inner(column) for column in zip(*batch, strict=False)]
        return columns if isinstance(elem, tuple) else _same_sequence(elem, columns)
    raise _refusal(kind)


def _refusal(found: Any) -> TypeError:
    """The error for what cannot be joined, with what to do about it."""
    error = TypeError(default_collate_err_msg_format.format(found))
    if getattr(found, "__module__", "").startswith("PIL."):
        note = "the samples are images: give the data set transform=transforms.ToTensor()"
    elif found is type(None):
        note = "a sample holds None: return a tensor or a number instead"
    else:
        note = "return tensors, arrays or numbers from __getitem__, or pass a collate_fn"
    return with_note(error, note)


def collate_tensor_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Stack tensors."""
    return rl.stack(batch, 0)


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Stack arrays; those of strings and objects are refused."""
    dtype = batch[0].dtype
    if np_str_obj_array_pattern.search(dtype.str) is not None:
        raise _refusal(dtype)
    return collate([rl.as_tensor(item) for item in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """A tensor of NumPy scalars, with their dtype."""
    return rl.as_tensor(batch)


def collate_float_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """A float64 tensor of Python floats."""
    return rl.tensor(batch, dtype=rl.float64)


def collate_int_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """An int64 tensor of Python integers (a bool tensor of bools)."""
    return rl.tensor(batch)


def collate_str_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Strings stay as they are."""
    return batch


default_collate_fn_map: CollateMap = {
    rl.Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Iterable[Any]) -> Any:
    """Make one batch of a list of samples, by the loader's default rules.

    Tensors and arrays are stacked; numbers become a tensor; strings stay; dictionaries, tuples
    and lists are joined entry by entry.

    Args:
        batch: a list of samples of equal structure.

    Raises:
        TypeError: an element of another type, for instance an image without `ToTensor()`.

    Example:
        >>> from rushlight.utils.data import default_collate
        >>> default_collate([(1, "a"), (2, "b")])
        [tensor([1, 2]), ('a', 'b')]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
