"""Random images made on the spot, for trying out a training loop without a download."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight.vision.datasets.vision import VisionDataset

__all__ = ["FakeData"]


class FakeData(VisionDataset):
    """Random PIL images with random labels; image `i` is the same every time.

    The program's own random stream is left as it was.

    Args:
        size: number of images.
        image_size: (channels, height, width).
        num_classes: labels lie in [0, num_classes).
        transform: function of the PIL image.
        target_transform: function of the label, a 0-d int64 tensor; its result must have `item()`.
        random_offset: image `i` is drawn with seed `i + random_offset`.

    Example:
        >>> image, label = FakeData(size=10, image_size=(3, 8, 8))[3]
        >>> image.size
        (8, 8)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label) at `index`, transformed."""
        from rushlight.vision.transforms.functional import to_pil_image

        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        state = rl.get_rng_state()
        rl.manual_seed(index + self.random_offset)
        pixels = rl.randn(*self.image_size)
        target: Any = rl.randint(0, self.num_classes, size=(1,), dtype=rl.long)[0]
        rl.set_rng_state(state)
        image: Any = to_pil_image(pixels)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target.item()

    def __len__(self) -> int:
        return self.size
