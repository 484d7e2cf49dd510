"""v2 automatic augmentation of the one image or video of a sample.

In: a nested sample. Out: the sample with its image changed; labels pass through, boxes, masks and
points are refused. The operations and strengths are v1's (`..autoaugment`), the draws v2's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight.vision import tv_tensors

from .. import _tensor as T
from .. import autoaugment as v1
from .._params import check_augmix_severity, is_pil_image
from ..autoaugment import AutoAugmentPolicy
from . import functional as F
from ._transform import Transform
from ._tree import tree_flatten, tree_unflatten
from ._utils import check_type, get_fill, setup_fill
from .functional._utils import is_pure_tensor

_PICTURES = (tv_tensors.Image, is_pil_image, is_pure_tensor, tv_tensors.Video)
_REFUSED = (tv_tensors.BoundingBoxes, tv_tensors.Mask, tv_tensors.KeyPoints)


class _AutoAugmentBase(Transform):
    """What the four share: finding the image, drawing and applying an operation."""

    def __init__(self, *, interpolation: Any = "nearest", fill: Any = None) -> None:
        super().__init__()
        self.interpolation = interpolation
        self.fill = fill
        self._fill = setup_fill(fill)

    def _augment(self, image: Any, size: tuple[int, int]) -> Any:
        """The augmented image of (height, width)."""
        raise NotImplementedError

    def forward(self, *inputs: Any) -> Any:
        flat, rebuild = tree_flatten(inputs if len(inputs) > 1 else inputs[0])
        found = []
        for i, needed in enumerate(self._needs_transform_list(flat)):
            if needed and check_type(flat[i], _PICTURES):
                found.append(i)
            elif isinstance(flat[i], _REFUSED):
                raise TypeError(
                    f"Inputs of type {type(flat[i]).__name__} are not supported by "
                    f"{type(self).__name__}()"
                )
        if not found:
            raise TypeError("Found no image in the sample.")
        if len(found) > 1:
            raise TypeError(
                "Auto augment transformations are only properly defined for a single image or "
                f"video, but found {len(found)}."
            )
        image = flat[found[0]]
        height, width = F.get_size(image)
        flat[found[0]] = self._augment(image, (height, width))
        return tree_unflatten(flat, rebuild)

    def _strength(
        self, space: str, name: str, bins: int, size: tuple[int, int], pick: Any
    ) -> float:
        """The strength of an operation, its sign drawn; `pick()` gives the index."""
        strengths = v1.magnitudes(space, name, bins, size, white=1.0)
        if strengths is None:
            return 0.0
        strength = float(strengths[pick()])
        return -strength if name in v1.SIGNED and rl.rand(()) <= 0.5 else strength

    def _apply_op(self, image: Any, name: str, strength: float) -> Any:
        white = T.max_value(image.dtype) if isinstance(image, rl.Tensor) else 255.0
        fill = get_fill(self._fill, type(image))
        return v1.apply(F, image, name, strength, self.interpolation, fill, white)


def _choose(names: tuple[str, ...]) -> str:
    return names[int(rl.randint(len(names), ()))]


class AutoAugment(_AutoAugmentBase):
    """A random one of 25 learned pairs of operations.

    Args:
        policy: whose policies, `AutoAugmentPolicy.IMAGENET` by default.
        interpolation, fill: for the geometric operations.

    Source: E. D. Cubuk et al., AutoAugment (CVPR 2019), arXiv:1805.09501.
    """

    _v1_transform_cls = v1.AutoAugment

    def __init__(
        self,
        policy: Any = AutoAugmentPolicy.IMAGENET,
        interpolation: Any = "nearest",
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation=interpolation, fill=fill)
        self.policy = policy
        self._policies = v1.policies(policy)

    def _augment(self, image: Any, size: tuple[int, int]) -> Any:
        policy = self._policies[int(rl.randint(len(self._policies), ()))]
        for name, probability, level in policy:
            if rl.rand(()) <= probability:
                strength = self._strength("auto", name, 10, size, lambda level=level: level)
                image = self._apply_op(image, name, strength)
        return image


class RandAugment(_AutoAugmentBase):
    """`num_ops` random operations of equal strength.

    Args:
        num_ops: how many, one after the other.
        magnitude: the strength, an index below `num_magnitude_bins`.
        interpolation, fill: for the geometric operations.

    Source: E. D. Cubuk et al., RandAugment (2019), arXiv:1909.13719.
    """

    _v1_transform_cls = v1.RandAugment

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = "nearest",
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation=interpolation, fill=fill)
        if not isinstance(num_ops, int) or num_ops < 0:
            raise ValueError(
                f"num_ops should be a non-negative integer, but got {num_ops} instead."
            )
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def _augment(self, image: Any, size: tuple[int, int]) -> Any:
        for _ in range(self.num_ops):
            name = _choose(v1.SPACES["rand"])
            bins = self.num_magnitude_bins
            strength = self._strength("rand", name, bins, size, lambda: self.magnitude)
            image = self._apply_op(image, name, strength)
        return image


class TrivialAugmentWide(_AutoAugmentBase):
    """One random operation of random strength.

    Source: S. G. Müller, F. Hutter, TrivialAugment (ICCV 2021), arXiv:2103.10158.
    """

    _v1_transform_cls = v1.TrivialAugmentWide

    def __init__(
        self, num_magnitude_bins: int = 31, interpolation: Any = "nearest", fill: Any = None
    ) -> None:
        super().__init__(interpolation=interpolation, fill=fill)
        self.num_magnitude_bins = num_magnitude_bins

    def _augment(self, image: Any, size: tuple[int, int]) -> Any:
        name, bins = _choose(v1.SPACES["wide"]), self.num_magnitude_bins
        strength = self._strength("wide", name, bins, size, lambda: int(rl.randint(bins, ())))
        return self._apply_op(image, name, strength)


class AugMix(_AutoAugmentBase):
    """A random mixture of the image and of chains of random operations on it.

    Args:
        severity: largest strength, 1 to 10. mixture_width: how many chains.
        chain_depth: operations a chain; 1 to 3 at random when it is not positive.
        alpha: of the Dirichlet distributions of the weights.
        all_ops: brightness, colour, contrast and sharpness as well.

    Source: D. Hendrycks et al., AugMix (ICLR 2020), arXiv:1912.02781.
    """

    _v1_transform_cls = v1.AugMix

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: Any = "bilinear",
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation=interpolation, fill=fill)
        check_augmix_severity(severity, v1.MIX_BINS)
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops

    def _augment(self, image: Any, size: tuple[int, int]) -> Any:
        is_tensor = isinstance(image, rl.Tensor)
        tensor = image if is_tensor else F.pil_to_tensor(image)
        space = "mix all" if self.all_ops else "mix"
        pick: Callable[[], int] = lambda: int(rl.randint(self.severity, ()))  # noqa: E731

        def draw(batch: Any) -> Any:
            name = _choose(v1.SPACES[space])
            return self._apply_op(batch, name, self._strength(space, name, v1.MIX_BINS, size, pick))

        ndim = 5 if isinstance(image, tv_tensors.Video) else 4
        mixed = v1.mix_images(self, tensor, ndim, draw)
        if not is_tensor:
            return F.to_pil_image(mixed)
        return mixed if is_pure_tensor(image) else tv_tensors.wrap(mixed, like=image)
