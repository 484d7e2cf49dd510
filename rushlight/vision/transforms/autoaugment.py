"""Automatic augmentation: policies that pick transforms and their strengths at random.

In: a Pillow image or a tensor image of bytes. Out: the changed image. `magnitudes` is the table of
strengths, `apply` the list of operations; v2 shares both and draws in another order.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

import rushlight as rl
from rushlight.nn import Module

from . import functional as F
from ._params import InterpolationMode, check_augmix_severity
from ._random import fields, fill_for

__all__ = ["AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide"]


class AutoAugmentPolicy(Enum):
    """The data set whose learned policy `AutoAugment` applies."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


# The learned sub-policies of E. D. Cubuk et al., AutoAugment (CVPR 2019, arXiv:1805.09501), in the
# notation of that paper's appendix: operation, probability in tenths, magnitude (- where it has
# none).
_POLICY_TEXT = {
    AutoAugmentPolicy.IMAGENET: """
        Posterize 4 8, Rotate 6 9; Solarize 6 5, AutoContrast 6 -; Equalize 8 -, Equalize 6 -;
        Posterize 6 7, Posterize 6 6; Equalize 4 -, Solarize 2 4; Equalize 4 -, Rotate 8 8;
        Solarize 6 3, Equalize 6 -; Posterize 8 5, Equalize 10 -; Rotate 2 3, Solarize 6 8;
        Equalize 6 -, Posterize 4 6; Rotate 8 8, Color 4 0; Rotate 4 9, Equalize 6 -;
        Equalize 0 -, Equalize 8 -; Invert 6 -, Equalize 10 -; Color 6 4, Contrast 10 8;
        Rotate 8 8, Color 10 2; Color 8 8, Solarize 8 7; Sharpness 4 7, Invert 6 -;
        ShearX 6 5, Equalize 10 -; Color 4 0, Equalize 6 -; Equalize 4 -, Solarize 2 4;
        Solarize 6 5, AutoContrast 6 -; Invert 6 -, Equalize 10 -; Color 6 4, Contrast 10 8;
        Equalize 8 -, Equalize 6 -""",
    AutoAugmentPolicy.CIFAR10: """
        Invert 1 -, Contrast 2 6; Rotate 7 2, TranslateX 3 9; Sharpness 8 1, Sharpness 9 3;
        ShearY 5 8, TranslateY 7 9; AutoContrast 5 -, Equalize 9 -; ShearY 2 7, Posterize 3 7;
        Color 4 3, Brightness 6 7; Sharpness 3 9, Brightness 7 9; Equalize 6 -, Equalize 5 -;
        Contrast 6 7, Sharpness 6 5; Color 7 7, TranslateX 5 8; Equalize 3 -, AutoContrast 4 -;
        TranslateY 4 3, Sharpness 2 6; Brightness 9 6, Color 2 8; Solarize 5 2, Invert 0 -;
        Equalize 2 -, AutoContrast 6 -; Equalize 2 -, Equalize 6 -; Color 9 9, Equalize 6 -;
        AutoContrast 8 -, Solarize 2 8; Brightness 1 3, Color 7 0; Solarize 4 5, AutoContrast 9 -;
        TranslateY 9 9, TranslateY 7 9; AutoContrast 9 -, Solarize 8 3; Equalize 8 -, Invert 1 -;
        TranslateY 7 9, AutoContrast 9 -""",
    AutoAugmentPolicy.SVHN: """
        ShearX 9 4, Invert 2 -; ShearY 9 8, Invert 7 -; Equalize 6 -, Solarize 6 6;
        Invert 9 -, Equalize 6 -; Equalize 6 -, Rotate 9 3; ShearX 9 4, AutoContrast 8 -;
        ShearY 9 8, Invert 4 -; ShearY 9 5, Solarize 2 6; Invert 9 -, AutoContrast 8 -;
        Equalize 6 -, Rotate 9 3; ShearX 9 4, Solarize 3 3; ShearY 8 8, Invert 7 -;
        Equalize 9 -, TranslateY 6 6; Invert 9 -, Equalize 6 -; Contrast 3 3, Rotate 8 4;
        Invert 8 -, TranslateY 0 2; ShearY 7 6, Solarize 4 8; Invert 6 -, Rotate 8 4;
        ShearY 3 7, TranslateX 9 3; ShearX 1 6, Invert 6 -; Solarize 7 2, TranslateY 6 7;
        ShearY 8 4, Invert 8 -; ShearX 7 9, TranslateY 8 3; ShearY 8 5, AutoContrast 7 -;
        ShearX 7 2, Invert 1 -""",
}

Step = tuple[str, float, "int | None"]


def policies(policy: Any) -> list[tuple[Step, ...]]:
    """The 25 sub-policies of a data set: pairs of (operation, probability, magnitude index)."""
    text = _POLICY_TEXT.get(policy)
    if text is None:
        raise ValueError(f"The provided policy {policy} is not recognized.")

    def step(words: str) -> Step:
        name, tenths, level = words.split()
        return name, int(tenths) / 10, None if level == "-" else int(level)

    return [tuple(step(words) for words in pair.split(",")) for pair in text.split(";")]


