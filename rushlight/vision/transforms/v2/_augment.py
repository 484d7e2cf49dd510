"""v2 augmentations that mix or damage: erasing, MixUp, CutMix, JPEG.

In: a nested sample; for MixUp and CutMix a batch of images and its labels. Out: the same nesting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import rushlight as rl
from rushlight.vision import tv_tensors

from .. import _draws as D
from .. import _params as P
from .. import transforms as v1
from .._params import is_pil_image
from . import functional as F
from ._transform import RandomApplyTransform, Transform, warn_passing_through
from ._tree import tree_flatten, tree_unflatten
from ._utils import has_any, parse_labels_getter, query_chw, query_size
from .functional._utils import is_pure_tensor


class RandomErasing(RandomApplyTransform):
    """Overwrite a random box with probability p.

    Args:
        scale: (min, max) share of the area. ratio: (min, max) height over width.
        value: a number, one per channel, or 'random' for normal noise.
        inplace: overwrite the input.

    Source: Z. Zhong et al., Random Erasing Data Augmentation (2017), arXiv:1708.04896.
    """

    _v1_transform_cls = v1.RandomErasing

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0.0,
        inplace: bool = False,
    ) -> None:
        super().__init__(p=p)
        P.check_erasing(value, scale, ratio)
        self.scale = scale
        self.ratio = ratio
        self.value = P.erasing_value(value)
        self.inplace = inplace
        self._log_ratio = D.log_ratio(ratio)

    def _call_kernel(
        self, functional: Callable[..., Any], inpt: Any, *args: Any, **kwargs: Any
    ) -> Any:
        warn_passing_through(self, inpt)
        return super()._call_kernel(functional, inpt, *args, **kwargs)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        channels, height, width = query_chw(flat_inputs)
        if self.value is not None and len(self.value) not in (1, channels):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{channels} (number of inpt channels)"
            )
        found = D.erasing_box(channels, height, width, self.scale, self._log_ratio, self.value)
        box = (0, 0, height, width, None) if found is None else found
        return dict(zip(("i", "j", "h", "w", "v"), box, strict=True))

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if params["v"] is None:
            return inpt
        return self._call_kernel(F.erase, inpt, **params, inplace=self.inplace)


def _is_batch(inpt: Any) -> bool:
    return isinstance(inpt, (tv_tensors.Image, tv_tensors.Video)) or is_pure_tensor(inpt)


class _MixesBatches(Transform):
    """What MixUp and CutMix share: each image is mixed with the one before it in the batch."""

    def __init__(
        self, *, alpha: float = 1.0, num_classes: int | None = None, labels_getter: Any = "default"
    ) -> None:
        super().__init__()
        self.alpha = float(alpha)
        self.num_classes = num_classes
        self._labels_getter = parse_labels_getter(labels_getter)

    def _draw_lambda(self) -> float:
        """The share of the image itself, from Beta(alpha, alpha)."""
        alpha = rl.tensor([float(self.alpha)])
        return float(rl.distributions.Beta(alpha, alpha).sample(()))

    def _mix(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The mixed batch as a plain tensor."""
        raise NotImplementedError

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        flat, rebuild = tree_flatten(sample)
        chosen = self._needs_transform_list(flat)
        unsupported = (tv_tensors.BoundingBoxes, tv_tensors.Mask, tv_tensors.KeyPoints)
        if has_any(flat, is_pil_image, *unsupported):
            raise ValueError(
                f"{type(self).__name__}() does not support PIL images, bounding boxes, keypoints "
                "and masks."
            )
        labels = self._labels_getter(sample)
        self._check_labels(labels)
        drawn = self.make_params([x for x, yes in zip(flat, chosen, strict=True) if yes])
        params = {"labels": labels, "batch_size": labels.shape[0], **drawn}
        pairs = zip(flat, chosen, strict=True)
        out = [self.transform(x, params) if yes or x is labels else x for x, yes in pairs]
        return tree_unflatten(out, rebuild)

    def _check_labels(self, labels: Any) -> None:
        if not isinstance(labels, rl.Tensor):
            raise ValueError(f"The labels must be a tensor, but got {type(labels)} instead.")
        if labels.ndim not in (1, 2):
            raise ValueError(
                "labels should be index based with shape (batch_size,) or probability based with "
                "shape (batch_size, num_classes), but got a tensor of shape "
                f"{labels.shape} instead."
            )
        classes = self.num_classes
        if labels.ndim == 2 and classes is not None and labels.shape[-1] != classes:
            raise ValueError(
                "When passing 2D labels, the number of elements in last dimension must match "
                f"num_classes: {labels.shape[-1]} != {classes}. You can Leave num_classes to None."
            )
        if labels.ndim == 1 and classes is None:
            raise ValueError("num_classes must be passed if the labels are index-based (1D)")

    def _check_batch(self, inpt: Any, batch_size: int) -> None:
        wanted = 5 if isinstance(inpt, tv_tensors.Video) else 4
        if inpt.ndim != wanted:
            raise ValueError(
                f"Expected a batched input with {wanted} dims, but got {inpt.ndim} dimensions "
                "instead."
            )
        if inpt.shape[0] != batch_size:
            raise ValueError(
                "The batch size of the image or video does not match the batch size of the "
                f"labels: {inpt.shape[0]} != {batch_size}."
            )

    def _mix_labels(self, label: Any, share: float) -> Any:
        """Labels as probabilities: `share` of each one's own, the rest of the one before it."""
        if label.ndim == 1:
            assert self.num_classes is not None  # _check_labels has seen to that
            label = rl.nn.functional.one_hot(label, num_classes=self.num_classes)
        label = label if label.dtype.is_floating_point else label.float()
        return label.roll(1, 0).mul_(1.0 - share).add_(label.mul(share))

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if inpt is params["labels"]:
            return self._mix_labels(inpt, params["share"])
        if not _is_batch(inpt):
            return inpt
        self._check_batch(inpt, params["batch_size"])
        output = self._mix(inpt, params)
        return output if is_pure_tensor(inpt) else tv_tensors.wrap(output, like=inpt)


