"""Grids, drawing, image files, box operators and the models' building blocks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight.errors import FileFormatError
from rushlight.vision import io as image_io
from rushlight.vision import ops, utils


def tensor(values: Any) -> Any:
    return rl.from_numpy(np.ascontiguousarray(values))


RNG = np.random.default_rng(0)
BATCH = RNG.random((10, 3, 9, 7), dtype=np.float32) * 4 - 1
BYTES = RNG.integers(0, 256, (3, 50, 60), dtype=np.uint8)
UNIT = RNG.random((3, 50, 60), dtype=np.float32)
BOXES = np.array([[1, 2, 20, 30], [10, 10, 40, 45]])
ROTATED = np.array([[10, 10, 40, 15, 35, 40, 5, 30]])
MASKS = RNG.random((3, 50, 60)) > 0.6
POINTS = RNG.integers(0, 45, (2, 5, 2))
SEEN = RNG.random((2, 5)) > 0.3


def some_boxes(count: int, seed: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    corner = rng.random((count, 2), dtype=np.float32) * 50
    size = rng.random((count, 2), dtype=np.float32) * 30 + 0.1
    return np.concatenate([corner, corner + size], 1)


# --------------------------------------------------------------------------------------- grids


def test_grid() -> None:
    grid = utils.make_grid(tensor(BATCH), nrow=4, padding=1, pad_value=0.5)
    assert grid.shape == (3, 31, 33)
    assert np.array_equal(grid[:, 11:20, 9:16].numpy(), BATCH[5])
    assert (grid[:, :, 0] == 0.5).all() and (grid[:, 21:, 17:] == 0.5).all()
    assert utils.make_grid(tensor(BATCH[0])).shape == (3, 9, 7)
    assert utils.make_grid(tensor(BATCH[0, 0])).shape == (3, 9, 7)
    assert utils.make_grid([tensor(image) for image in BATCH[:2]]).shape == (3, 13, 20)
    source = tensor(BATCH.copy())
    scaled = utils.make_grid(source, normalize=True, scale_each=True, padding=0)
    assert scaled.min().item() == 0 and scaled.max().item() == 1
    assert np.array_equal(source.numpy(), BATCH)  # the input is left alone
    with pytest.raises(TypeError, match="tensor or list of tensors expected, got <class 'int'>"):
        utils.make_grid(3)
    with pytest.raises(TypeError, match="value_range has to be a tuple"):
        utils.make_grid(source, normalize=True, value_range=[0, 1])


def test_save_image(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "grid.png"
    values = tensor(np.array([[[0.0, 0.5, 1.0, 2.0, -1.0, 0.1]]] * 3, np.float32))
    utils.save_image(values, path)
    with Image.open(path) as image:
        assert np.asarray(image)[0, :, 0].tolist() == [0, 128, 255, 255, 0, 26]
    buffer = io.BytesIO()
    utils.save_image(tensor(BATCH), buffer, format="png", normalize=True)
    assert buffer.getvalue()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="unknown file extension"):
        utils.save_image(values, tmp_path / "grid.nonsense")
    assert [one.name for one in tmp_path.iterdir()] == ["grid.png"]


# --------------------------------------------------------------------------------- image files


def test_image_files(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image_io.write_png(tensor(BYTES), path)
    assert np.array_equal(image_io.read_image(path).numpy(), BYTES)
    assert image_io.read_image(str(path), image_io.ImageReadMode.GRAY).shape == (1, 50, 60)
    assert image_io.read_image(path, "RGB_ALPHA")[3].min().item() == 255
    assert image_io.ImageReadMode.RGBA is image_io.ImageReadMode.RGB_ALPHA
    data = image_io.read_file(path)
    assert data.dtype == rl.uint8 and np.array_equal(image_io.decode_png(data).numpy(), BYTES)
    smooth = np.broadcast_to(np.linspace(0, 255, 60).astype(np.uint8), (3, 50, 60))
    image_io.write_jpeg(tensor(smooth), tmp_path / "a.jpg", quality=95)
    decoded = image_io.decode_jpeg(image_io.read_file(tmp_path / "a.jpg"))
    assert np.abs(decoded.numpy().astype(int) - smooth).max() <= 4
    grey = image_io.encode_png(tensor(BYTES[:1]), 0)
    assert np.array_equal(image_io.decode_image(grey).numpy(), BYTES[:1])
    assert [one.shape for one in image_io.decode_jpeg(image_io.encode_jpeg([tensor(BYTES)]))] == [
        (3, 50, 60)
    ]
    for bad in (data[:60], data[8:], tensor(np.frombuffer(b"no image", np.uint8).copy())):
        with pytest.raises(FileFormatError):
            image_io.decode_image(bad)
    with pytest.raises(FileFormatError, match="not a JPEG image but PNG"):
        image_io.decode_jpeg(data)
    with pytest.raises(RuntimeError, match="Expected a non empty 1-dimensional uint8 tensor"):
        image_io.decode_image(data.float())
    with pytest.raises(RuntimeError, match="The number of channels should be 1 or 3, got: 2"):
        image_io.encode_png(tensor(BYTES[:2]))


def test_palettes_gifs_and_orientation(tmp_path: Path) -> None:
    from PIL import Image

    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].convert("P").save(tmp_path / "p.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    frames[0].save(tmp_path / "turned.jpg", exif=exif)
    both = image_io.decode_gif(image_io.read_file(tmp_path / "a.gif"))
    assert both.shape == (2, 3, 3, 4) and both[1, :, 0, 0].tolist() == [0, 0, 255]
    assert image_io.read_image(tmp_path / "p.png")[:, 0, 0].tolist() == [255, 0, 0]
    assert image_io.read_image(tmp_path / "turned.jpg").shape == (3, 3, 4)
    turned = image_io.read_image(tmp_path / "turned.jpg", apply_exif_orientation=True)
    assert turned.shape == (3, 4, 3)


# ------------------------------------------------------------------------------------ operators


def test_nms_keeps_the_best_of_each_heap() -> None:
    boxes = tensor(np.array([[0, 0, 2, 2], [0, 0, 2, 1.9], [5, 5, 6, 6], [0, 0, 2, 2]], np.float32))
    scores = tensor(np.array([0.9, 0.8, 0.7, 0.95], np.float32))
    assert ops.nms(boxes, scores, 0.5).tolist() == [3, 2]
    labels = tensor(np.array([0, 1, 1, 1]))
    assert ops.batched_nms(boxes, scores, labels, 0.5).tolist() == [3, 0, 2]
    assert ops.nms(boxes[:0], scores[:0], 0.5).shape == (0,)
    with pytest.raises(RuntimeError, match="boxes should be a 2d tensor, got 1D"):
        ops.nms(boxes[0], scores, 0.5)


def test_stochastic_depth() -> None:
    rl.manual_seed(0)
    ones = rl.ones(1000, 2, 2)
    rows = ops.stochastic_depth(ones, 0.25, "row")
    kept = rows[:, 0, 0] != 0
    assert 700 < kept.sum().item() < 800 and (rows[kept] == 1 / 0.75).all()
    assert ops.StochasticDepth(0.5, "row").eval()(ones) is ones
    assert repr(ops.StochasticDepth(0.5, "row")) == "StochasticDepth(p=0.5, mode=row)"
    with pytest.raises(ValueError, match="drop probability has to be between 0 and 1, but got 2"):
        ops.stochastic_depth(ones, 2, "row")
    with pytest.raises(ValueError, match="mode has to be either 'batch' or 'row', but got all"):
        ops.stochastic_depth(ones, 0.5, "all")


def test_frozen_batch_norm_loads_an_ordinary_one() -> None:
    ordinary = rl.nn.BatchNorm2d(4)
    frozen = ops.FrozenBatchNorm2d(4)
    frozen.load_state_dict(ordinary.state_dict())
    images = rl.rand(2, 4, 3, 3)
    assert rl.allclose(frozen(images), ordinary.eval()(images), atol=1e-6)
    assert list(frozen.parameters()) == [] and repr(frozen) == "FrozenBatchNorm2d(4, eps=1e-05)"


# --------------------------------------------------------------------------- against torchvision


def same(name: str, module: str, *arrays: Any, exact: bool = True, **options: Any) -> None:
    """Calls a function of rushlight's and of torchvision's with equal arguments."""
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip(f"torchvision.{module}")
    mine = {"utils": utils, "ops": ops}[module]

    def convert(make: Any) -> list[Any]:
        return [make(np.array(one)) if isinstance(one, np.ndarray) else one for one in arrays]

    want = getattr(theirs, name)(*convert(torch.from_numpy), **options)
    got = getattr(mine, name)(*convert(rl.from_numpy), **options)
    assert str(got.dtype) == str(want.dtype) and tuple(got.shape) == tuple(want.shape)
    left, right = got.numpy().astype(np.float64), want.numpy().astype(np.float64)
    np.testing.assert_allclose(left, right, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"nrow": 3},
        {"normalize": True},
        {"normalize": True, "scale_each": True, "padding": 0},
        {"normalize": True, "value_range": (-1, 1), "pad_value": 0.5},
    ],
)
def test_grid_like_torchvision(options: dict[str, Any]) -> None:
    for batch in (BATCH, BATCH[:1], BATCH[:, :1], BATCH[0], BATCH[0, 0], BATCH[0, :1]):
        same("make_grid", "utils", batch, exact=False, **options)


@pytest.mark.parametrize("image", [BYTES, UNIT], ids=["bytes", "floats"])
def test_drawing_like_torchvision(image: np.ndarray[Any, Any]) -> None:
    box_options: list[dict[str, Any]] = [
        {},
        {"colors": "red", "width": 3},
        {"fill": True},
        {"labels": ["a", "b"]},
        {"labels": ["a", "bb"], "fill_labels": True, "label_colors": "blue"},
        {"colors": ["red", (1, 2, 3)]},
    ]
    exact = image.dtype == np.uint8
    for options in box_options:
        same("draw_bounding_boxes", "utils", image, BOXES, exact=exact, **options)
    same("draw_bounding_boxes", "utils", image, ROTATED, exact=exact, fill=True, width=2)
    for options in ({}, {"alpha": 0.3}, {"colors": "red"}):
        same("draw_segmentation_masks", "utils", image, MASKS, exact=False, **options)
    joined = [(0, 1), (1, 2)]
    same("draw_keypoints", "utils", image, POINTS, joined, "red", 2, 3, SEEN, exact=exact)


def test_losses_like_torchvision() -> None:
    first, second = some_boxes(20, 1), some_boxes(20, 2)
    scores, labels = first / 20 - 2, (second > 40).astype(np.float32)
    for reduction in ("none", "mean", "sum"):
        for name in ("generalized", "distance", "complete"):
            same(f"{name}_box_iou_loss", "ops", first, second, reduction, exact=False)
        for alpha in (0.25, -1):
            same("sigmoid_focal_loss", "ops", scores, labels, alpha, 2, reduction, exact=False)
    with pytest.raises(ValueError, match="Invalid Value for arg 'reduction': 'all"):
        ops.sigmoid_focal_loss(tensor(scores), tensor(labels), reduction="all")
    with pytest.raises(ValueError, match=r"Invalid alpha value: 2\."):
        ops.sigmoid_focal_loss(tensor(scores), tensor(labels), 2)


def test_drop_block_like_torchvision() -> None:
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torchvision.ops")
    for name, shape in (("drop_block2d", (2, 3, 9, 8)), ("drop_block3d", (2, 3, 5, 6, 7))):
        rl.manual_seed(0)
        torch.manual_seed(0)
        got = getattr(ops, name)(rl.ones(shape), 0.2, 3)
        want = getattr(theirs, name)(torch.ones(shape), 0.2, 3)
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6)
    assert repr(ops.DropBlock2d(0.1, 3)) == repr(theirs.DropBlock2d(0.1, 3))


def test_flow_like_torchvision() -> None:
    flow = np.random.default_rng(3).standard_normal((2, 2, 8, 9), dtype=np.float32)
    with_limits(flow)
    with_limits(flow[0])


def with_limits(flow: np.ndarray[Any, Any]) -> None:
    """A colour's last bit may fall to either side of a whole number."""
    theirs = pytest.importorskip("torchvision.utils")
    torch = pytest.importorskip("torch")
    want = theirs.flow_to_image(torch.from_numpy(flow)).numpy().astype(int)
    got = utils.flow_to_image(tensor(flow)).numpy().astype(int)
    assert got.shape == want.shape and np.abs(got - want).max() <= 1 and (got == want).mean() > 0.99


