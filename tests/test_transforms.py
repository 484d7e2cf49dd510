"""The image transforms: known values, Pillow as the reference, and properties. No torch needed."""

from __future__ import annotations

import collections
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rushlight as rl
from rushlight.vision import transforms as v1
from rushlight.vision import tv_tensors
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms import v2
from rushlight.vision.transforms.v2 import functional as F2

_RNG = np.random.default_rng(1)
PIXELS = _RNG.integers(0, 256, (20, 26, 3), dtype=np.uint8)
PIXELS[4:9, 6:15] = (30, 200, 90)
PICTURE = Image.fromarray(PIXELS)


def tensor() -> Any:
    return rl.from_numpy(PIXELS.transpose(2, 0, 1).copy())


def array(x: Any) -> np.ndarray:
    """A picture or tensor as an array of planes."""
    if isinstance(x, Image.Image):
        x = np.asarray(x)
        return x[None] if x.ndim == 2 else x.transpose(2, 0, 1)
    return x.numpy()


# ---------------------------------------------------------------- conversion


def test_to_tensor_scales_bytes_and_moves_channels_first() -> None:
    out = v1.ToTensor()(PICTURE)
    assert out.dtype == rl.float32
    assert out.is_contiguous()
    np.testing.assert_array_equal(out.numpy(), PIXELS.transpose(2, 0, 1) / np.float32(255))
    np.testing.assert_array_equal(v1.ToTensor()(PIXELS).numpy(), out.numpy())


@pytest.mark.parametrize(
    ("mode", "dtype"), [("L", "float32"), ("I", "int32"), ("F", "float32"), ("I;16", "int16")]
)
def test_to_tensor_of_single_channel_modes(mode: str, dtype: str) -> None:
    grey = np.arange(6).reshape(2, 3)
    kind = {"L": np.uint8, "I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
    out = F.to_tensor(Image.fromarray(grey.astype(kind)))
    assert str(out.dtype) == f"torch.{dtype}"
    np.testing.assert_allclose(out.numpy()[0], grey / (255 if mode == "L" else 1), rtol=1e-6)


def test_to_tensor_of_black_and_white_is_zero_and_one() -> None:
    out = F.to_tensor(Image.fromarray(np.array([[True, False]])))
    assert out.tolist() == [[[1.0, 0.0]]]


def test_to_tensor_shares_a_contiguous_float_array() -> None:
    grey = np.zeros((2, 3), np.float32)
    out = F.to_tensor(grey)
    grey[0, 0] = 5
    assert out[0, 0, 0].item() == 5


def test_to_tensor_follows_the_default_dtype() -> None:
    rl.set_default_dtype(rl.float64)
    try:
        assert F.to_tensor(PICTURE).dtype == rl.float64
    finally:
        rl.set_default_dtype(rl.float32)


def test_to_tensor_refuses_other_things() -> None:
    with pytest.raises(TypeError, match=r"pic should be PIL Image or ndarray. Got <class 'list'>"):
        F.to_tensor([1])
    with pytest.raises(ValueError, match=r"pic should be 2/3 dimensional. Got 1 dimensions."):
        F.to_tensor(np.zeros(3))


def test_missing_parentheses_are_explained() -> None:
    with pytest.raises(TypeError) as caught:
        v1.ToTensor(PICTURE)  # type: ignore[call-arg]
    message = "ToTensor.__init__() takes 1 positional argument but 2 were given"
    assert str(caught.value) == message
    assert "ToTensor()" in caught.value.__notes__[0]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "YCbCr", "HSV", "CMYK", "I", "F"])
def test_pictures_survive_the_way_through_tensors(mode: str) -> None:
    picture = PICTURE.convert("L").convert(mode) if mode in "LAIF" else PICTURE.convert(mode)
    back = F.to_pil_image(F.pil_to_tensor(picture), mode=mode)
    assert (back.mode, back.size) == (picture.mode, picture.size)
    assert back.tobytes() == picture.tobytes()


def test_to_pil_image_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"pic should not have > 4 channels. Got 5 channels."):
        F.to_pil_image(rl.zeros(5, 2, 2))
    with pytest.raises(ValueError, match=r"Only modes .* are supported for 3D inputs"):
        F.to_pil_image(rl.zeros(3, 2, 2), mode="L")
    with pytest.raises(TypeError, match="Input type int64 is not supported"):
        F.to_pil_image(rl.zeros(3, 2, 2, dtype=rl.int64))


