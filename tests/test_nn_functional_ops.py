"""Operators of torch.nn.functional: by definition, against PyTorch, and what their errors say."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from PIL import Image

import rushlight as rl
from rushlight.nn import functional as F

rng = np.random.default_rng(0)


def floats(*shape):
    return rng.standard_normal(shape).astype(np.float32)


# Windows, by loops


def convolve(x, w, b, stride, padding, dilation, groups):
    """Convolution as it is defined, in float64."""
    x, w = np.float64(x), np.float64(w)
    n = w.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in padding]])
    size = [
        (s - d * (k - 1) - 1) // st + 1
        for s, d, k, st in zip(x.shape[2:], dilation, w.shape[2:], stride, strict=True)
    ]
    out = np.zeros((x.shape[0], w.shape[0], *size))
    outs, ins = w.shape[0] // groups, w.shape[1]
    for k, at in itertools.product(range(w.shape[0]), np.ndindex(*size)):
        first = k // outs * ins
        window = tuple(
            slice(i * st, i * st + (size_k - 1) * d + 1, d)
            for i, st, size_k, d in zip(at, stride, w.shape[2:], dilation, strict=True)
        )
        part = x[(slice(None), slice(first, first + ins), *window)]
        out[(slice(None), k, *at)] = (part * w[k]).reshape(len(x), -1).sum(1)
    return out + (0 if b is None else np.float64(b).reshape(-1, *(1,) * n))


CONVOLUTIONS = [
    ((2, 3, 6, 5), (4, 3, 3, 2), (1, 1), (0, 0), (1, 1), 1),
    ((2, 3, 6, 5), (4, 3, 3, 3), (2, 1), (1, 2), (1, 1), 1),
    ((3, 8, 7, 7), (6, 8, 3, 3), (1, 1), (2, 2), (2, 2), 1),
    ((2, 4, 6, 6), (4, 1, 3, 3), (1, 1), (1, 1), (1, 1), 4),
    ((2, 4, 6, 6), (8, 1, 3, 3), (2, 2), (1, 1), (1, 1), 4),
    ((2, 4, 6, 6), (6, 2, 2, 2), (1, 1), (0, 0), (1, 1), 2),
    ((2, 8, 5, 5), (3, 8, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 3, 9), (4, 3, 3), (2,), (1,), (2,), 1),
    ((1, 2, 4, 5, 4), (3, 2, 2, 3, 2), (1, 2, 1), (0, 1, 0), (1, 1, 2), 1),
]


@pytest.mark.parametrize(("x", "w", "stride", "padding", "dilation", "groups"), CONVOLUTIONS)
@pytest.mark.parametrize("last", [False, True])
def test_convolution_by_definition(x, w, stride, padding, dilation, groups, last):
    x, w, b = floats(*x), floats(*w), floats(w[0])
    if last and x.ndim != 4:
        pytest.skip("channels last is for images")
    t = rl.from_numpy(x)
    if last:
        t = t.contiguous(memory_format=rl.channels_last)
    conv = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.ndim]
    got = conv(t, rl.from_numpy(w), rl.from_numpy(b), stride, padding, dilation, groups)
    want = convolve(x, w, b, stride, padding, dilation, groups)
    np.testing.assert_allclose(got.numpy(), want, rtol=2e-5, atol=2e-5)
    if last:
        assert got.is_contiguous(memory_format=rl.channels_last)


@pytest.mark.parametrize(("x", "w", "stride", "padding", "dilation", "groups"), CONVOLUTIONS)
def test_convolution_gradients_are_adjoint(x, w, stride, padding, dilation, groups):
    """<g, conv(x, w)> has the derivatives <dx, x> and <dw, w> equal to it: it is bilinear."""
    x = rl.from_numpy(floats(*x)).double().requires_grad_()
    w = rl.from_numpy(floats(*w)).double().requires_grad_()
    conv = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.dim()]
    y = conv(x, w, None, stride, padding, dilation, groups)
    g = rl.from_numpy(floats(*y.shape)).double()
    y.backward(g)
    value = (y * g).sum().item()
    assert (x.grad * x).sum().item() == pytest.approx(value)
    assert (w.grad * w).sum().item() == pytest.approx(value)


def largest(x, kernel, stride, padding, dilation):
    """Maximum pooling by loops: values and places; NaN wins, the first of equals stays."""
    h, w = x.shape[2:]
    size = [
        (s + 2 * p - d * (k - 1) - 1) // st + 1
        for s, p, d, k, st in zip((h, w), padding, dilation, kernel, stride, strict=True)
    ]
    values = np.zeros((*x.shape[:2], *size), x.dtype)
    places = np.zeros(values.shape, np.int64)
    for n, c, i, j in np.ndindex(*values.shape):
        best = None
        for a, b in itertools.product(range(kernel[0]), range(kernel[1])):
            r = i * stride[0] - padding[0] + a * dilation[0]
            s = j * stride[1] - padding[1] + b * dilation[1]
            if 0 <= r < h and 0 <= s < w:
                v = x[n, c, r, s]
                if best is None or v > best or np.isnan(v):
                    best, values[n, c, i, j], places[n, c, i, j] = v, v, r * w + s
    return values, places


@pytest.mark.parametrize("kind", ["values", "ties", "nan", "low", "int"])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [
        ((2, 2), (2, 2), (0, 0), (1, 1)),
        ((3, 3), (2, 2), (1, 1), (1, 1)),
        ((3, 2), (1, 2), (1, 0), (2, 1)),
        ((12, 12), (1, 1), (0, 0), (1, 1)),
    ],
)
def test_max_pool_by_definition(kind, kernel, stride, padding, dilation):
    x = floats(2, 3, 13, 14)
    if kind == "ties":
        x = np.round(x)
    if kind == "nan":
        x[rng.random(x.shape) < 0.1] = np.nan
    if kind == "low":
        x[:] = -np.inf
    if kind == "int":
        x = np.round(x * 5).astype(np.int64)
    got = F.max_pool2d(
        rl.from_numpy(x.copy()), kernel, stride, padding, dilation, return_indices=True
    )
    values, places = largest(x, kernel, stride, padding, dilation)
    np.testing.assert_array_equal(got[0].numpy(), values)
    np.testing.assert_array_equal(got[1].numpy(), places)


def test_max_pool_gradient_goes_to_the_places():
    x = rl.from_numpy(floats(2, 3, 8, 8)).requires_grad_()
    y, places = F.max_pool2d(x, 2, return_indices=True)
    y.sum().backward()
    want = np.zeros((6, 64), np.float32)
    np.put_along_axis(want, places.numpy().reshape(6, -1), 1, 1)
    np.testing.assert_array_equal(x.grad.numpy().reshape(6, 64), want)


# Resizing


@pytest.mark.parametrize(
    ("mode", "theirs"), [("bilinear", "BILINEAR"), ("bicubic", "BICUBIC"), ("lanczos", "LANCZOS")]
)
@pytest.mark.parametrize("size", [(5, 7), (40, 31), (20, 9)])
def test_resized_bytes_are_pillows(mode, theirs, size):
    """Antialiased bytes equal Pillow's, whose weights have more bits, up to one step."""
    image = rng.integers(0, 256, (17, 23, 3), dtype=np.uint8)
    x = rl.from_numpy(image).permute(2, 0, 1)[None]
    got = F.interpolate(x, size, mode=mode, antialias=True)[0].permute(1, 2, 0).numpy()
    want = np.asarray(Image.fromarray(image).resize(size[::-1], getattr(Image.Resampling, theirs)))
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - want).max() <= 1


