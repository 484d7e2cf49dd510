"""The trainer's network: stages of convolution, pooling, batch norm and ReLU, then a linear layer.

In: images (N, 3, 32, 32). Out: one score a class (N, classes). Pooling comes before batch norm and
ReLU: the maximum commutes with ReLU, and both then work on a quarter of the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight import nn

__all__ = ["ConvNet"]


class ConvNet(nn.Module):
    """A small image classifier.

    Args:
        widths: channels after each stage; every stage halves height and width.
        classes: number of classes.
        size: height and width of the images. Default: 32.
        dropout: share of features dropped before the last layer. Default: 0.

    Shape:
        input (N, 3, size, size) float32; output (N, classes) float32.

    Example:
        >>> import rushlight as rl
        >>> ConvNet((8, 16), classes=10)(rl.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self, widths: Sequence[int], classes: int, size: int = 32, dropout: float = 0.0
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        channels = 3
        for width in widths:
            stages += [
                nn.Conv2d(channels, width, 3, padding=1, bias=False),
                nn.MaxPool2d(2),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels, size = width, size // 2
        self.features = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels * size * size, classes)
        )

    def forward(self, images: Any) -> Any:
        """Scores, one a class: (N, 3, H, W) -> (N, classes)."""
        return self.head(self.features(images))