def test_convert_image_dtype_keeps_white_white() -> None:
    white = rl.tensor([[[255]]], dtype=rl.uint8)
    assert F.convert_image_dtype(white, rl.float32).item() == 1.0
    assert F.convert_image_dtype(white, rl.int16).item() == 255 * 128
    assert F.convert_image_dtype(rl.ones(1, 1, 1), rl.uint8).item() == 255
    with pytest.raises(RuntimeError, match="cannot be performed safely"):
        F.convert_image_dtype(rl.ones(1, 1, 1), rl.int32)


def test_normalize() -> None:
    image = rl.tensor([[[0.5]], [[1.0]]])
    out = v1.Normalize((0.5, 0.0), (0.5, 2.0))(image)
    assert out.flatten().tolist() == [0.0, 0.5]
    assert image.flatten().tolist() == [0.5, 1.0]
    assert F.normalize(image, [0.5, 0.0], [0.5, 2.0], inplace=True) is image
    assert image.flatten().tolist() == [0.0, 0.5]
    with pytest.raises(
        ValueError, match=r"std evaluated to zero after conversion to torch.float32"
    ):
        F.normalize(image, [0.5], [0.0])
    with pytest.raises(TypeError, match=r"Input tensor should be a float tensor. Got torch.uint8."):
        F.normalize(tensor(), [0.5], [0.5])


def test_normalize_keeps_gradients() -> None:
    image = rl.ones(1, 2, 2, requires_grad=True)
    with rl.inference_mode():
        F.normalize(rl.ones(1, 2, 2), [0.25], [0.125])
    F.normalize(image, [0.25], [0.125]).sum().backward()
    assert image.grad is not None
    assert image.grad.flatten().tolist() == [8.0] * 4


# ---------------------------------------------------------------- Pillow as the reference

SAME: list[tuple[str, tuple[Any, ...]]] = [
    ("hflip", ()),
    ("vflip", ()),
    ("crop", (2, 3, 10, 12)),
    ("crop", (-2, -3, 30, 40)),
    ("center_crop", ((7, 9),)),
    ("center_crop", ((31, 9),)),
    ("pad", ([1, 2, 3, 4], 7)),
    ("pad", ([1, 2, 3, 4], 0, "edge")),
    ("pad", ([1, 2, 3, 4], 0, "reflect")),
    ("pad", ([1, 2, 3, 4], 0, "symmetric")),
    ("invert", ()),
    ("posterize", (3,)),
    ("solarize", (128,)),
    ("equalize", ()),
    ("rotate", (180,)),
]
NEAR: list[tuple[str, tuple[Any, ...]]] = [
    ("adjust_brightness", (1.7,)),
    ("adjust_contrast", (0.4,)),
    ("adjust_saturation", (0.6,)),
    ("adjust_sharpness", (1.5,)),
    ("autocontrast", ()),
    ("rgb_to_grayscale", ()),
    ("resize", ((11, 13),)),
    ("resize", (33,)),
]


@pytest.mark.parametrize(("name", "arguments"), SAME)
@pytest.mark.parametrize("functional", [F, F2])
def test_tensor_kernels_give_pillows_bytes(
    functional: Any, name: str, arguments: tuple[Any, ...]
) -> None:
    function = getattr(functional, name)
    expected = array(function(PICTURE, *arguments))
    np.testing.assert_array_equal(array(function(tensor(), *arguments)), expected)


@pytest.mark.parametrize(("name", "arguments"), NEAR)
@pytest.mark.parametrize("functional", [F, F2])
def test_tensor_kernels_stay_within_a_level_of_pillow(
    functional: Any, name: str, arguments: tuple[Any, ...]
) -> None:
    function = getattr(functional, name)
    expected = array(function(PICTURE, *arguments)).astype(int)
    found = array(function(tensor(), *arguments)).astype(int)
    assert np.abs(found - expected).max() <= 1


def test_affine_moves_whole_pixels_exactly() -> None:
    moved = F.affine(tensor(), 0.0, [3, -2], 1.0, 0.0, fill=[9.0])
    np.testing.assert_array_equal(moved.numpy()[:, :-2, 3:], PIXELS.transpose(2, 0, 1)[:, 2:, :-3])
    assert (moved.numpy()[:, -2:] == 9).all()


def test_expand_keeps_every_pixel_of_a_quarter_turn() -> None:
    turned = F.rotate(tensor(), 90, expand=True)
    np.testing.assert_array_equal(turned.numpy(), np.rot90(PIXELS).transpose(2, 0, 1))


def test_perspective_identity() -> None:
    corners = [[0, 0], [25, 0], [25, 19], [0, 19]]
    np.testing.assert_array_equal(F.perspective(tensor(), corners, corners).numpy(), array(PICTURE))