def test_interpolation_by_definition():
    line = rl.tensor([[[0.0, 10.0, 20.0]]])
    assert F.interpolate(line, 6).tolist() == [[[0, 0, 10, 10, 20, 20]]]
    assert F.interpolate(line, 2).tolist() == [[[0, 10]]]
    assert F.interpolate(line, 2, mode="nearest-exact").tolist() == [[[0, 20]]]
    assert F.interpolate(line, 5, mode="linear", align_corners=True).tolist() == [
        [[0, 5, 10, 15, 20]]
    ]
    # centres of 6 elements over 3: -0.25, 0.25, 0.75, ... held at the border
    np.testing.assert_allclose(
        F.interpolate(line, 6, mode="linear").numpy(), [[[0, 2.5, 7.5, 12.5, 17.5, 20]]]
    )
    assert F.interpolate(line, 1, mode="area").tolist() == [[[10]]]
    flat = rl.full((1, 2, 6, 7), 3.0)
    for mode in ("bilinear", "bicubic"):
        for antialias in (False, True):
            got = F.interpolate(flat, (4, 9), mode=mode, antialias=antialias)
            np.testing.assert_allclose(got.numpy(), 3, rtol=1e-6)


def test_interpolation_scale_or_size():
    x = rl.from_numpy(floats(1, 1, 10))
    kept = F.interpolate(x, scale_factor=0.37, mode="linear")
    again = F.interpolate(x, scale_factor=0.37, mode="linear", recompute_scale_factor=True)
    assert kept.shape == again.shape == (1, 1, 3)
    assert not rl.equal(kept, again)  # 1 / 0.37 is not 10 / 3
    assert rl.equal(again, F.interpolate(x, 3, mode="linear"))
    for wrong in ({}, {"size": 3, "scale_factor": 2}, {"size": (3, 3)}):
        with pytest.raises(ValueError):
            F.interpolate(x, **wrong)
    with pytest.raises(NotImplementedError, match="Got 3D input, but bilinear mode needs 4D input"):
        F.interpolate(x, 3, mode="bilinear")
    with pytest.warns(UserWarning, match="deprecated"):
        F.upsample(x, 3)