class MixUp(_MixesBatches):
    """Blend each image and its label with the ones before it in the batch.

    Args:
        alpha: of the Beta distribution of the share.
        num_classes: needed for labels given as indices.
        labels_getter: a function of the sample; "default" looks for labels.

    Source: H. Zhang et al., mixup: Beyond Empirical Risk Minimization (ICLR 2018).
    """

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"share": self._draw_lambda()}

    def _mix(self, inpt: Any, params: dict[str, Any]) -> Any:
        share = params["share"]
        return inpt.roll(1, 0).mul_(1.0 - share).add_(inpt.mul(share))


class CutMix(_MixesBatches):
    """Paste a random box of the image before it in the batch into each image.

    Arguments as in `MixUp`. Labels are mixed by area.

    Source: S. Yun et al., CutMix (ICCV 2019), arXiv:1905.04899.
    """

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        share = self._draw_lambda()
        height, width = query_size(flat_inputs)
        x, y = D.integer(0, width), D.integer(0, height)
        half = 0.5 * math.sqrt(1.0 - share)
        half_width, half_height = int(half * width), int(half * height)
        x1, y1 = max(x - half_width, 0), max(y - half_height, 0)
        x2, y2 = min(x + half_width, width), min(y + half_height, height)
        kept = float(1.0 - (x2 - x1) * (y2 - y1) / (width * height))
        return {"box": (x1, y1, x2, y2), "share": kept}

    def _mix(self, inpt: Any, params: dict[str, Any]) -> Any:
        x1, y1, x2, y2 = params["box"]
        output = inpt.clone()
        output[..., y1:y2, x1:x2] = inpt.roll(1, 0)[..., y1:y2, x1:x2]
        return output


class JPEG(Transform):
    """Compress as JPEG of a random quality and decode again.

    Args:
        quality: 1 to 100, or (min, max), both included.
    """

    def __init__(self, quality: Any) -> None:
        super().__init__()
        if isinstance(quality, bool):
            raise TypeError("quality can't be bool")
        if isinstance(quality, int):
            quality = [quality, quality]
        else:
            P.check_sequence(quality, "quality", (2,))
        low, high = quality
        if not (1 <= low <= high <= 100 and isinstance(low, int) and isinstance(high, int)):
            raise ValueError(f"quality must be an integer from 1 to 100, got quality ={quality!r}")
        self.quality = quality

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"quality": int(rl.randint(self.quality[0], self.quality[1] + 1, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.jpeg, inpt, **params)
