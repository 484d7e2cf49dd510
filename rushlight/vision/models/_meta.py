"""Facts about weights trained on ImageNet, in torchvision's form."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from rushlight.vision.models._api import Weights
from rushlight.vision.transforms import InterpolationMode
from rushlight.vision.transforms._presets import ImageClassification

__all__ = ["SWAG", "imagenet_categories", "imagenet_weights", "swag_preset"]

FILES = "https://download.pytorch.org/models/"
PROJECT = "https://github.com/pytorch/vision/"
SWAG = "https://github.com/facebookresearch/SWAG"  # weak supervision by hashtags
TRAINING = PROJECT + "tree/main/references/classification"


@functools.cache
def imagenet_categories() -> list[str]:
    """The thousand class names of ImageNet-1K, in the order of the labels."""
    path = Path(__file__).with_name("imagenet_classes.txt")
    return path.read_text(encoding="utf-8").splitlines()


def imagenet_weights(
    file: str,
    params: int,
    accuracy: tuple[float, float],
    ops: float,
    size: float,
    recipe: str,
    *,
    min_size: tuple[int, int] = (1, 1),
    crop_size: int = 224,
    extra: dict[str, Any] | None = None,
    **preset: Any,
) -> Weights:
    """Weights for ImageNet-1K classification.

    Args:
        file: name on the download server.
        params: number of parameters.
        accuracy: top-1 and top-5 accuracy on the validation images, in percent.
        ops: multiply-add operations of one image, in billions.
        size: size of the file in MiB.
        recipe: how they were trained: a heading of torchvision's training page (`#vgg`), a place in
            its project (`pull/1`), or a URL.
        min_size: least height and width of an image.
        crop_size: side of the square that the preprocessing cuts out.
        extra: further facts.
        **preset: further arguments of `ImageClassification`.
    """
    if recipe.startswith("#"):
        recipe = TRAINING + recipe
    elif not recipe.startswith("https:"):
        recipe = PROJECT + recipe
    facts: dict[str, Any] = {
        "min_size": min_size,
        "categories": imagenet_categories(),
        "num_params": params,
        "recipe": recipe,
        "_metrics": {"ImageNet-1K": {"acc@1": accuracy[0], "acc@5": accuracy[1]}},
        "_ops": ops,
        "_file_size": size,
        "_docs": f"Top-1 accuracy {accuracy[0]} %, trained as described at {recipe}.",
    }
    return Weights(
        url=FILES + file,
        transforms=functools.partial(ImageClassification, crop_size=crop_size, **preset),
        meta=facts | (extra or {}),
    )


def swag_preset(side: int) -> dict[str, Any]:
    """What all weights of SWAG have in common, for images of `side` x `side` pixels."""
    return {
        "crop_size": side,
        "resize_size": side,
        "interpolation": InterpolationMode.BICUBIC,
        "extra": {"license": f"{SWAG}/blob/main/LICENSE"},
    }
