"""Data sets that return tv_tensors, for the v2 transforms.

In: a torchvision data set. Out: one of a derived class whose samples are wrapped before the data
set's `transforms` see them. A data set's wrapper is found by its class or its nearest base class;
those for classification return their samples as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import copy
from typing import Any

from rushlight.vision import datasets

__all__ = ["wrap_dataset_for_transforms_v2"]

Wrapper = Callable[[int, Any], Any]
_FACTORIES: dict[type, Callable[[Any, Any], Wrapper]] = {}


def _as_it_is(index: int, sample: Any) -> Any:
    return sample


for _kind in (
    datasets.CIFAR10,
    datasets.CIFAR100,
    datasets.MNIST,
    datasets.FashionMNIST,
    datasets.DatasetFolder,
    datasets.ImageFolder,
):
    _FACTORIES[_kind] = lambda dataset, target_keys: _as_it_is


def _factory_of(dataset: Any, target_keys: Any) -> Callable[[Any, Any], Wrapper]:
    kind = type(dataset)
    if not isinstance(dataset, datasets.VisionDataset):
        raise TypeError(
            "This wrapper is meant for subclasses of `torchvision.datasets.VisionDataset`, but got "
            f"a '{kind.__name__}' instead."
        )
    for base in kind.__mro__:
        if base in _FACTORIES:
            if target_keys is not None:
                raise ValueError(
                    "`target_keys` is currently only supported for `CocoDetection`, "
                    f"`VOCDetection`, `Kitti`, and `WIDERFace`, but got {base.__name__}."
                )
            return _FACTORIES[base]
    raise TypeError(
        f"No wrapper exists for dataset class {kind.__name__}. Please wrap the output yourself."
    )


class _WrapsSamples:
    """Mixed into the class of a wrapped data set, in front of its own methods."""

    def __init__(self, dataset: Any, target_keys: Any) -> None:
        self._dataset = dataset
        self._target_keys = target_keys
        self._wrapper = _factory_of(dataset, target_keys)(dataset, target_keys)
        # The transforms belong behind the wrapper: the inner data set keeps none.
        for name in ("transform", "target_transform", "transforms"):
            setattr(self, name, getattr(dataset, name))
            setattr(dataset, name, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_dataset"], name)

    def __getitem__(self, index: int) -> Any:
        sample = self._wrapper(index, self._dataset[index])
        transforms = self.__dict__["transforms"]
        return sample if transforms is None else transforms(*sample)

    def __len__(self) -> int:
        return len(self._dataset)

    def __reduce__(self) -> Any:
        inner = copy(self._dataset)
        for name in ("transform", "target_transform", "transforms"):
            setattr(inner, name, self.__dict__[name])
        return wrap_dataset_for_transforms_v2, (inner, self._target_keys)


def wrap_dataset_for_transforms_v2(dataset: Any, target_keys: Any = None) -> Any:
    """A data set whose samples suit the v2 transforms.

    Args:
        dataset: a data set of `torchvision.datasets`; its transforms move to the result.
        target_keys: None, "all", or names of the entries of a detection target to return.

    Raises:
        TypeError: the data set has no wrapper.
        ValueError: `target_keys` for a data set without such entries.

    Example:
        >>> from rushlight.vision import datasets
        >>> wrapped = datasets.wrap_dataset_for_transforms_v2  # (CIFAR10("data"))
        >>> wrapped.__name__
        'wrap_dataset_for_transforms_v2'
    """
    named = isinstance(target_keys, Collection) and all(isinstance(k, str) for k in target_keys)
    if target_keys is not None and not named:
        raise ValueError(
            "`target_keys` can be None, 'all', or a collection of strings denoting the keys to be "
            f"returned, but got {target_keys}"
        )
    kind = type(dataset)
    wrapped = type(f"Wrapped{kind.__name__}", (_WrapsSamples, kind), {})
    return wrapped(dataset, target_keys)