def test_drop_block() -> None:
    rl.manual_seed(0)
    out = ops.drop_block2d(rl.ones(4, 8, 21, 21), 0.3, 5)
    assert 0.15 < (out == 0).float().mean().item() < 0.35
    assert ops.DropBlock3d(0.5, 3).eval()(out[None]) is not None
    with pytest.raises(ValueError, match=r"block size should be odd\. Got 4 which is even\."):
        ops.drop_block2d(out, 0.3, 4)
    with pytest.raises(ValueError, match=r"input should be 5 dimensional\. Got 4 dimensions\."):
        ops.drop_block3d(out, 0.3, 3)


def test_boxes_like_torchvision() -> None:
    first, second = some_boxes(20, 1), some_boxes(30, 2)
    for name in ("generalized_box_iou", "distance_box_iou", "complete_box_iou"):
        same(name, "ops", first, second, exact=False)
    for given in ("xyxy", "xywh", "cxcywh"):
        same("box_area", "ops", first, given, exact=False)
        same("box_iou", "ops", first, second, given, exact=False)
        for wanted in ("xyxy", "xywh", "cxcywh"):
            same("box_convert", "ops", first, given, wanted, exact=False)
            same("box_convert", "ops", first.astype(np.int32), given, wanted)
    same("clip_boxes_to_image", "ops", first, (40, 60))
    same("remove_small_boxes", "ops", first, 10)
    same("masks_to_boxes", "ops", MASKS)