def test_hue_turns_red_into_green() -> None:
    red = rl.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    assert F.adjust_hue(red, 1 / 3).flatten().tolist() == pytest.approx([0, 1, 0], abs=1e-6)


def test_gaussian_blur_keeps_the_mean_of_a_flat_image() -> None:
    flat = rl.full((3, 9, 9), 77, dtype=rl.uint8)
    assert (F.gaussian_blur(flat, 5) == flat).all()


# ---------------------------------------------------------------- random transforms


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_flips_follow_their_probability(p: float) -> None:
    image = tensor()
    out = v1.RandomHorizontalFlip(p)(image)
    assert (out == (image.flip(-1) if p else image)).all()


def test_a_seed_repeats_a_pipeline() -> None:
    pipeline = v1.Compose(
        [
            v1.RandomCrop(16, padding=2),
            v1.RandomHorizontalFlip(),
            v1.ColorJitter(0.4, 0.4, 0.4, 0.1),
            v1.ToTensor(),
            v1.RandomErasing(),
        ]
    )
    outputs = []
    for _ in range(2):
        rl.manual_seed(5)
        outputs.append(pipeline(PICTURE).numpy())
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_v1_and_v2_draw_the_same_boxes() -> None:
    for seed in range(5):
        outputs = []
        for transform in (v1.RandomResizedCrop(8), v2.RandomResizedCrop(8)):
            rl.manual_seed(seed)
            outputs.append(transform(PICTURE).tobytes())
        assert outputs[0] == outputs[1]


def test_random_crop_names_both_sizes() -> None:
    with pytest.raises(ValueError, match=r"Required crop size \(50, 50\) is larger than input"):
        v1.RandomCrop(50)(PICTURE)


REPRS = {
    v1.ToTensor(): "ToTensor()",
    v1.Normalize([0.5], [0.1]): "Normalize(mean=[0.5], std=[0.1])",
    v1.Resize(9): "Resize(size=9, interpolation=bilinear, max_size=None, antialias=True)",
    v1.RandomCrop(9, padding=1): "RandomCrop(size=(9, 9), padding=1)",
    v1.RandomHorizontalFlip(): "RandomHorizontalFlip(p=0.5)",
    v1.RandomRotation(9): "RandomRotation(degrees=[-9.0, 9.0], interpolation=nearest, "
    "expand=False, fill=0)",
    v1.Compose([v1.ToTensor()]): "Compose(\n    ToTensor()\n)",
    v2.ToDtype(rl.float32, scale=True): "ToDtype(scale=True)",
    v2.Resize(9): "Resize(size=[9], interpolation=bilinear, antialias=True)",
    v2.RandomHorizontalFlip(): "RandomHorizontalFlip(p=0.5)",
}


@pytest.mark.parametrize("transform", REPRS, ids=lambda t: type(t).__name__)
def test_repr_is_torchvisions(transform: Any) -> None:
    assert repr(transform) == REPRS[transform]


# ---------------------------------------------------------------- v2 samples


def test_to_image_and_to_dtype_do_what_to_tensor_does() -> None:
    pipeline = v2.Compose([v2.ToImage(), v2.ToDtype(rl.float32, scale=True)])
    for picture in (PICTURE, PIXELS):
        out = pipeline(picture)
        assert type(out) is tv_tensors.Image
        np.testing.assert_allclose(out.numpy(), F.to_tensor(PICTURE).numpy(), rtol=0, atol=1e-7)


def test_samples_keep_their_nesting() -> None:
    Pair = collections.namedtuple("Pair", "left right")
    image = rl.arange(3.0).view(1, 1, 3)
    sample = {
        "a": [tv_tensors.Image(image), "name"],
        "b": Pair(tv_tensors.Mask(image), 4),
        "c": collections.OrderedDict(x=None),
    }
    out = v2.RandomHorizontalFlip(1.0)(sample)
    assert list(out) == ["a", "b", "c"]
    assert isinstance(out["b"], Pair)
    assert isinstance(out["c"], collections.OrderedDict)
    assert out["a"][0].flatten().tolist() == [2, 1, 0]
    assert out["b"].left.flatten().tolist() == [2, 1, 0]
    assert (out["a"][1], out["b"].right) == ("name", 4)


def test_only_the_first_plain_tensor_is_an_image() -> None:
    image, label = rl.arange(3.0).view(1, 1, 3), rl.arange(2.0)
    flipped, same = v2.RandomHorizontalFlip(1.0)(image, label)
    assert flipped.flatten().tolist() == [2, 1, 0]
    assert same is label
    typed, untouched = v2.RandomHorizontalFlip(1.0)((tv_tensors.Image(image), image))
    assert typed.flatten().tolist() == [2, 1, 0]
    assert untouched is image


