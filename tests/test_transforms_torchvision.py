"""The transforms against torchvision: equal seeds give equal pictures, values, messages and reprs.

Runs where real torch and torchvision are installed. Each case is the text of a constructor,
evaluated once with rushlight's modules and once with torchvision's, and applied to the same inputs.
"""

from __future__ import annotations

import inspect
import random
import re
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

import torchvision.transforms as their_v1
import torchvision.transforms.v2 as their_v2
import torchvision.tv_tensors as their_tv

import rushlight as rl
import rushlight.vision.transforms as our_v1
import rushlight.vision.transforms.v2 as our_v2
import rushlight.vision.tv_tensors as our_tv

OURS = SimpleNamespace(torch=rl, v1=our_v1, v2=our_v2, tv=our_tv, M=our_v1.InterpolationMode)
THEIRS = SimpleNamespace(
    torch=torch, v1=their_v1, v2=their_v2, tv=their_tv, M=their_v1.InterpolationMode
)

_RNG = np.random.default_rng(0)
PIXELS = _RNG.integers(0, 256, (23, 29, 3), dtype=np.uint8)
PIXELS[:5, :5] = 200
PIXELS[10:15, 10:20] = (10, 10, 10)

V1 = """
Resize(12)
Resize((20, 10))
Resize(10, max_size=11)
Resize(40)
Resize(12, M.BICUBIC)
Resize(12, antialias=False)
Resize(12, M.NEAREST)
Resize('a')
Resize([1, 2, 3])
Resize((5, 6), max_size=9)
CenterCrop(20)
CenterCrop((40, 20))
CenterCrop((1, 2, 3))
Pad(3)
Pad((1, 2), 7)
Pad([1, 2, 3, 4], 0, 'reflect')
Pad([1, 2, 3, 4], 0, 'edge')
Pad([1, 2, 3, 4], 0, 'symmetric')
Pad(2, (1, 2, 3))
Pad('x')
Pad(1, 0, 'zz')
RandomCrop(20)
RandomCrop(23, padding=4)
RandomCrop((23, 29))
RandomCrop(50)
RandomCrop((30, 40), None, True)
RandomHorizontalFlip()
RandomHorizontalFlip(1.0)
RandomVerticalFlip(1.0)
RandomResizedCrop(16)
RandomResizedCrop((10, 20), (0.5, 0.6), (2.0, 3.0))
FiveCrop(10)
TenCrop((10, 12), True)
FiveCrop(100)
ColorJitter(0.4, 0.3, 0.2, 0.1)
ColorJitter(hue=0.5)
ColorJitter(-1)
ColorJitter(0, 0, 0, 0.7)
RandomRotation(30)
RandomRotation((10, 20), M.BILINEAR, True)
RandomRotation(30, M.BILINEAR, False, (5, 5), (9, 8, 7))
RandomRotation(-3)
RandomAffine(30, (0.1, 0.2), (0.5, 1.5), (1, 2, 3, 4))
RandomAffine(30, None, None, 10, M.BILINEAR, 5, (3, 4))
RandomAffine(1, (2, 1))
Grayscale()
Grayscale(3)
RandomGrayscale(1.0)
RandomPerspective(0.5, 1.0)
RandomErasing(1.0)
RandomErasing(1.0, (0.1, 0.2), (0.5, 2.0), 'random')
RandomErasing(1.0, (0.1, 0.2), (0.5, 2.0), (1, 2))
GaussianBlur(5)
GaussianBlur((3, 7), 2.0)
GaussianBlur(4)
RandomInvert(1.0)
RandomPosterize(3, 1.0)
RandomSolarize(100, 1.0)
RandomAdjustSharpness(2.0, 1.0)
RandomAutocontrast(1.0)
RandomEqualize(1.0)
ElasticTransform()
ToTensor()
ToTensor(3)
PILToTensor()
ToPILImage()
ConvertImageDtype(torch.float32)
ConvertImageDtype(torch.uint8)
ConvertImageDtype(torch.int16)
Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
Normalize(0.5, 0.2)
Normalize([0.5], [0.0])
RandomApply([v1.RandomHorizontalFlip(1.0)], 0.7)
RandomOrder([v1.RandomHorizontalFlip(1.0), v1.RandomCrop(9)])
RandomChoice([v1.RandomHorizontalFlip(1.0), v1.RandomCrop(9)])
Compose([v1.RandomCrop(20, padding=2), v1.RandomHorizontalFlip(), v1.ToTensor()])
AutoAugment()
AutoAugment(v1.AutoAugmentPolicy.CIFAR10)
RandAugment()
TrivialAugmentWide()
""".strip().splitlines()