def test_grid_sample_of_the_identity():
    x = rl.from_numpy(floats(2, 3, 5, 6))
    theta = rl.tensor([[[1.0, 0, 0], [0, 1, 0]]]).expand(2, 2, 3)
    for align in (False, True):
        grid = F.affine_grid(theta, x.shape, align_corners=align)
        for mode in ("bilinear", "nearest", "bicubic"):
            got = F.grid_sample(x, grid, mode=mode, align_corners=align)
            np.testing.assert_allclose(got.numpy(), x.numpy(), atol=2e-6)
    mirrored = F.affine_grid(theta * rl.tensor([[-1.0], [1]]), x.shape, align_corners=False)
    got = F.grid_sample(x, mirrored, align_corners=False)
    np.testing.assert_allclose(got.numpy(), x.numpy()[..., ::-1], atol=2e-6)


def test_grid_sample_outside():
    x = rl.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    far = rl.tensor([[[[-5.0, -5.0], [5.0, 5.0]]]])
    assert F.grid_sample(x, far, "nearest", "zeros", False).flatten().tolist() == [0, 0]
    assert F.grid_sample(x, far, "nearest", "border", False).flatten().tolist() == [1, 4]


# Normalisation


def test_batch_norm_by_definition():
    x, w, b = floats(4, 3, 5), floats(3), floats(3)
    mean, var = rl.zeros(3), rl.ones(3)
    t = [rl.from_numpy(a) for a in (w, b)]
    got = F.batch_norm(rl.from_numpy(x), mean, var, *t, training=True, momentum=0.3)
    wide = x.astype(np.float64)
    centre, spread = wide.mean((0, 2)), wide.var((0, 2))
    want = (wide - centre[:, None]) / np.sqrt(spread[:, None] + 1e-5) * w[:, None] + b[:, None]
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mean.numpy(), 0.3 * centre, rtol=1e-5)
    np.testing.assert_allclose(var.numpy(), 0.7 + 0.3 * wide.var((0, 2), ddof=1), rtol=1e-5)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        lambda x, w, b: F.batch_norm(x, rl.ones(3).double(), 2 * rl.ones(3).double(), w, b),
        lambda x, w, b: F.layer_norm(x, (3, 2), rl.stack((w, b), 1), None),
        lambda x, w, b: F.group_norm(x, 3, w, b),
        lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
        lambda x, w, b: F.rms_norm(x, (3, 2), rl.stack((w, b), 1)),
        lambda x, w, b: F.max_pool1d(x, 2) * w[:, None],
        lambda x, w, b: F.embedding(rl.tensor([2, 0, 2]), x[0]) * w[:, None],
        lambda x, w, b: F.interpolate(x, 3, mode="linear") * w[:, None] + b[:, None],
    ],
)
def test_first_and_second_derivatives(f):
    x = rl.from_numpy(floats(3, 3, 2)).double().requires_grad_()
    w = rl.from_numpy(floats(3)).double().requires_grad_()
    b = rl.from_numpy(floats(3)).double().requires_grad_()
    assert rl.autograd.gradcheck(f, (x, w, b))
    assert rl.autograd.gradgradcheck(f, (x, w, b))