def boxes(**changes: Any) -> Any:
    given = {"format": "XYXY", "canvas_size": (20, 26), **changes}
    return tv_tensors.BoundingBoxes([[2.0, 3, 8, 9], [10, 5, 26, 20]], **given)


def test_boxes_follow_the_pixels() -> None:
    flipped = v2.RandomHorizontalFlip(1.0)(boxes())
    assert flipped.tolist() == [[18, 3, 24, 9], [0, 5, 16, 20]]
    resized = v2.Resize((10, 13))(boxes())
    assert resized.tolist() == [[1, 1.5, 4, 4.5], [5, 2.5, 13, 10]]
    assert resized.canvas_size == (10, 13)
    cropped = F2.crop(boxes(), 4, 4, 10, 10)
    assert cropped.tolist() == [[0, 0, 4, 5], [6, 1, 10, 10]]
    padded = v2.Pad([1, 2, 3, 4])(boxes())
    assert padded.tolist() == [[3, 5, 9, 11], [11, 7, 27, 22]]
    assert padded.canvas_size == (26, 30)
    assert v2.RandomRotation((180, 180))(boxes()).round().tolist() == [
        [18, 11, 24, 17],
        [0, 0, 16, 15],
    ]


@pytest.mark.parametrize("format", ["XYWH", "CXCYWH"])
def test_box_formats_round_trip(format: str) -> None:
    there = F2.convert_bounding_box_format(boxes(), new_format=format)
    assert there.format.value == format
    back = F2.convert_bounding_box_format(there, new_format="xyxy")
    assert back.tolist() == boxes().tolist()


@pytest.mark.parametrize("format", ["CXCYWHR", "XYXYXYXY"])
def test_rotated_box_formats_round_trip(format: str) -> None:
    turned = rl.tensor([[5.0, 6, 10, 4, 30]])
    there = F2.convert_bounding_box_format(turned, "XYWHR", format)
    back = F2.convert_bounding_box_format(there, format, "XYWHR")
    np.testing.assert_allclose(back.numpy(), turned.numpy(), rtol=1e-5)


def test_sanitizing_drops_boxes_with_their_labels_and_masks() -> None:
    small = boxes().clone()
    small[0] = rl.tensor([2.0, 3, 2, 9])
    sample = {
        "boxes": tv_tensors.wrap(small, like=boxes()),
        "labels": rl.tensor([4, 5]),
        "masks": tv_tensors.Mask(rl.zeros(2, 20, 26)),
        "image": tv_tensors.Image(rl.zeros(3, 20, 26)),
    }
    out = v2.SanitizeBoundingBoxes()(sample)
    assert out["labels"].tolist() == [5]
    assert out["boxes"].tolist() == [[10, 5, 26, 20]]
    assert type(out["boxes"]) is tv_tensors.BoundingBoxes
    assert out["masks"].shape == (1, 20, 26)
    assert out["image"].shape == (3, 20, 26)


def test_masks_are_never_blended() -> None:
    mask = tv_tensors.Mask(rl.randint(0, 5, (20, 26)) * 40)
    for transform in (v2.Resize(11), v2.RandomRotation(30), v2.RandomPerspective(p=1.0)):
        out = transform(mask)
        assert type(out) is tv_tensors.Mask
        assert set(out.flatten().tolist()) <= {0, 40, 80, 120, 160}


def test_points_follow_the_pixels() -> None:
    points = tv_tensors.KeyPoints([[2, 3]], canvas_size=(20, 26))
    assert v2.RandomHorizontalFlip(1.0)(points).tolist() == [[23, 3]]
    assert v2.RandomVerticalFlip(1.0)(points).tolist() == [[2, 16]]
    assert F2.crop(points, 1, 1, 5, 5).tolist() == [[1, 2]]


def test_unknown_inputs_pass_through_transforms_but_not_functions() -> None:
    assert v2.Grayscale()(boxes()).tolist() == boxes().tolist()
    with pytest.raises(TypeError, match=r"Functional F.rgb_to_grayscale supports inputs of type"):
        F2.rgb_to_grayscale(boxes())


