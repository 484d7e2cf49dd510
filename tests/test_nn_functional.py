"""Composite functions of torch.nn.functional: against PyTorch, and by definition."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

import rushlight as rl
from rushlight.nn import functional as F


def close(got, want, tolerance=2e-5):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def run(module, function, arrays, *args, **kwargs):
    """The outputs of a function and the gradients of its float inputs, as NumPy arrays."""
    tensors = [module.from_numpy(a.copy()) if isinstance(a, np.ndarray) else a for a in arrays]
    for t in tensors:
        if hasattr(t, "is_floating_point") and t.is_floating_point():
            t.requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = getattr(module.nn.functional, function)(*tensors, *args, **kwargs)
    if y.requires_grad:
        (y * module.arange(y.numel(), dtype=y.dtype).reshape(y.shape).cos()).sum().backward()
    grads = [t.grad.numpy() for t in tensors if getattr(t, "grad", None) is not None]
    return [y.detach().numpy(), *grads]


def like_torch(function, arrays, *args, **kwargs):
    torch = pytest.importorskip("torch")
    ours = run(rl, function, arrays, *args, **kwargs)
    theirs = run(torch, function, arrays, *args, **kwargs)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape and mine.dtype == other.dtype
        close(mine, other)


rng = np.random.default_rng(0)


def floats(*shape):
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("function", "arrays", "kwargs"),
    [
        ("pairwise_distance", [floats(4, 5), floats(5)], {"p": 3.0}),
        ("pairwise_distance", [floats(2, 4, 5), floats(4, 5)], {"p": float("inf")}),
        ("cosine_similarity", [floats(4, 5), floats(1, 5)], {"dim": -1}),
        ("normalize", [floats(3, 4)], {"dim": 0}),
        ("normalize", [floats(3, 4)], {"p": 1.0, "dim": -1}),
        ("pdist", [floats(5, 3)], {}),
        ("pixel_shuffle", [floats(2, 8, 3, 2)], {"upscale_factor": 2}),
        ("pixel_unshuffle", [floats(2, 2, 4, 6)], {"downscale_factor": 2}),
        ("channel_shuffle", [floats(2, 6, 3)], {"groups": 3}),
        ("softmin", [floats(3, 4)], {"dim": 1}),
        ("softsign", [floats(3, 4)], {}),
        ("tanhshrink", [floats(3, 4)], {}),
        ("lp_pool1d", [np.abs(floats(1, 2, 9))], {"norm_type": 3, "kernel_size": 2}),
        ("lp_pool2d", [floats(1, 2, 6, 6)], {"norm_type": float("inf"), "kernel_size": 2}),
        ("lp_pool3d", [floats(1, 2, 4, 4, 4)], {"norm_type": 2, "kernel_size": (1, 2, 2)}),
        ("conv_tbc", [floats(5, 2, 3), floats(3, 3, 4), floats(4)], {"pad": 1}),
        ("local_response_norm", [floats(2, 7, 3)], {"size": 4, "alpha": 0.3}),
        ("kl_div", [floats(3, 4), np.abs(floats(3, 4))], {"reduction": "none"}),
        ("multilabel_margin_loss", [floats(2, 4), np.array([[3, 0, -1, 1], [0, 1, 2, 3]])], {}),
        ("multilabel_margin_loss", [floats(4), np.array([3, -1, 0, 1])], {"reduction": "sum"}),
        ("multi_margin_loss", [floats(3, 4), np.array([0, 3, 1])], {"p": 2, "margin": 0.5}),
        ("multi_margin_loss", [floats(4), np.array(2)], {"reduction": "none"}),
        ("hinge_embedding_loss", [floats(5), np.array([1.0, -1, 1, -1, 1])], {}),
        (
            "gaussian_nll_loss",
            [floats(3, 4), floats(3, 4), np.abs(floats(3))],
            {"reduction": "sum"},
        ),
        ("triplet_margin_loss", [floats(3, 4), floats(3, 4), floats(3, 4)], {"p": 1}),
        ("scaled_dot_product_attention", [floats(2, 3, 4, 8), floats(2, 3, 5, 8)], {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_composites(function, arrays, kwargs):
    if function == "scaled_dot_product_attention":
        arrays = [*arrays, floats(2, 3, 5, 6)]
    like_torch(function, arrays, **kwargs)


@pytest.mark.parametrize("kind", ["bool", "float", "causal", "blind", "gqa"])
def test_attention_masks(kind):
    q, k, v = floats(2, 4, 5, 8), floats(2, 4, 5, 8), floats(2, 4, 5, 8)
    kwargs = {}
    arrays = [q, k, v]
    if kind == "causal":
        kwargs["is_causal"] = True
    elif kind == "gqa":
        arrays = [q, k[:, :2].copy(), v[:, :2].copy()]
        kwargs["enable_gqa"] = True
    else:
        mask = rng.random((5, 5)) < 0.6
        mask[:, 0] = True
        if kind == "blind":
            mask[2] = False  # a row that sees nothing gives zeros
        if kind == "float":
            mask = np.where(mask, floats(5, 5), -np.inf).astype(np.float32)
        arrays.append(mask)
    like_torch("scaled_dot_product_attention", arrays, **kwargs)


def test_attention_by_definition():
    q, k, v = (rl.from_numpy(floats(3, 4)) for _ in range(3))
    scores = q.numpy() @ k.numpy().T / 2
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    close(F.scaled_dot_product_attention(q, k, v).numpy(), weights @ v.numpy())
    with pytest.raises(RuntimeError, match="Explicit attn_mask should not be set when is_causal"):
        F.scaled_dot_product_attention(q, k, v, rl.zeros(3, 3), is_causal=True)
    with pytest.raises(RuntimeError, match="Expected query, key, and value to have the same dtype"):
        F.scaled_dot_product_attention(q, k.double(), v)


def test_multi_head_attention_masks():
    torch = pytest.importorskip("torch")
    x = floats(5, 2, 8)
    padding = np.zeros((2, 5), dtype=bool)
    padding[1, 3:] = True
    causal = np.triu(np.ones((5, 5), dtype=bool), 1)
    for need_weights, average, use_mask in itertools.product(*[(True, False)] * 3):
        found = []
        for module in (rl, torch):
            module.manual_seed(0)
            layer = module.nn.MultiheadAttention(8, 2)
            t = module.from_numpy(x.copy()).requires_grad_()
            y, w = layer(
                t,
                t,
                t,
                key_padding_mask=module.from_numpy(padding),
                attn_mask=module.from_numpy(causal) if use_mask else None,
                need_weights=need_weights,
                average_attn_weights=average,
            )
            (y * y).sum().backward()
            found.append([y.detach().numpy(), t.grad.numpy()])
            assert (w is not None) == need_weights
            if w is not None:
                found[-1].append(w.detach().numpy())
        for mine, other in zip(*found, strict=True):
            close(mine, other)


def test_gumbel_softmax():
    rl.manual_seed(0)
    logits = rl.zeros(4, 3, requires_grad=True)
    hard = F.gumbel_softmax(logits, tau=0.5, hard=True)
    close(hard.detach().sum(-1).numpy(), np.ones(4))
    assert set(np.unique(np.round(hard.detach().numpy(), 5))) <= {0.0, 1.0}
    hard[:, 0].sum().backward()
    assert logits.grad.abs().sum().item() > 0
    torch = pytest.importorskip("torch")
    found = []
    for module in (rl, torch):
        module.manual_seed(7)
        soft = module.nn.functional.gumbel_softmax(module.zeros(3, 20))
        found.append(soft.numpy())
    close(*found)


def test_one_hot_and_shuffles():
    codes = F.one_hot(rl.tensor([[0, 2], [1, 1]]))
    assert codes.shape == (2, 2, 3) and codes.dtype is rl.int64
    assert codes.argmax(-1).tolist() == [[0, 2], [1, 1]]
    assert F.one_hot(rl.zeros(0, dtype=rl.int64), 4).shape == (0, 4)
    for call, message in [
        (lambda: F.one_hot(rl.tensor([-1])), "Class values must be non-negative."),
        (lambda: F.one_hot(rl.tensor([3]), 2), "Class values must be smaller than num_classes."),
        (lambda: F.one_hot(rl.zeros(0, dtype=rl.int64)), "Can not infer total number of classes"),
        (lambda: F.one_hot(rl.zeros(2)), "only applicable to index tensor of type LongTensor."),
        (lambda: F.pixel_shuffle(rl.zeros(1, 2, 3), 2), "is not divisible by 4"),
        (lambda: F.pixel_unshuffle(rl.zeros(1, 3, 3), 2), "pixel_unshuffle expects height to be"),
        (lambda: F.channel_shuffle(rl.zeros(1, 4, 1), 3), "Got 4 channels and 3 groups."),
        (lambda: F.cosine_embedding_loss(*[rl.zeros(2)] * 3), "1D target tensor expects 2D"),
        (lambda: F.multi_margin_loss(rl.zeros(1, 2), rl.tensor([2])), "target out of range"),
    ]:
        with pytest.raises(RuntimeError) as caught:
            call()
        assert message in str(caught.value)
    with pytest.raises(ValueError, match="var has negative entry/entries"):
        F.gaussian_nll_loss(rl.zeros(2), rl.zeros(2), -rl.ones(2))
    with pytest.raises(ValueError, match="x is not a valid value for reduction"):
        F.soft_margin_loss(rl.zeros(2), rl.ones(2), reduction="x")


# CTC


def every_alignment(log_probs, target, blank=0):
    """The loss by trying all paths."""
    steps, classes = log_probs.shape
    total = 0.0
    for path in itertools.product(range(classes), repeat=steps):
        merged = [label for label, _ in itertools.groupby(path)]
        if [label for label in merged if label != blank] == list(target):
            total += math.exp(sum(log_probs[t, label] for t, label in enumerate(path)))
    return -math.log(total) if total else math.inf


def test_ctc_by_definition():
    for target in ([1], [1, 2], [1, 1], [], [2, 1, 2]):
        x = rl.from_numpy(floats(4, 1, 3).astype(np.float64)).log_softmax(-1)
        got = F.ctc_loss(x, rl.tensor([target], dtype=rl.int64), (4,), (len(target),))
        want = every_alignment(x[:, 0].numpy(), target) / max(len(target), 1)
        assert got.item() == pytest.approx(want, rel=1e-6)
    assert F.ctc_loss(x[:1], rl.tensor([[1, 2]]), (1,), (2,)).item() == math.inf
    impossible = F.ctc_loss(x[:1], rl.tensor([[1, 2]]), (1,), (2,), zero_infinity=True)
    assert impossible.item() == 0
    with pytest.raises(RuntimeError, match="blank must be in label range"):
        F.ctc_loss(x, rl.tensor([[1]]), (4,), (1,), blank=3)
    with pytest.raises(RuntimeError, match="Expected input_lengths to have value at most 4"):
        F.ctc_loss(x, rl.tensor([[1]]), (5,), (1,))


@pytest.mark.parametrize("trial", range(6))
def test_ctc_like_torch(trial):
    torch = pytest.importorskip("torch")
    own = np.random.default_rng(trial)
    steps, batch, classes, width = own.integers((2, 1, 2, 1), (9, 4, 6, 5))
    x = own.standard_normal((steps, batch, classes)).astype(np.float32)
    times, sizes = own.integers(1, steps + 1, batch), own.integers(0, width + 1, batch)
    labels = own.integers(1, classes, (batch, width))
    joined = np.concatenate([labels[i, : sizes[i]] for i in range(batch)])
    for reduction, targets in (("mean", labels), ("none", joined), ("sum", labels)):
        found = []
        for module in (rl, torch):
            lp = module.from_numpy(x.copy()).requires_grad_()
            loss = module.nn.functional.ctc_loss(
                lp.log_softmax(-1),
                module.from_numpy(targets.copy()),
                module.from_numpy(times),
                module.from_numpy(sizes),
                reduction=reduction,
                zero_infinity=True,
            )
            (loss.sum() * 1.5).backward()
            found.append((loss.detach().numpy(), lp.grad.numpy()))
        close(found[0][0], found[1][0])
        close(found[0][1], found[1][1])


# Bags


@pytest.mark.parametrize("padding_idx", [None, 3, -1])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode, padding_idx):
    table = floats(10, 4)
    matrix, row = rng.integers(0, 10, (3, 5)), rng.integers(0, 10, 9)
    kwargs = {"mode": mode, "padding_idx": padding_idx}
    ours = run(rl, "embedding_bag", [matrix, table], **kwargs)[0]
    for bag, result in zip(matrix, ours, strict=True):
        rows = [table[i] for i in bag if padding_idx is None or i != padding_idx % 10]
        reduce = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode]
        close(result, reduce(rows, axis=0) if rows else np.zeros(4))
    like_torch("embedding_bag", [matrix, table], **kwargs)
    for offsets, last in (([0, 2, 2, 7], False), ([0, 2, 2, 7, 9], True)):
        like_torch(
            "embedding_bag", [row, table, np.array(offsets)], include_last_offset=last, **kwargs
        )


def test_embedding_bag_weights_and_errors():
    table, row = rl.eye(3), rl.tensor([0, 1, 1])
    factors = rl.tensor([2.0, 3.0, 4.0])
    y = F.embedding_bag(row, table, rl.tensor([0, 1]), mode="sum", per_sample_weights=factors)
    assert y.tolist() == [[2, 0, 0], [0, 7, 0]]
    for kwargs, error, message in [
        ({"mode": "min"}, ValueError, "mode has to be one of sum, mean or max"),
        ({"offsets": None}, ValueError, "offsets has to be a 1D Tensor but got None"),
        ({"per_sample_weights": factors}, NotImplementedError, "only supported for mode='sum'"),
        ({"offsets": rl.tensor([1])}, RuntimeError, r"offsets\[0\] has to be 0"),
    ]:
        with pytest.raises(error, match=message):
            F.embedding_bag(row, table, **{"offsets": rl.tensor([0, 1]), **kwargs})


# Fractional pooling


@pytest.mark.parametrize(
    ("dims", "shape", "kernel", "kwargs"),
    [
        (2, (2, 3, 9, 11), 2, {"output_size": (4, 5)}),
        (2, (3, 9, 11), (2, 3), {"output_ratio": (0.5, 0.4)}),
        (2, (1, 1, 5, 5), 2, {"output_size": 1}),
        (3, (2, 2, 7, 8, 9), 2, {"output_size": (3, 4, 5)}),
        (3, (2, 7, 8, 9), (1, 2, 3), {"output_ratio": 0.5}),
    ],
)
def test_fractional_max_pool(dims, shape, kernel, kwargs):
    torch = pytest.importorskip("torch")
    x = floats(*shape)
    found = []
    for module in (rl, torch):
        module.manual_seed(3)
        t = module.from_numpy(x.copy()).requires_grad_()
        pool = getattr(module.nn.functional, f"fractional_max_pool{dims}d")
        y, where = pool(t, kernel, return_indices=True, **kwargs)
        (y * y).sum().backward()
        found.append((y.detach().numpy(), where.numpy(), t.grad.numpy()))
    for mine, other in zip(*found, strict=True):
        close(mine, other)


def test_fractional_max_pool_by_definition():
    x = rl.arange(25.0).reshape(1, 1, 5, 5)
    samples = rl.full((1, 1, 2), 0.5)
    # steps of 1.5 from 0.5: windows begin at 0, int(2.25) - 0 = 2, and 3
    y = F.fractional_max_pool2d(x, 2, 3, _random_samples=samples)
    starts = [0, 2, 3]
    want = [[x[0, 0, a : a + 2, b : b + 2].max().item() for b in starts] for a in starts]
    assert y[0, 0].tolist() == want
    with pytest.raises(ValueError, match="requires specifying either an output_size or"):
        F.fractional_max_pool2d(x, 2)
    with pytest.raises(RuntimeError, match="too large relative to input"):
        F.fractional_max_pool2d(x, 4, 4)


def test_settings_of_windows_may_be_numpy_integers():
    two, one = np.int64(2), np.int64(1)
    x = rl.arange(25.0).view(1, 1, 5, 5)
    conv = rl.nn.Conv2d(1, 1, two, stride=two, padding=one, dilation=one)
    assert conv(x).shape == (1, 1, 3, 3)
    assert rl.nn.MaxPool2d(two, two)(x).tolist() == [[[[6, 8], [16, 18]]]]
    assert F.avg_pool2d(x, two, one).shape == (1, 1, 4, 4)