def test_one_way_of_deriving_normalisation():
    """The kernel's gradient equals the formula's, which create_graph uses."""
    for f in (
        lambda x: F.batch_norm(x, None, None, training=True),
        lambda x: F.layer_norm(x, (4,)),
    ):
        x = rl.from_numpy(floats(6, 5, 4)).requires_grad_()
        g = rl.from_numpy(floats(6, 5, 4))
        (kernel,) = rl.autograd.grad(f(x), x, g)
        (formula,) = rl.autograd.grad(f(x), x, g, create_graph=True)
        np.testing.assert_allclose(kernel.numpy(), formula.detach().numpy(), atol=2e-6)


# Losses


def test_binary_cross_entropy_weights_have_gradients():
    x, y = (rl.from_numpy(floats(3, 2)).double() for _ in range(2))
    y = y.sigmoid()
    w = rl.from_numpy(floats(3, 2)).double().abs()
    pos = rl.tensor([0.5, 2.0]).double()
    leaves = [t.requires_grad_() for t in (x, y, w, pos)]
    assert rl.autograd.gradcheck(
        lambda x, y, w, p: F.binary_cross_entropy_with_logits(x, y, w, pos_weight=p), leaves
    )


def test_cross_entropy_by_definition():
    logits, labels = floats(5, 4), np.array([0, 3, 1, -100, 2])
    wide = np.float64(logits)
    logp = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    kept = labels >= 0
    each = np.where(kept, -logp[np.arange(5), np.where(kept, labels, 0)], 0)
    t, y = rl.from_numpy(logits), rl.from_numpy(labels)
    np.testing.assert_allclose(F.cross_entropy(t, y, reduction="none").numpy(), each, rtol=1e-5)
    assert F.cross_entropy(t, y).item() == pytest.approx(each.sum() / kept.sum(), rel=1e-5)
    weight = np.array([1.0, 2.0, 0.5, 3.0], np.float32)
    picked = np.where(kept, weight[np.where(kept, labels, 0)], 0)
    want = (each * picked).sum() / picked.sum()
    assert F.cross_entropy(t, y, rl.from_numpy(weight)).item() == pytest.approx(want, rel=1e-5)
    smooth = 0.9 * each + 0.1 * np.where(kept, -logp.mean(1), 0)
    got = F.cross_entropy(t, y, label_smoothing=0.1)
    assert got.item() == pytest.approx(smooth.sum() / kept.sum(), rel=1e-5)


# Embedding


@pytest.mark.parametrize("rows", [3, 50])
def test_embedding_gradient_adds_up(rows):
    index = rng.integers(0, rows, (40, 7))
    table = rl.from_numpy(floats(rows, 4)).requires_grad_()
    g = floats(40, 7, 4)
    F.embedding(rl.from_numpy(index), table).backward(rl.from_numpy(g))
    want = np.zeros((rows, 4))
    np.add.at(want, index.reshape(-1), g.reshape(-1, 4).astype(np.float64))
    np.testing.assert_allclose(table.grad.numpy(), want, rtol=1e-4, atol=1e-4)


# The root's functions, whose parameters differ


def test_root_functions():
    table = rl.from_numpy(floats(5, 2))
    assert rl.equal(rl.embedding(table, rl.tensor([3, 1])), table[[3, 1]])
    x, y = rl.from_numpy(floats(4, 3)), rl.from_numpy(floats(4, 3)).sigmoid()
    assert rl.binary_cross_entropy_with_logits(x, y, reduction=0).shape == (4, 3)
    assert rl.equal(rl.kl_div(x, y, 2), F.kl_div(x, y, reduction="sum"))
    assert rl.dropout(x, 0.5, False) is x
    state = (rl.zeros(3), rl.ones(3))
    assert rl.equal(
        rl.batch_norm(x, None, None, *state, False, 0.1, 1e-5, False),
        F.batch_norm(x, *state),
    )
    out, bag, sizes, _where = rl.embedding_bag(
        table, rl.tensor([0, 1, 4]), rl.tensor([0, 2]), mode=1
    )
    assert (bag.tolist(), sizes.tolist()) == ([0, 0, 1], [2, 1])
    np.testing.assert_allclose(out[0].numpy(), table[:2].mean(0).numpy(), rtol=1e-6)
    values, places = rl.adaptive_max_pool1d(rl.tensor([[1.0, 5.0, 2.0, 3.0]]), 2)
    assert (values.tolist(), places.tolist()) == ([[5, 3]], [[1, 3]])
    for name in rl._ELSEWHERE:
        assert getattr(rl, name) is not None