def test_own_types_get_their_own_kernels() -> None:
    class Heat(tv_tensors.TVTensor):
        pass

    heat = rl.ones(1, 2, 2).as_subclass(Heat)
    assert v2.RandomHorizontalFlip(1.0)(heat) is heat  # no kernel: passes through

    @F2.register_kernel(functional="horizontal_flip", tv_tensor_cls=Heat)
    def flip(inpt: Any) -> Any:
        return tv_tensors.wrap(inpt * 3, like=inpt)

    out = v2.RandomHorizontalFlip(1.0)(heat)
    assert type(out) is Heat
    assert out.flatten().tolist() == [3.0] * 4
    with pytest.raises(ValueError, match="already has a kernel registered"):
        F2.register_kernel(F2.horizontal_flip, Heat)
    with pytest.raises(ValueError, match="cannot be registered for the builtin tv_tensor classes"):
        F2.register_kernel(F2.horizontal_flip, tv_tensors.Mask)


# ---------------------------------------------------------------- tv_tensors


def test_operations_return_plain_tensors_and_moves_keep_the_type() -> None:
    image = tv_tensors.Image(rl.zeros(3, 2, 2))
    assert type(image + 1) is rl.Tensor
    assert type(image.clone()) is tv_tensors.Image
    assert type(image.to(rl.float64)) is tv_tensors.Image
    assert type(image.detach()) is tv_tensors.Image
    assert type(image.requires_grad_()) is tv_tensors.Image
    kept = boxes().to(rl.float64)
    assert (kept.format.value, kept.canvas_size) == ("XYXY", (20, 26))


def test_set_return_type_keeps_the_type_of_every_operation() -> None:
    image = tv_tensors.Image(rl.zeros(3, 2, 2))
    with tv_tensors.set_return_type("TVTensor"):
        assert type(image + 1) is tv_tensors.Image
        assert (boxes() * 2).canvas_size == (20, 26)
    assert type(image + 1) is rl.Tensor
    with pytest.raises(ValueError, match="return_type must be 'TVTensor' or 'Tensor', got x"):
        tv_tensors.set_return_type("x")


def test_in_place_operations_change_the_tv_tensor() -> None:
    image = tv_tensors.Image(rl.zeros(1, 2, 2))
    assert type(image.add_(1)) is rl.Tensor
    assert type(image) is tv_tensors.Image
    assert image.sum().item() == 4


def test_tv_tensors_check_their_shapes() -> None:
    assert tv_tensors.Image(rl.zeros(2, 3)).shape == (1, 2, 3)
    assert tv_tensors.Image(PICTURE).shape == (3, 20, 26)
    with pytest.raises(ValueError, match=r"Tensor must be 2D or higher, got 1D tensor."):
        tv_tensors.Image([1.0])
    with pytest.raises(ValueError, match="Expected a 1D or 2D tensor, got 3D"):
        tv_tensors.BoundingBoxes(rl.zeros(1, 1, 4), format="XYXY", canvas_size=(2, 2))
    with pytest.raises(ValueError, match="Rotated bounding boxes should be floating point"):
        tv_tensors.BoundingBoxes([[1, 2, 3, 4, 5]], format="XYWHR", canvas_size=(2, 2))


def test_repr_shows_the_metadata() -> None:
    one = tv_tensors.BoundingBoxes([1, 2, 3, 4], format="XYWH", canvas_size=(8, 9))
    assert repr(one) == (
        "BoundingBoxes([[1, 2, 3, 4]], format=BoundingBoxFormat.XYWH, canvas_size=(8, 9), "
        "clamping_mode=soft)"
    )


# ---------------------------------------------------------------- cost


def test_importing_the_transforms_does_not_import_pillow() -> None:
    code = (
        "import sys, rushlight.vision.transforms.v2, rushlight.vision.tv_tensors;"
        "sys.exit(any(m == 'PIL' or m.startswith('PIL.') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_wrapped_data_sets_apply_their_transforms_behind_the_wrapper(tmp_path: Any) -> None:
    from rushlight.vision import datasets

    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        PICTURE.save(tmp_path / name / "1.png")
    pipeline = v2.Compose([v2.ToImage(), v2.Resize((4, 4))])
    wrapped = datasets.wrap_dataset_for_transforms_v2(
        datasets.ImageFolder(str(tmp_path), transform=pipeline)
    )
    image, label = wrapped[1]
    assert (type(image), image.shape, label) == (tv_tensors.Image, (3, 4, 4), 1)
    assert isinstance(wrapped, datasets.ImageFolder)
    assert (len(wrapped), wrapped.classes) == (2, ["cat", "dog"])
    with pytest.raises(TypeError, match="No wrapper exists for dataset class FakeData"):
        datasets.wrap_dataset_for_transforms_v2(datasets.FakeData(2))