V2 = """
Resize(12)
Resize((20, 10))
Resize(None, max_size=20)
Resize(12, M.NEAREST)
Resize('a')
CenterCrop(20)
CenterCrop((40, 20))
Pad([1, 2, 3, 4], 7)
Pad(2, {tv.Image: 5, tv.Mask: 1, 'others': 0})
RandomCrop(20)
RandomCrop(23, padding=4)
RandomCrop(50)
RandomCrop((30, 40), None, True)
RandomHorizontalFlip(1.0)
RandomVerticalFlip(1.0)
RandomVerticalFlip()
RandomHorizontalFlip(2.0)
RandomResizedCrop(16)
FiveCrop(10)
ColorJitter(0.4, 0.3, 0.2, 0.1)
ColorJitter('a')
RandomRotation(30)
RandomRotation((10, 20), 'bilinear', True)
RandomRotation((90, 90), 'nearest', True)
RandomAffine(30, (0.1, 0.2), (0.5, 1.5), (1, 2, 3, 4))
Grayscale(3)
RGB()
RandomPerspective(0.5, 1.0)
RandomErasing(1.0)
GaussianBlur(5)
GaussianNoise()
RandomInvert(1.0)
RandomPosterize(3, 1.0)
RandomSolarize(0.5, 1.0)
RandomAdjustSharpness(0.3, 1.0)
RandomAutocontrast(1.0)
RandomEqualize(1.0)
ElasticTransform()
PILToTensor()
ToImage()
ToPILImage()
ToPureTensor()
ToDtype(torch.float32)
ToDtype(torch.float32, True)
ToDtype({tv.Image: torch.float32, tv.Mask: torch.int64, 'others': None}, True)
Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
Identity()
RandomZoomOut(5, (1.0, 3.0), 1.0)
ScaleJitter((30, 30))
RandomShortestSize((10, 20, 30), 25)
RandomResize(10, 30)
RandomPhotometricDistort()
RandomChannelPermutation()
ClampBoundingBoxes()
ConvertBoundingBoxFormat('CXCYWH')
SetClampingMode(None)
SanitizeBoundingBoxes(5, 30)
Compose([v2.ToImage(), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True)])
RandomApply([v2.ToImage(), v2.RandomHorizontalFlip()])
RandomChoice([v2.ToImage(), v2.RandomHorizontalFlip()])
RandomOrder([v2.ToImage(), v2.RandomHorizontalFlip()])
AutoAugment()
RandAugment()
TrivialAugmentWide()
""".strip().splitlines()


def v1_inputs(side: Any) -> dict[str, Any]:
    planes = side.torch.from_numpy(PIXELS.transpose(2, 0, 1).copy())
    floats = side.torch.from_numpy(PIXELS.transpose(2, 0, 1).astype(np.float32) / 255)
    pil = Image.fromarray(PIXELS)
    return {
        "RGB": pil,
        "L": pil.convert("L"),
        "RGBA": pil.convert("RGBA"),
        "bytes": planes,
        "floats": floats,
        "batch": side.torch.stack([floats, 1 - floats]),
        "one channel": planes[:1],
        "array": PIXELS,
    }


def boxes(side: Any, format: str) -> Any:
    corners = np.array([[5, 6, 20, 15], [0, 0, 29, 23], [20, 10, 28, 20]], np.float32)
    if format == "CXCYWH":
        middle, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
        corners = np.concatenate([middle, size], 1)
    elif format == "XYWHR":
        size, angle = corners[:, 2:] - corners[:, :2], np.array([[0], [30], [-20]], np.float32)
        corners = np.concatenate([corners[:, :2], size, angle], 1)
    data = side.torch.from_numpy(corners)
    return side.tv.BoundingBoxes(data, format=format, canvas_size=(23, 29))


def v2_inputs(side: Any) -> dict[str, Any]:
    plain = v1_inputs(side)
    labels = side.torch.from_numpy(np.arange(3))
    levels = side.torch.from_numpy(PIXELS[:, :, 0] // 50)
    out = {key: plain[key] for key in ("RGB", "L", "bytes", "floats", "array")}
    out["video"] = side.tv.Video(side.torch.stack([plain["bytes"], plain["bytes"].flip(-1)]))
    out["class"] = (plain["RGB"], 3)
    for format in ("XYXY", "CXCYWH", "XYWHR"):
        out[format] = {
            "image": side.tv.Image(plain["bytes"]),
            "target": {"boxes": boxes(side, format), "labels": labels},
            "mask": [side.tv.Mask(levels)],
            "points": side.tv.KeyPoints([[3.0, 4.0], [28, 22]], canvas_size=(23, 29)),
        }
    return out


def plain(value: Any) -> Any:
    """A result as nested lists of arrays, images and plain values, the same for both sides."""
    if hasattr(value, "canvas_size"):
        head = [type(value).__name__, tuple(value.canvas_size)]
        head += [value.format.value, value.clamping_mode] if hasattr(value, "format") else []
        return [*head, value.detach().numpy()]
    if hasattr(value, "numpy"):
        return [type(value).__name__, value.detach().numpy()]
    if isinstance(value, dict):
        return [list(value), *(plain(item) for item in value.values())]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *(plain(item) for item in value)]
    return value