# Dropout


def test_dropout():
    rl.manual_seed(0)
    x = rl.ones(100, 50)
    y = F.dropout(x, 0.3)
    assert set(np.unique(y.numpy()).tolist()) == {0.0, float(np.float32(1) / np.float32(0.7))}
    assert 0.27 < (y == 0).float().mean().item() < 0.33
    channels = F.dropout2d(rl.ones(8, 16, 3, 3), 0.5)
    assert {len(set(c.flatten().tolist())) for n in channels for c in n} == {1}
    assert F.dropout3d(rl.ones(4, 2, 2, 2)).shape == (4, 2, 2, 2)
    with pytest.raises(ValueError, match="has to be between 0 and 1, but got 2"):
        F.dropout(x, 2)


# Errors: PyTorch's first line, and a note in the user's language


def labels(*shape):
    return rl.zeros(*shape, dtype=rl.int64)


MISTAKES = {
    "linear": (
        lambda: F.linear(rl.rand(64, 4096), rl.rand(64, 1024), rl.rand(64)),
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (64x4096 and 1024x64)",
        ("in_features=4096", "请改 in_features=4096"),
    ),
    "not flattened": (
        lambda: F.linear(rl.rand(8, 64, 4, 4), rl.rand(10, 1024)),
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (2048x4 and 1024x10)",
        ("torch.flatten(x, 1)", "torch.flatten(x, 1)"),
    ),
    "batch flattened": (
        lambda: F.linear(rl.rand(8192), rl.rand(10, 1024)),
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (1x8192 and 1024x10)",
        ("the batch was flattened too (8192 = 8 x 1024)", "批次维也被展平了"),
    ),
    "NHWC": (
        lambda: F.conv2d(rl.rand(1, 361, 424, 3), rl.rand(6, 3, 5, 5)),
        RuntimeError,
        "Given groups=1, weight of size [6, 3, 5, 5], expected input[1, 361, 424, 3] to have 3 "
        "channels, but got 361 channels instead",
        ("x.permute(0, 3, 1, 2)", "NHWC"),
    ),
    "grey": (
        lambda: F.conv2d(rl.rand(1, 1, 8, 8), rl.rand(6, 3, 5, 5)),
        RuntimeError,
        "Given groups=1, weight of size [6, 3, 5, 5], expected input[1, 1, 8, 8] to have 3 "
        "channels, but got 1 channels instead",
        ("convert('RGB')", "灰度图"),
    ),
    "rank": (
        lambda: F.conv2d(rl.rand(28, 28), rl.rand(6, 1, 5, 5)),
        RuntimeError,
        "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [28, 28]",
        ("x[None, None]", "缺少批次维和通道维"),
    ),
    "bytes": (
        lambda: F.conv2d((rl.rand(1, 3, 8, 8) * 255).byte(), rl.rand(6, 3, 5, 5), rl.rand(6)),
        RuntimeError,
        "Input type (unsigned char) and bias type (float) should be the same",
        ("x.float() / 255", "字节图像"),
    ),
    "label dtype": (
        lambda: F.cross_entropy(rl.rand(4, 10), rl.rand(4)),
        RuntimeError,
        "expected target dtype to be Long or Byte, but got Float",
        ("target.long()", "标签（类别下标）要用 int64"),
    ),
    "label range": (
        lambda: F.cross_entropy(rl.rand(4, 10), rl.tensor([1, 2, 3, 10])),
        IndexError,
        "Target 10 is out of bounds.",
        ("target[3] = 10, but 10 outputs allow 0 to 9", "只允许 0–9"),
    ),
    "label rank": (
        lambda: F.cross_entropy(rl.rand(4, 10), labels(4, 1)),
        RuntimeError,
        "0D or 1D target tensor expected, multi-target not supported",
        ("target.squeeze(1)", "target.squeeze(1)"),
    ),
    "batch size": (
        lambda: F.cross_entropy(rl.rand(4, 10), labels(5)),
        ValueError,
        "Expected input batch_size (4) to match target batch_size (5).",
        ("was the batch changed", "改变了批次维"),
    ),
    "bce dtype": (
        lambda: F.binary_cross_entropy(rl.rand(4), labels(4)),
        RuntimeError,
        "Found dtype Long but expected Float",
        ("target.to(torch.float32)", "标签要用浮点"),
    ),
    "one value": (
        lambda: F.batch_norm(rl.rand(1, 3), None, None, training=True),
        ValueError,
        "Expected more than 1 value per channel when training, got input size torch.Size([1, 3])",
        ("model.eval()", "单张推理先 model.eval()"),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize(("language", "which"), [("en", 0), ("zh", 1)])
def test_mistakes(name, language, which, monkeypatch):
    f, kind, text, notes = MISTAKES[name]
    monkeypatch.setenv("RUSHLIGHT_LANG", language)
    with pytest.raises(kind) as caught:
        f()
    assert str(caught.value).split("\n")[0] == text
    assert notes[which] in "\n".join(caught.value.__notes__)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_pytorchs(name):
    """The first line and the type are real PyTorch's."""
    torch = pytest.importorskip("torch")
    f, kind, text, _ = MISTAKES[name]
    space = {"rl": torch, "F": torch.nn.functional, "__builtins__": __builtins__}
    space["labels"] = lambda *shape: torch.zeros(*shape, dtype=torch.int64)
    theirs = type(f)(f.__code__, space)
    with pytest.raises(kind) as caught:
        theirs()
    assert str(caught.value).split("\n")[0] == text


def test_softmax_before_cross_entropy_is_pointed_out_once(monkeypatch):
    import sys

    monkeypatch.setenv("RUSHLIGHT_LANG", "en")
    sys.modules["rushlight.nn.functional.loss"]._warned.discard("softmax")
    logits = rl.rand(4, 3, requires_grad=True)
    F.cross_entropy(logits, labels(4))
    with pytest.warns(UserWarning, match="applies log_softmax itself"):
        F.cross_entropy(logits.softmax(1), labels(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.cross_entropy(logits.softmax(1), labels(4))


def test_language(monkeypatch):
    from rushlight.errors import explained, language

    for name in ("RUSHLIGHT_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert language() == "zh"
    assert explained(ValueError("a"), "b", "丙").__notes__ == ["丙"]
    monkeypatch.setenv("RUSHLIGHT_LANG", "en")
    assert language() == "en"
    assert not hasattr(explained(ValueError("a"), "", ""), "__notes__")


# Against PyTorch: values, gradients, layouts


def last(x):
    return ("last", x)


DIFFERENTIAL = [
    ("conv2d", [last(floats(2, 4, 7, 6)), floats(6, 4, 3, 3), floats(6)], {"padding": 1}),
    ("conv2d", [floats(2, 4, 7, 6), floats(6, 4, 3, 2)], {"padding": "same"}),
    ("conv2d", [floats(4, 7, 6), floats(6, 2, 3, 3)], {"groups": 2, "stride": 2}),
    (
        "conv_transpose2d",
        [floats(2, 4, 5, 5), floats(4, 3, 3, 3), floats(3)],
        {"stride": 2, "output_padding": 1},
    ),
    ("max_pool2d", [last(floats(2, 3, 7, 7))], {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("avg_pool2d", [last(floats(2, 3, 7, 7))], {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ("adaptive_avg_pool2d", [last(floats(2, 3, 7, 5))], {"output_size": (3, 2)}),
    ("adaptive_max_pool2d", [floats(2, 3, 7, 5)], {"output_size": (3, 2)}),
    ("lp_pool2d", [floats(1, 2, 6, 6)], {"norm_type": 3.0, "kernel_size": 2}),
    (
        "batch_norm",
        [last(floats(3, 4, 5, 5)), None, None, floats(4), floats(4)],
        {"training": True},
    ),
    ("instance_norm", [floats(3, 4, 5, 5)], {}),
    ("group_norm", [last(floats(3, 4, 5, 5))], {"num_groups": 2}),
    ("layer_norm", [floats(3, 4, 5)], {"normalized_shape": (4, 5)}),
    ("local_response_norm", [floats(2, 6, 4, 4)], {"size": 3}),
    ("interpolate", [last(floats(2, 3, 7, 5))], {"scale_factor": 1.7, "mode": "bilinear"}),
    ("interpolate", [floats(2, 3, 7, 5)], {"size": (4, 9), "mode": "bicubic", "antialias": True}),
    (
        "interpolate",
        [floats(2, 3, 4, 5, 3)],
        {"scale_factor": 2, "mode": "trilinear", "align_corners": True},
    ),
    ("interpolate", [floats(2, 3, 7, 5)], {"scale_factor": (0.6, 1.3), "mode": "nearest"}),
    (
        "grid_sample",
        [floats(2, 3, 5, 4), floats(2, 3, 3, 2)],
        {"padding_mode": "reflection", "align_corners": True},
    ),
    (
        "grid_sample",
        [floats(2, 3, 5, 4), floats(2, 3, 3, 2)],
        {"mode": "bicubic", "padding_mode": "border", "align_corners": False},
    ),
    ("grid_sample", [floats(1, 2, 3, 5, 4), floats(1, 2, 3, 3, 3)], {"align_corners": False}),
    ("affine_grid", [floats(2, 3, 4)], {"size": (2, 1, 3, 4, 2), "align_corners": False}),
    ("pad", [floats(2, 3, 5, 4), (-1, 2, 1, -2)], {"mode": "circular"}),
    ("pad", [floats(2, 3, 5, 4), (1, 2, 3, 0)], {"mode": "reflect"}),
    ("unfold", [floats(2, 3, 5, 4), (2, 3)], {"padding": 1}),
    ("gelu", [floats(40)], {}),
    ("relu", [np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3.0], np.float32)], {}),
    ("cross_entropy", [floats(4, 3, 2), rng.integers(0, 3, (4, 2))], {"label_smoothing": 0.2}),
    ("nll_loss", [floats(4, 3), rng.integers(0, 3, 4), np.abs(floats(3))], {}),
    ("smooth_l1_loss", [floats(4, 3), floats(4, 3)], {"beta": 0.5}),
    (
        "embedding",
        [rng.integers(0, 4, (3, 5)), floats(4, 2)],
        {"scale_grad_by_freq": True, "padding_idx": 1},
    ),
]


def leaves(module, arrays):
    made = []
    for a in arrays:
        layout = isinstance(a, tuple) and a and isinstance(a[0], str)
        if layout:
            a = a[1]
        if isinstance(a, np.ndarray):
            a = module.from_numpy(a.copy())
            if layout:
                a = a.contiguous(memory_format=module.channels_last)
            if a.is_floating_point():
                a.requires_grad_()
        made.append(a)
    return made


def outcome(module, name, arrays, kwargs):
    """(value, strides, gradients) of a function."""
    tensors = leaves(module, arrays)
    weightless = {3} if name == "cross_entropy" else {2} if name == "nll_loss" else set()
    for i in weightless & set(range(len(tensors))):
        tensors[i] = tensors[i].detach()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = getattr(module.nn.functional, name)(*tensors, **kwargs)
    weights = module.arange(y.numel(), dtype=y.dtype).reshape(y.shape).cos()
    (y * weights).sum().backward()
    grads = [t.grad for t in tensors if getattr(t, "grad", None) is not None]
    return (
        y.detach().numpy(),
        y.stride(),
        [g.numpy() for g in grads],
        type(y.grad_fn).__name__,
    )


@pytest.mark.parametrize("case", range(len(DIFFERENTIAL)))
def test_like_torch(case):
    torch = pytest.importorskip("torch")
    name, arrays, kwargs = DIFFERENTIAL[case]
    ours, theirs = (outcome(m, name, arrays, kwargs) for m in (rl, torch))
    np.testing.assert_allclose(ours[0], theirs[0], rtol=3e-5, atol=3e-5)
    assert ours[1] == theirs[1]
    assert len(ours[2]) == len(theirs[2])
    for mine, other in zip(ours[2], theirs[2], strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-4, atol=2e-4)


def test_resized_bytes_are_pytorchs():
    torch = pytest.importorskip("torch")
    x = rng.integers(0, 256, (2, 3, 19, 23), dtype=np.uint8)
    for mode, antialias, size in itertools.product(
        ("bilinear", "bicubic"), (False, True), ((9, 11), (40, 31), (19, 5))
    ):
        how = {"size": size, "mode": mode, "antialias": antialias}
        mine = F.interpolate(rl.from_numpy(x), **how).numpy()
        other = torch.nn.functional.interpolate(torch.from_numpy(x), **how).numpy()
        np.testing.assert_array_equal(mine, other)


def test_scale_of_gelu_far_out():
    """The distribution function of the normal, to float32's last digits."""
    x = np.linspace(-6, 6, 97, dtype=np.float32)
    want = [v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x.astype(float)]
    np.testing.assert_allclose(F.gelu(rl.from_numpy(x)).numpy(), want, atol=5e-7)
