"""What the v2 transforms ask about their inputs and arguments.

In: the leaves of a sample, or constructor arguments. Out: sizes, boxes, labels, fills.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Number
from typing import Any

import rushlight as rl
from rushlight.vision import tv_tensors

from .._params import PADDING_MODES, is_pil_image
from .functional import get_dimensions, get_size, is_pure_tensor

Check = Any  # a class, or a predicate


def check_type(obj: Any, types_or_checks: Sequence[Check]) -> bool:
    """Is the object of one of these classes, or accepted by one of these predicates?"""
    for check in types_or_checks:
        if isinstance(obj, check) if isinstance(check, type) else check(obj):
            return True
    return False


def has_any(flat_inputs: Sequence[Any], *types_or_checks: Check) -> bool:
    """Does some input match one of the checks?"""
    return any(check_type(inpt, types_or_checks) for inpt in flat_inputs)


def has_all(flat_inputs: Sequence[Any], *types_or_checks: Check) -> bool:
    """Does every check match some input?"""
    return all(any(check_type(i, (check,)) for i in flat_inputs) for check in types_or_checks)


def get_bounding_boxes(flat_inputs: Sequence[Any]) -> Any:
    """The first BoundingBoxes of a sample."""
    for inpt in flat_inputs:
        if isinstance(inpt, tv_tensors.BoundingBoxes):
            return inpt
    raise ValueError("No bounding boxes were found in the sample")


def get_keypoints(flat_inputs: Sequence[Any]) -> Any:
    """The first KeyPoints of a sample."""
    for inpt in flat_inputs:
        if isinstance(inpt, tv_tensors.KeyPoints):
            return inpt
    raise ValueError("No keypoints were found in the sample")


_PICTURES = (is_pure_tensor, tv_tensors.Image, is_pil_image, tv_tensors.Video)
_SIZED = (*_PICTURES, tv_tensors.Mask, tv_tensors.BoundingBoxes, tv_tensors.KeyPoints)


def _the_only(found: set[tuple[int, ...]], what: str, nothing: str) -> tuple[int, ...]:
    if not found:
        raise TypeError(nothing)
    if len(found) > 1:
        listed = "', '".join(str(item) for item in sorted(found))
        raise ValueError(f"Found multiple {what} dimensions in the sample: '{listed}'")
    return found.pop()


def query_chw(flat_inputs: Sequence[Any]) -> tuple[int, int, int]:
    """The (channels, height, width) that all images and videos of a sample share."""
    found = {tuple(get_dimensions(i)) for i in flat_inputs if check_type(i, _PICTURES)}
    c, h, w = _the_only(found, "CxHxW", "No image or video was found in the sample")
    return c, h, w


def query_size(flat_inputs: Sequence[Any]) -> tuple[int, int]:
    """The (height, width) that everything in a sample shares."""
    found = {tuple(get_size(i)) for i in flat_inputs if check_type(i, _SIZED)}
    nothing = "No image, video, mask, bounding box of keypoint was found in the sample"
    h, w = _the_only(found, "HxW", nothing)
    return h, w


def check_padding(padding: Any) -> None:
    """Check a constructor's `padding`."""
    if isinstance(padding, int):
        return
    good = isinstance(padding, (tuple, list)) and len(padding) in (1, 2, 4)
    if not good or not all(isinstance(p, int) for p in padding):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element of tuple or list, got {padding}."
        )


def check_padding_mode(padding_mode: Any) -> None:
    """Check a constructor's `padding_mode`."""
    if padding_mode not in PADDING_MODES:
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")


def _fill_value(fill: Any) -> Any:
    if fill is None or isinstance(fill, (int, float)):
        return fill
    if not isinstance(fill, (Number, tuple, list)):
        raise TypeError(
            "Got inappropriate fill arg, only Numbers, tuples, lists and dicts are allowed."
        )
    return [float(v) for v in fill]  # type: ignore[union-attr]


def setup_fill(fill: Any) -> dict[Any, Any]:
    """A fill, or a dict of them by input type with "others" for the rest, as such a dict."""
    if isinstance(fill, dict):
        return {key: _fill_value(value) for key, value in fill.items()}
    return {"others": _fill_value(fill)}


def get_fill(fills: dict[Any, Any], input_type: type) -> Any:
    """The fill for a type of input."""
    return fills[input_type] if input_type in fills else fills.get("others")


def find_labels(inputs: Any) -> Any:
    """Where samples usually keep their labels: the second item, or the key that says so."""
    if isinstance(inputs, (tuple, list)):
        inputs = inputs[1]
    if is_pure_tensor(inputs):
        return inputs
    if not isinstance(inputs, Mapping):
        raise ValueError(
            "When using the default labels_getter, the input passed to forward must be a "
            "dictionary or a two-tuple whose second item is a dictionary or a tensor, but got "
            f"{inputs} instead."
        )
    exact = [key for key in inputs if key.lower() == "labels"]
    for key in exact or [key for key in inputs if "label" in key.lower()]:
        return inputs[key]
    raise ValueError(
        "Could not infer where the labels are in the sample. Try passing a callable as the "
        "labels_getter parameter?If there are no labels in the sample by design, pass "
        "labels_getter=None."
    )


def parse_labels_getter(labels_getter: Any) -> Callable[[Any], Any]:
    """A `labels_getter` argument as a function of the sample."""
    if labels_getter == "default":
        return find_labels
    if callable(labels_getter):
        return labels_getter  # type: ignore[no-any-return]
    if labels_getter is None:
        return lambda _: None
    raise ValueError(
        f"labels_getter should either be 'default', a callable, or None, but got {labels_getter}."
    )


def label_tensors(labels: Any) -> tuple[Any, ...] | None:
    """What a labels getter returned as a tuple of tensors; None stays None."""
    if labels is None:
        return None
    entries = labels if isinstance(labels, (tuple, list)) else (labels,)
    for entry in entries:
        if not isinstance(entry, rl.Tensor):
            raise ValueError(
                "The labels in the input to forward() must be a tensor or None, got "
                f"{type(entry)} instead."
            )
    return tuple(entries)