def assert_same(ours: Any, theirs: Any, steps: bool) -> None:
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b, steps)
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        if theirs.dtype == np.uint8:
            # Bytes are rounded from floats: one level now and then, where `steps` says so.
            apart = np.abs(ours.astype(int) - theirs.astype(int))
            assert apart.max(initial=0) <= int(steps) and (apart > 0).mean() < 0.005
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    elif isinstance(theirs, Image.Image):
        assert (ours.mode, ours.size) == (theirs.mode, theirs.size)
        assert_same(np.asarray(ours), np.asarray(theirs), steps)
    else:
        assert ours == theirs


def outcome(side: Any, expression: str, inpt: Any) -> Any:
    """(repr, result) or the error of one transform on one input, after seeding everything."""
    random.seed(3)
    side.torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            transform = eval(expression, vars(side))
            side.torch.manual_seed(3)
            return plain((repr(transform), transform(inpt)))
        except Exception as error:  # whatever it is, both sides must raise it
            return [type(error), str(error)]


def no_addresses(result: Any) -> Any:
    """Names of classes and addresses of objects may differ."""
    if isinstance(result, list):
        return [no_addresses(item) for item in result]
    if not isinstance(result, str):
        return result
    return re.sub("0x[0-9A-F]+", "0x", result.replace("rushlight.vision", "torchvision"))


# Where a sample lies between two pixels, rounding can fall to either side.
WARPS = ("Perspective", "Affine", "Rotation", "Elastic", "Resize", "Scale", "Shortest", "Aug")


def compare(expression: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    steps = any(word in expression for word in WARPS)
    for name in theirs:
        a = no_addresses(outcome(OURS, expression, ours[name]))
        b = no_addresses(outcome(THEIRS, expression, theirs[name]))
        try:
            assert_same(a, b, steps and name not in ("RGB", "L", "RGBA"))
        except AssertionError as error:
            error.add_note(f"{expression} on {name}:\n  {a!r:.300}\n  {b!r:.300}")
            raise


@pytest.mark.parametrize("expression", V1)
def test_v1_equals_torchvision(expression: str) -> None:
    compare(f"v1.{expression}", v1_inputs(OURS), v1_inputs(THEIRS))


@pytest.mark.parametrize("expression", V2)
def test_v2_equals_torchvision(expression: str) -> None:
    compare(f"v2.{expression}", v2_inputs(OURS), v2_inputs(THEIRS))


def test_names_are_torchvisions() -> None:
    import rushlight.vision.transforms.functional as our_f
    import rushlight.vision.transforms.v2.functional as our_f2

    assert set(their_v1.transforms.__all__) <= set(dir(our_v1))
    for ours, theirs in ((our_v2, their_v2), (our_f2, their_v2.functional)):
        public = {name for name in vars(theirs) if not name.startswith("_")}
        assert public - {"InterpolationMode"} - set(dir(ours)) == set()
    functions = {n for n, f in vars(their_v1.functional).items() if getattr(f, "__code__", 0)}
    assert {n for n in functions if n[0] != "_"} - set(dir(our_f)) == set()


def parameters(member: Any) -> list[tuple[str, str]]:
    signature = inspect.signature(member)
    return [(p.name, str(p.default)) for p in signature.parameters.values()]


def test_signatures_are_torchvisions() -> None:
    pairs = ((our_v1, their_v1), (our_v2, their_v2), (our_v1.functional, their_v1.functional))
    for ours, theirs in (*pairs, (our_v2.functional, their_v2.functional), (our_tv, their_tv)):
        for name, member in vars(theirs).items():
            made_there = getattr(member, "__module__", "").startswith("torchvision")
            # Kernels for videos, masks and points are those of images under another name.
            other = name.endswith(("_video", "_mask", "_keypoints")) or name == "TVTensor"
            if name[0] == "_" or not callable(member) or not made_there or other:
                continue
            assert parameters(getattr(ours, name)) == parameters(member), name


@pytest.mark.parametrize("make", ["MixUp(alpha=0.8, num_classes=5)", "CutMix(num_classes=5)"])
def test_batch_mixing_draws_from_a_beta_distribution(make):
    images = _RNG.random((4, 3, 16, 16), dtype=np.float32)
    mixed = []
    for side in (OURS, THEIRS):
        side.torch.manual_seed(3)
        transform = eval(f"v2.{make}", vars(side))
        labels = side.torch.tensor([1, 2, 0, 3])
        mixed.append([t.numpy() for t in transform(side.torch.tensor(images), labels)])
    for got, want in zip(*mixed, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("module", ["v1", "v2"])
def test_augmix_draws_from_a_dirichlet_distribution(module):
    pixels = _RNG.integers(0, 256, (3, 32, 32), dtype=np.uint8)
    for seed in range(3):
        mixed = []
        for side in (OURS, THEIRS):
            side.torch.manual_seed(seed)
            image = getattr(side, module).AugMix()(side.torch.tensor(pixels))
            mixed.append(image.numpy().astype(int))
        assert np.abs(mixed[0] - mixed[1]).max() <= 1  # the weights may differ in their last bit
