"""Mixed precision: which dtype results have under autocast, and loss scaling; beside torch."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

import rushlight as rl

F = rl.nn.functional


def outcomes(lib, dtype):
    """Dtypes of the results of many operators under autocast for CPUs."""
    f = lib.nn.functional
    a, b = lib.arange(12.0).reshape(3, 4) / 10, lib.arange(8.0).reshape(4, 2) / 10
    image, kernel = lib.ones(1, 2, 6, 6), lib.ones(3, 2, 3, 3)
    low, target = a.to(dtype), lib.tensor([0, 1, 3])
    wide = a.double()
    calls = {
        "matmul": lambda: a @ b,
        "mm": lambda: lib.mm(a, b),
        "bmm": lambda: lib.bmm(a[None], b[None]),
        "addmm": lambda: lib.addmm(lib.ones(2), a, b),
        "linear": lambda: f.linear(a, b.t(), lib.ones(2)),
        "conv1d": lambda: f.conv1d(image[..., 0], kernel[..., 0]),
        "conv2d": lambda: f.conv2d(image, kernel, lib.ones(3)),
        "conv_transpose2d": lambda: f.conv_transpose2d(image, lib.ones(2, 3, 3, 3)),
        "attention": lambda: f.scaled_dot_product_attention(a[None], a[None], a[None]),
        "add": lambda: a + low,
        "relu": lambda: f.relu(low),
        "softmax": lambda: f.softmax(low, -1),
        "layer_norm": lambda: f.layer_norm(a, (4,)),
        "sum": lambda: low.sum(),
        "prod": lambda: low.prod(),
        "mse_loss": lambda: f.mse_loss(low, low),
        "l1_loss": lambda: f.l1_loss(low, low),
        "cross_entropy": lambda: f.cross_entropy(low, target),
        "nll_loss": lambda: f.nll_loss(low, target),
        "kl_div": lambda: f.kl_div(low, low, reduction="sum"),
        "bce": lambda: f.binary_cross_entropy_with_logits(low, low),
        "smooth_l1": lambda: f.smooth_l1_loss(low, low),
        "huber": lambda: f.huber_loss(low, low),
        "cat": lambda: lib.cat([a, low]),
        "stack": lambda: lib.stack([low, low]),
        "float64": lambda: wide @ wide.t(),
        "max_pool2d": lambda: f.max_pool2d(image.to(dtype), 2),
        "avg_pool3d": lambda: f.avg_pool3d(image[None].to(dtype), 1),
    }
    results = {}
    with lib.autocast("cpu", dtype=dtype):
        for name, call in calls.items():
            made = call()
            results[name] = (str(made.dtype), np.asarray(made.double()))
    return results


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_dtypes_like_torch(dtype):
    torch = pytest.importorskip("torch")
    ours, theirs = outcomes(rl, getattr(rl, dtype)), outcomes(torch, getattr(torch, dtype))
    assert {k: v[0] for k, v in ours.items()} == {k: v[0] for k, v in theirs.items()}
    for name, (_, want) in theirs.items():
        np.testing.assert_allclose(ours[name][1], want, rtol=2e-2, atol=2e-2, err_msg=name)


def test_recurrent_layers_like_torch():
    torch = pytest.importorskip("torch")

    def dtypes(lib):
        found = []
        for name in ("LSTM", "GRU", "RNN"):
            layer = getattr(lib.nn, name)(4, 8, 2, batch_first=True)
            with lib.autocast("cpu"):
                y, state = layer(lib.ones(2, 5, 4))
            y.float().sum().backward()
            kept = state[0] if name == "LSTM" else state
            found.append([str(t.dtype) for t in (y, kept, layer.weight_ih_l0.grad)])
        return found

    assert dtypes(rl) == dtypes(torch)


def test_known_dtypes():
    found = {k: v[0] for k, v in outcomes(rl, rl.bfloat16).items()}
    for name in ("matmul", "linear", "conv2d", "bmm", "relu"):
        assert found[name] == "torch.bfloat16"
    for name in ("mse_loss", "cross_entropy", "cat", "l1_loss", "add"):
        assert found[name] == "torch.float32"
    assert found["float64"] == "torch.float64"


def train(lib, steps=5):
    lib.manual_seed(0)
    model = lib.nn.Sequential(lib.nn.Linear(4, 8), lib.nn.ReLU(), lib.nn.Linear(8, 3))
    optimizer = lib.optim.SGD(model.parameters(), lr=0.1)
    scaler = lib.amp.GradScaler("cpu", init_scale=64.0, growth_interval=2)
    x, y = lib.randn(6, 4), lib.tensor([0, 1, 2, 0, 1, 2])
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        with lib.autocast("cpu"):
            loss = lib.nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    kinds = [str(p.grad.dtype) for p in model.parameters()]
    return losses, kinds, scaler.get_scale(), scaler.state_dict()


def test_training_like_torch():
    torch = pytest.importorskip("torch")
    ours, theirs = train(rl), train(torch)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=5e-3)
    assert ours[1:] == theirs[1:]


def test_training_lowers_the_loss():
    losses, kinds, scale, state = train(rl)
    assert losses[-1] < losses[0]
    assert kinds == ["torch.float32"] * 4
    assert scale == 64.0 * 4
    assert state["_growth_tracker"] == 1


def test_autocast_is_off_outside_and_inside_a_disabled_context():
    a = rl.ones(2, 2)
    assert not rl.is_autocast_enabled("cpu")
    with rl.autocast("cpu"):
        assert rl.is_autocast_enabled("cpu")
        assert rl.is_autocast_cpu_enabled()
        with rl.autocast("cpu", enabled=False):
            assert (a @ a).dtype is rl.float32
        assert (a @ a).dtype is rl.bfloat16
        with rl.autocast("cpu", dtype=rl.float16):
            assert rl.get_autocast_dtype("cpu") is rl.float16
            assert (a @ a).dtype is rl.float16
    assert (a @ a).dtype is rl.float32
    assert rl.get_autocast_dtype("cpu") is rl.bfloat16
    with pytest.raises(ZeroDivisionError), rl.autocast("cpu"):
        1 / 0  # noqa: B018
    assert not rl.is_autocast_enabled("cpu")


def test_as_a_decorator():
    @rl.autocast("cpu")
    def product(a):
        return a @ a

    assert product(rl.ones(2, 2)).dtype is rl.bfloat16


def test_parameters_are_cast_once():
    weight = rl.ones(3, 3, requires_grad=True)
    with rl.autocast("cpu"):
        y = (rl.ones(1, 3) @ weight) @ weight
        from rushlight.dispatch.autocast import kept

        assert len(kept.casts) == 1
    assert not kept.casts
    y.float().sum().backward()
    np.testing.assert_allclose(weight.grad.numpy(), 6.0, rtol=1e-2)
    with rl.autocast("cpu"):
        first = rl.ones(1, 3) @ weight
        with rl.no_grad():
            weight.mul_(2)
        second = rl.ones(1, 3) @ weight
    assert (first[0, 0].item(), second[0, 0].item()) == (3.0, 6.0)


def test_in_place_calls_keep_their_dtype():
    a = rl.ones(2, 2)
    with rl.autocast("cpu"):
        a.add_(1)
        a.mul_(rl.ones(2, 2))
    assert a.dtype is rl.float32
    assert a.tolist() == [[2, 2], [2, 2]]


def errors(lib):
    def late(call):
        with warnings.catch_warnings(), pytest.raises(Exception) as caught:
            warnings.simplefilter("ignore")
            call()
        return type(caught.value).__name__, str(caught.value).split("\n")[0]

    def no_scale():
        lib.amp.GradScaler("cpu").update()

    def twice():
        w = lib.ones(1, requires_grad=True)
        optimizer, scaler = lib.optim.SGD([w], lr=1.0), lib.amp.GradScaler("cpu")
        scaler.scale(w.sum()).backward()
        scaler.unscale_(optimizer)
        scaler.unscale_(optimizer)

    def step_twice():
        w = lib.ones(1, requires_grad=True)
        optimizer, scaler = lib.optim.SGD([w], lr=1.0), lib.amp.GradScaler("cpu")
        scaler.scale(w.sum()).backward()
        scaler.step(optimizer)
        scaler.step(optimizer)

    return [
        late(lambda: lib.autocast("tpu")),
        late(lambda: lib.autocast("meta", dtype=lib.bfloat16)),
        late(lambda: lib.autocast(3)),
        late(lambda: lib.autocast("cpu")(3)),
        late(lambda: lib.amp.GradScaler("cpu", growth_factor=1.0)),
        late(lambda: lib.amp.GradScaler("cpu", backoff_factor=1.0)),
        late(no_scale),
        late(twice),
        late(step_twice),
        late(lambda: lib.amp.GradScaler("cpu").load_state_dict({})),
        late(lambda: lib.amp.custom_fwd(device_type=3)),
    ]


def test_errors_like_torch():
    torch = pytest.importorskip("torch")
    for got, want in zip(errors(rl), errors(torch), strict=True):
        if "class" in want[1]:  # names of classes are shown as torch's
            assert got[0] == want[0]
        else:
            assert got == want


def test_unsupported_dtype_warns_and_does_nothing():
    with pytest.warns(UserWarning, match="In CPU autocast, but the target dtype is not supported"):
        context = rl.autocast("cpu", dtype=rl.float64)
    with context:
        assert (rl.ones(2, 2) @ rl.ones(2, 2)).dtype is rl.float32


def test_bad_steps_are_left_out():
    w = rl.ones(2, requires_grad=True)
    optimizer = rl.optim.SGD([w], lr=1.0)
    scaler = rl.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale((w * float("inf")).sum()).backward()
    assert scaler.step(optimizer) is None
    scaler.update()
    assert w.tolist() == [1, 1]
    assert scaler.get_scale() == 4.0
    twin = pickle.loads(pickle.dumps(scaler))
    assert twin.get_scale() == 4.0
    fresh = rl.amp.GradScaler("cpu")
    fresh.load_state_dict(scaler.state_dict())
    assert fresh.get_scale() == 4.0
    scaler.update(16.0)
    assert scaler.get_scale() == 16.0
    outputs = scaler.scale([rl.ones(1), (rl.ones(1),)])
    assert outputs[1][0].item() == 16.0


def test_a_disabled_scaler_does_nothing():
    w = rl.ones(1, requires_grad=True)
    optimizer, scaler = rl.optim.SGD([w], lr=1.0), rl.amp.GradScaler("cpu", enabled=False)
    scaler.scale(w.sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert w.item() == 0.0
    assert scaler.state_dict() == {}
    assert scaler.get_scale() == 1.0


def test_functions_of_ones_own():
    class Product(rl.autograd.Function):
        @staticmethod
        @rl.amp.custom_fwd(device_type="cpu", cast_inputs=rl.float32)
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a @ b

        @staticmethod
        @rl.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            return g @ b.mT, a.mT @ g

    a = rl.ones(2, 2, requires_grad=True)
    with rl.autocast("cpu"):
        y = Product.apply(a, a.detach().bfloat16())
    assert y.dtype is rl.float32
    y.sum().backward()
    assert a.grad.tolist() == [[2, 2], [2, 2]]


def test_older_names_warn_and_do_nothing_without_cuda():
    assert rl.GradScaler is rl.amp.GradScaler
    with pytest.warns(FutureWarning, match=r"`torch.cuda.amp.autocast\(args...\)` is deprecated"):
        context = rl.cuda.amp.autocast(enabled=False)
    with context:
        assert (rl.ones(2, 2) @ rl.ones(2, 2)).dtype is rl.float32
    with pytest.warns(FutureWarning, match="GradScaler"):
        scaler = rl.cuda.amp.GradScaler(enabled=False)
    assert not scaler.is_enabled()
    with pytest.warns(UserWarning, match="CUDA is not available"):
        assert not rl.amp.GradScaler().is_enabled()


def test_scripts_import_the_older_names(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from torch.cuda.amp import GradScaler, autocast\nprint(autocast.__name__)\n")
    done = subprocess.run(
        [sys.executable, "-m", "rushlight", str(script)], capture_output=True, text=True
    )
    assert done.stdout.strip() == "autocast", done.stderr