# Operations whose strength is drawn with a random sign.
SIGNED = frozenset(
    [
        "ShearX",
        "ShearY",
        "TranslateX",
        "TranslateY",
        "Rotate",
        "Brightness",
        "Color",
        "Contrast",
        "Sharpness",
    ]
)
_WARPS = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
_TONES = ("Brightness", "Color", "Contrast", "Sharpness")
_LEVELS = ("Posterize", "Solarize", "AutoContrast", "Equalize")
SPACES = {
    "auto": (*_WARPS, *_TONES, *_LEVELS, "Invert"),
    "rand": ("Identity", *_WARPS, *_TONES, *_LEVELS),
    "wide": ("Identity", *_WARPS, *_TONES, *_LEVELS),
    "mix": (*_WARPS, *_LEVELS),
    "mix all": (*_WARPS, *_LEVELS, *_TONES),
}


def magnitudes(
    space: str, name: str, bins: int, size: tuple[int, int], white: float = 255.0
) -> Any:
    """The strengths of an operation, weakest first, as a tensor of `bins`; None if it has none.

    `size` is (height, width). Solarize's thresholds start at `white`.
    """
    wide, mix = space == "wide", space.startswith("mix")
    if name in ("ShearX", "ShearY"):
        top = 0.99 if wide else 0.3
    elif name in ("TranslateX", "TranslateY"):
        edge = size[1] if name == "TranslateX" else size[0]
        top = 32.0 if wide else edge / 3.0 if mix else 150.0 / 331.0 * edge
    elif name == "Rotate":
        top = 135.0 if wide else 30.0
    elif name in _TONES:
        top = 0.99 if wide else 0.9
    elif name == "Posterize":
        lost = 6 if wide else 4
        return ((4 if mix else 8) - (rl.arange(bins) / ((bins - 1) / lost)).round()).int()
    elif name == "Solarize":
        return rl.linspace(white, 0.0, bins)
    else:
        return None
    return rl.linspace(0.0, top, bins)


def apply(
    functional: Any,
    img: Any,
    name: str,
    magnitude: float,
    interpolation: Any,
    fill: Any,
    white: float = 1.0,
) -> Any:
    """Apply one operation with the functions of v1 or v2; `white` scales Solarize's threshold."""
    warp: dict[str, Any] = {"interpolation": interpolation, "fill": fill}
    if name in ("ShearX", "ShearY"):
        degrees = math.degrees(math.atan(magnitude))
        shear = [degrees, 0.0] if name == "ShearX" else [0.0, degrees]
        return functional.affine(img, 0.0, [0, 0], 1.0, shear, center=[0, 0], **warp)
    if name in ("TranslateX", "TranslateY"):
        shift = [int(magnitude), 0] if name == "TranslateX" else [0, int(magnitude)]
        return functional.affine(img, 0.0, shift, 1.0, [0.0, 0.0], **warp)
    if name == "Rotate":
        return functional.rotate(img, magnitude, **warp)
    if name == "Posterize":
        return functional.posterize(img, int(magnitude))
    if name == "Solarize":
        return functional.solarize(img, white * magnitude)
    if name == "Identity":
        return img
    simple = {"AutoContrast": "autocontrast", "Equalize": "equalize", "Invert": "invert"}
    if name in simple:
        return getattr(functional, simple[name])(img)
    tones = {"Color": "saturation"}
    return getattr(functional, f"adjust_{tones.get(name, name.lower())}")(img, 1.0 + magnitude)


class _Augment(Module):
    """What the four share: the fill and one operation."""

    interpolation: Any
    fill: Any

    def _operate(self, img: Any, name: str, magnitude: float, fill: Any) -> Any:
        return apply(F, img, name, magnitude, self.interpolation, fill)


class AutoAugment(_Augment):
    """A random one of 25 learned pairs of operations.

    Args:
        policy: whose policies, `AutoAugmentPolicy.IMAGENET` by default.
        interpolation, fill: for the geometric operations.

    Source: E. D. Cubuk et al., AutoAugment: Learning Augmentation Strategies from Data (CVPR 2019).
    """

    def __init__(
        self,
        policy: Any = AutoAugmentPolicy.IMAGENET,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__()
        self.policy = policy
        self.interpolation = interpolation
        self.fill = fill
        self.policies = policies(policy)

    @staticmethod
    def get_params(transform_num: int) -> Any:
        """(index of the sub-policy, two probabilities, two signs)."""
        return int(rl.randint(transform_num, (1,)).item()), rl.rand((2,)), rl.randint(2, (2,))

    def forward(self, img: Any) -> Any:
        fill = fill_for(img, self.fill)
        _, height, width = F.get_dimensions(img)
        chosen, probabilities, signs = self.get_params(len(self.policies))
        for i, (name, p, level) in enumerate(self.policies[chosen]):
            if probabilities[i] <= p:
                strengths = magnitudes("auto", name, 10, (height, width))
                strength = 0.0 if level is None else float(strengths[level])
                if name in SIGNED and signs[i] == 0:
                    strength = -strength
                img = self._operate(img, name, strength, fill)
        return img

    def __repr__(self) -> str:
        return fields(self, "policy", "fill")


class RandAugment(_Augment):
    """`num_ops` random operations of equal strength.

    Args:
        num_ops: how many, one after the other.
        magnitude: the strength, an index below `num_magnitude_bins`.
        interpolation, fill: for the geometric operations.

    Source: E. D. Cubuk et al., RandAugment (2019), arXiv:1909.13719.
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__()
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation
        self.fill = fill

    def forward(self, img: Any) -> Any:
        fill = fill_for(img, self.fill)
        _, height, width = F.get_dimensions(img)
        names = SPACES["rand"]
        for _ in range(self.num_ops):
            name = names[int(rl.randint(len(names), (1,)).item())]
            strengths = magnitudes("rand", name, self.num_magnitude_bins, (height, width))
            strength = 0.0 if strengths is None else float(strengths[self.magnitude])
            if name in SIGNED and rl.randint(2, (1,)):
                strength = -strength
            img = self._operate(img, name, strength, fill)
        return img

    def __repr__(self) -> str:
        return fields(self, "num_ops", "magnitude", "num_magnitude_bins", "interpolation", "fill")


class TrivialAugmentWide(_Augment):
    """One random operation of random strength.

    Source: S. G. Müller, F. Hutter, TrivialAugment (ICCV 2021), arXiv:2103.10158.
    """

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__()
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = interpolation
        self.fill = fill

    def forward(self, img: Any) -> Any:
        fill = fill_for(img, self.fill)
        _, height, width = F.get_dimensions(img)
        names = SPACES["wide"]
        name = names[int(rl.randint(len(names), (1,)).item())]
        strengths = magnitudes("wide", name, self.num_magnitude_bins, (height, width))
        strength = 0.0
        if strengths is not None:
            strength = float(strengths[int(rl.randint(len(strengths), (1,)).item())])
        if name in SIGNED and rl.randint(2, (1,)):
            strength = -strength
        return self._operate(img, name, strength, fill)

    def __repr__(self) -> str:
        return fields(self, "num_magnitude_bins", "interpolation", "fill")


MIX_BINS = 10  # AugMix's strengths run over ten steps


def mix_images(transform: Any, img: Any, batch_ndim: int, draw: Any) -> Any:
    """The mixture of AugMix (Algorithm 1) for a tensor; `draw(batch)` applies one random operation.

    mix = m0 * image + m1 * sum_i w_i * chain_i(image), m ~ Dirichlet(alpha), w ~ Dirichlet(alpha).
    """
    batch = img.reshape([1] * max(batch_ndim - img.ndim, 0) + list(img.shape))
    count = batch.shape[0]
    shape = [count] + [1] * (batch.ndim - 1)

    def weights(n: int) -> Any:
        concentration = rl.tensor([transform.alpha] * n, device=batch.device).expand(count, -1)
        return rl._sample_dirichlet(concentration)

    m = weights(2)
    chains = weights(transform.mixture_width) * m[:, 1].reshape([count, -1])
    mix = m[:, 0].reshape(shape) * batch
    for i in range(transform.mixture_width):
        changed, depth = batch, transform.chain_depth
        if depth <= 0:
            depth = int(rl.randint(1, 4, (1,)).item())
        for _ in range(depth):
            changed = draw(changed)
        mix = mix + chains[:, i].reshape(shape) * changed
    return mix.reshape(img.shape).to(img.dtype)


class AugMix(_Augment):
    """A random mixture of the image and of chains of random operations on it.

    Args:
        severity: largest strength, 1 to 10. mixture_width: how many chains.
        chain_depth: operations a chain; 1 to 3 at random when it is not positive.
        alpha: of the Dirichlet distributions of the weights.
        all_ops: brightness, colour, contrast and sharpness as well.

    Source: D. Hendrycks et al., AugMix (ICLR 2020), arXiv:1912.02781.
    """

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = None,
    ) -> None:
        super().__init__()
        check_augmix_severity(severity, MIX_BINS)
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops
        self.interpolation = interpolation
        self.fill = fill

    def forward(self, orig_img: Any) -> Any:
        fill = fill_for(orig_img, self.fill)
        _, height, width = F.get_dimensions(orig_img)
        is_tensor = isinstance(orig_img, rl.Tensor)
        img = orig_img if is_tensor else F.pil_to_tensor(orig_img)
        space = "mix all" if self.all_ops else "mix"
        names = SPACES[space]

        def draw(batch: Any) -> Any:
            name = names[int(rl.randint(len(names), (1,)).item())]
            strengths = magnitudes(space, name, MIX_BINS, (height, width))
            strength = 0.0
            if strengths is not None:
                strength = float(strengths[int(rl.randint(self.severity, (1,)).item())])
            if name in SIGNED and rl.randint(2, (1,)):
                strength = -strength
            return self._operate(batch, name, strength, fill)

        mixed = mix_images(self, img, 4, draw)
        return mixed if is_tensor else F.to_pil_image(mixed)

    def __repr__(self) -> str:
        return fields(
            self,
            "severity",
            "mixture_width",
            "chain_depth",
            "alpha",
            "all_ops",
            "interpolation",
            "fill",
        )
