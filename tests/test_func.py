"""torch.func: transforms against loops, against each other, and against real torch.

A case is a function of the namespace (``rushlight`` or ``torch``), so that the same lines run in
both; without torch, what can be known is checked by loops and formulas.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings

import numpy as np
import pytest

import rushlight as rl
import rushlight.autograd.forward_ad as fwAD
from rushlight import func
from rushlight.func import grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="real torch is not installed")


def batch(t, *shape, start=0.0):
    n = int(np.prod(shape))
    return (t.arange(float(n)).reshape(shape) * 0.37 + start).sin()


def plain(result):
    """Tensors as (dtype, array), containers as they are."""
    if isinstance(result, (tuple, list)):
        return [plain(r) for r in result]
    if isinstance(result, dict):
        return {k: plain(v) for k, v in result.items()}
    if hasattr(result, "detach"):
        t = result.detach().resolve_conj().resolve_neg()
        return str(t.dtype).split(".")[-1], np.asarray(t.numpy()), bool(result.requires_grad)
    return result


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for k in a:
            same(a[k], b[k])
    elif isinstance(a, tuple):
        assert (a[0], a[1].shape, a[2]) == (b[0], b[1].shape, b[2])
        np.testing.assert_allclose(a[1], b[1], rtol=2e-4, atol=2e-5)
    else:
        assert a == b


def close(a, b, **how):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), **{"rtol": 1e-5, **how})


def network(t):
    t.manual_seed(0)
    return t.nn.Sequential(t.nn.Linear(4, 6), t.nn.Tanh(), t.nn.Linear(6, 3))


def detached(net):
    return {k: v.detach() for k, v in net.named_parameters()}


# The acceptance examples


def test_per_sample_gradients_of_a_network():
    """vmap(grad(loss)) with functional_call gives what backward gives for each sample alone."""
    net = network(rl)
    x, labels = batch(rl, 5, 4), rl.tensor([0, 2, 1, 0, 1])

    def loss(parameters, sample, label):
        out = func.functional_call(net, parameters, (sample.unsqueeze(0),))
        return rl.nn.functional.cross_entropy(out, label.unsqueeze(0))

    found = vmap(grad(loss), in_dims=(None, 0, 0))(detached(net), x, labels)
    for i in range(5):
        net.zero_grad()
        rl.nn.functional.cross_entropy(net(x[i : i + 1]), labels[i : i + 1]).backward()
        for name, p in net.named_parameters():
            close(found[name][i], p.grad, atol=1e-6)


def test_per_sample_gradients_of_a_convolution():
    rl.manual_seed(0)
    net = rl.nn.Sequential(
        rl.nn.Conv2d(1, 3, 3, padding=1),
        rl.nn.GroupNorm(1, 3),
        rl.nn.ReLU(),
        rl.nn.MaxPool2d(2),
        rl.nn.Flatten(),
        rl.nn.Linear(12, 3),
    )
    images = batch(rl, 4, 1, 4, 4)

    def loss(parameters, image):
        return func.functional_call(net, parameters, (image.unsqueeze(0),)).pow(2).sum()

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # every operator on the way has a batching rule
        found = vmap(grad(loss), in_dims=(None, 0))(detached(net), images)
    for i in range(4):
        net.zero_grad()
        net(images[i : i + 1]).pow(2).sum().backward()
        for name, p in net.named_parameters():
            close(found[name][i], p.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("outer", [jacfwd, jacrev])
@pytest.mark.parametrize("inner", [jacfwd, jacrev])
def test_hessian(outer, inner):
    x = batch(rl, 5)

    def f(x):
        return (x**3).sum() * x[0] + x.tanh().sum()

    want = rl.autograd.functional.hessian(f, x)
    close(outer(inner(f))(x), want, atol=1e-5)
    close(hessian(f)(x), want, atol=1e-5)


def test_grad_in_vmap_in_grad():
    x = batch(rl, 3, 4)

    def outer(x):
        return vmap(grad(lambda row: (row**3).sum()))(x).sin().sum()

    close(grad(outer)(x), 6 * x * (3 * x**2).cos(), atol=1e-6)


def test_ensemble():
    models = [rl.nn.Linear(4, 2) for _ in range(3)]
    parameters, buffers = func.stack_module_state(models)
    x = batch(rl, 5, 4)

    def call(p, b, x):
        return func.functional_call(models[0], (p, b), (x,))

    found = vmap(call, in_dims=(0, 0, None))(parameters, buffers, x)
    for i, model in enumerate(models):
        close(found[i], model(x), atol=1e-6)
    assert parameters["weight"].requires_grad and parameters["weight"].is_leaf


# Levels: which graph a result hangs in


def test_results_do_not_hang_in_ended_transforms():
    x = batch(rl, 3)
    assert not grad(lambda x: (x**2).sum())(x).requires_grad
    assert not vmap(grad(lambda x: x**2))(x).requires_grad
    assert not jvp(rl.sin, (x,), (x,))[1].requires_grad
    value, vjp_fn = vjp(rl.sin, x)
    assert not value.requires_grad and not vjp_fn(x)[0].requires_grad


def test_results_stay_attached_to_what_is_outside():
    x, w = batch(rl, 2, 3), batch(rl, 3, start=1.0).requires_grad_()
    g = vmap(grad(lambda row: (row**2 * w).sum()))(x)
    (dw,) = rl.autograd.grad(g.sum(), w)
    close(dw, (2 * x).sum(0))
    with rl.no_grad():
        assert not grad(lambda v: (v**2).sum())(w).requires_grad
    assert grad(lambda v: (v**2).sum())(w).requires_grad


def test_no_perturbation_confusion():
    def f(x):
        return x * grad(lambda y: x + y)(rl.tensor(1.0))

    assert grad(f)(rl.tensor(3.0)).item() == 1.0


def test_no_grad_inside_is_obeyed():
    def f(x):
        with rl.no_grad():
            c = x**2
        return (x - c).sum()

    close(grad(f)(batch(rl, 3)), rl.ones(3))


def test_the_mode_stack_is_empty_afterwards():
    from rushlight.dispatch import modes

    with pytest.raises(ZeroDivisionError):
        vmap(lambda x: x / (1 // 0))(rl.ones(2))
    assert modes.state.stack == ()


def test_vjp_is_reusable_and_linearize_runs_once():
    calls = []

    def f(x):
        calls.append(1)
        return x.sin() * x

    x = batch(rl, 4)
    _, vjp_fn = vjp(f, x)
    close(vjp_fn(x)[0], vjp_fn(x)[0])
    value, jvp_fn = linearize(f, x)
    close(jvp_fn(x), jvp(f, (x,), (x,))[1])
    close(jvp_fn(2 * x), 2 * jvp_fn(x))
    assert len(calls) == 3
    close(value, f(x))


# vmap's own behaviour


def test_writes_in_place():
    def f(x):
        y = x.clone()
        y[0] = x.sum()
        y[1:] += 1
        y.mul_(2)
        return y

    x = batch(rl, 3, 4)
    close(vmap(f)(x), rl.stack([f(r) for r in x]))
    want = rl.stack([grad(lambda r: f(r).pow(2).sum())(r) for r in x])
    close(vmap(grad(lambda r: f(r).pow(2).sum()))(x), want)
    close(grad(lambda x: vmap(f)(x).pow(2).sum())(x), want)


def test_a_tensor_kept_too_long_is_refused():
    kept = []
    vmap(lambda x: kept.append(x) or x)(rl.ones(2, 3))
    for use in (lambda x: x + 1, lambda x: x.view(3, 1) * 2, lambda x: x.item(), lambda x: x[0]):
        with pytest.raises(RuntimeError, match="vmap"):
            use(kept[0])
        with pytest.raises(RuntimeError, match="vmap"):
            vmap(lambda y, use=use: use(kept[0]) * y)(rl.ones(5))


def test_writes_to_tensors_made_inside():
    def f(x):
        y = rl.zeros(4)
        for i in range(4):
            y[i] = x[i] ** (i + 1)
        return y.sum()

    x = batch(rl, 4, start=1.0)
    want = rl.tensor([(i + 1) * x[i].item() ** i for i in range(4)])
    for transform in (grad, jacfwd, jacrev):
        close(transform(f)(x), want)
    captured = rl.zeros(4)
    with pytest.raises(RuntimeError, match="attempted to call in-place operation"):
        jacfwd(lambda x: captured.copy_(x).sum())(x)


def test_writing_to_the_batch_writes_to_the_input():
    x = rl.zeros(2, 3)
    vmap(lambda r: r.add_(1))(x)
    close(x, rl.ones(2, 3))


def test_fallback_warns():
    def f(x):
        return rl.nn.functional.embedding_bag(rl.tensor([[0, 1]]), x, mode="sum")

    x = batch(rl, 2, 3, 2)
    with pytest.warns(UserWarning, match="There is a performance drop because"):
        found = vmap(f)(x)
    close(found, rl.stack([f(r) for r in x]))


def test_randomness():
    x = rl.zeros(4, 3)
    different = vmap(lambda r: r + rl.rand(3), randomness="different")(x)
    same_draws = vmap(lambda r: r + rl.rand(3), randomness="same")(x)
    assert len({tuple(r) for r in different.tolist()}) == 4
    assert len({tuple(r) for r in same_draws.tolist()}) == 1
    dropped = vmap(lambda r: rl.nn.functional.dropout(r), randomness="different")(rl.ones(8, 64))
    assert len({tuple(r) for r in dropped.tolist()}) == 8
    rl.manual_seed(0)
    first = vmap(lambda r: rl.randn(3), randomness="different")(x)
    rl.manual_seed(0)
    close(first, rl.randn(4, 3))


def test_chunks_and_structures():
    x = {"a": batch(rl, 5, 3), "b": [batch(rl, 5), rl.tensor(2.0)]}

    def f(x):
        return {"s": x["a"].sum() * x["b"][1], "p": (x["a"], x["b"][0])}

    in_dims = ({"a": 0, "b": [0, None]},)
    whole = vmap(f, in_dims=in_dims, out_dims={"s": 0, "p": (1, 0)})(x)
    parts = vmap(f, in_dims=in_dims, out_dims={"s": 0, "p": (1, 0)}, chunk_size=2)(x)
    same(plain(whole), plain(parts))
    assert whole["p"][0].shape == (3, 5)


class Cube(rl.autograd.Function):
    """x^3 with 5 x^2 for its derivative, to see that this one is used."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, w):
        return x**3 * w

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g * 5 * x**2 * w, (g * x**3).sum()


class WithVmap(Cube):
    generate_vmap_rule = False

    @staticmethod
    def vmap(info, in_dims, x, w):
        assert info.batch_size == 2
        assert in_dims == (0, None)
        return WithVmap.apply(x, w), 0


class Without(Cube):
    generate_vmap_rule = False


@pytest.mark.parametrize("function", [Cube, WithVmap])
def test_custom_functions(function):
    x, w = batch(rl, 2, 3), rl.tensor(2.0)
    close(vmap(lambda r: function.apply(r, w))(x), x**3 * 2)
    want = 5 * x**2 * 2
    close(vmap(grad(lambda r: function.apply(r, w).sum()))(x), want)
    close(grad(lambda x: vmap(lambda r: function.apply(r, w))(x).sum())(x), want)


def test_custom_function_with_a_shared_input():
    x, w = batch(rl, 2, 3), rl.tensor(2.0)
    found = grad(lambda w: vmap(lambda r: Cube.apply(r, w))(x).sum())(w)
    close(found, (x**3).sum())


class Square(rl.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**2

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        return g * 2 * ctx.saved_tensors[0]


def test_custom_functions_nest():
    x = batch(rl, 2, 3)
    close(vmap(vmap(grad(Square.apply)))(x), 2 * x)
    close(vmap(grad(lambda row: vmap(Square.apply)(row).sum()))(x), 2 * x)
    close(grad(lambda x: vmap(vmap(Square.apply))(x).sum())(x), 2 * x)
    close(hessian(lambda row: Square.apply(row).sum())(x[0]), 2 * rl.eye(3))


def test_custom_function_without_a_rule():
    with pytest.raises(RuntimeError, match="You tried to vmap over Without, but it does not have"):
        vmap(lambda r: Without.apply(r, rl.tensor(1.0)))(rl.ones(2, 3))


# forward_ad


def test_dual_tensors():
    x, v = batch(rl, 3), batch(rl, 3, start=1.0)
    with fwAD.dual_level():
        dual = fwAD.make_dual(x, v)
        found = fwAD.unpack_dual(dual.sin() * x)
        assert fwAD.unpack_dual(x).tangent is None
        close(fwAD.unpack_dual(dual).tangent, v)
    close(found.primal, x.sin() * x)
    close(found.tangent, x.cos() * v * x)
    assert not found.tangent.requires_grad
    with pytest.raises(RuntimeError, match="no level exists, make sure to enter_dual_level"):
        fwAD.make_dual(x, v)


# Errors, word for word


x23 = rl.arange(6.0).reshape(2, 3)


def written(x):
    y = rl.zeros(3)
    y[0] = x[0]
    return y


ERRORS = [
    (lambda: vmap(lambda x: x.sum().item())(x23), RuntimeError, "calling .item() on a Tensor. We"),
    (lambda: vmap(lambda x: -x if x.sum() > 0 else x)(x23), RuntimeError, "data-dependent control"),
    (lambda: vmap(lambda x: rl.rand(3))(x23), RuntimeError, "vmap: called random operation while"),
    (lambda: vmap(written)(x23), RuntimeError, "vmap: inplace arithmetic(self, *extra_args) is"),
    (lambda: vmap(lambda x: x.numpy())(x23), RuntimeError, "Cannot access data pointer of Tensor"),
    (lambda: vmap(lambda x: x[x > 1])(x23), RuntimeError, "Attempting to batch over indexing with"),
    (lambda: vmap(lambda x: x.requires_grad_())(x23), RuntimeError, "Tensor.requires_grad_() (or"),
    (
        lambda: vmap(lambda x: rl.zeros(3).normal_(), randomness="different")(x23),
        RuntimeError,
        "vmap: Cannot ask for different inplace randomness on an unbatched tensor.",
    ),
    (
        lambda: vmap(lambda x, y: x, in_dims=(0, 0))(x23, rl.ones(3)),
        ValueError,
        "to have the same size in the mapped dimension, got sizes [2, 3] for the mapped dimension",
    ),
    (lambda: vmap(rl.sin, in_dims=2)(x23), ValueError, "Tensor of dimensionality 2 so expected"),
    (lambda: vmap(rl.sin, in_dims=(0, 1))(x23), ValueError, "in_dims is not compatible with the"),
    (lambda: vmap(rl.sin, in_dims=0.5)(x23), ValueError, "inputs, got: <class 'float'>."),
    (lambda: vmap(lambda x: x)(3), ValueError, "We cannot vmap over non-Tensor arguments, please"),
    (lambda: vmap(lambda x: x)(), ValueError, "got no inputs. Maybe you forgot to add inputs, or"),
    (
        lambda: vmap(lambda x: 3)(x23),
        ValueError,
        "must only return Tensors, got type <cl",
    ),
    (lambda: vmap(lambda x: x, out_dims=4)(x23), IndexError, "Dimension out of range (expected to"),
    (lambda: vmap(lambda x: x, out_dims=None)(x23), ValueError, "can not return a BatchedTensor"),
    (lambda: vmap(lambda x: x, randomness="a"), RuntimeError, "Only allowed values for randomness"),
    (lambda: vmap(lambda x: x, chunk_size=0), ValueError, "vmap: chunk_size should be None or"),
    (lambda: grad(lambda x: x)(x23), RuntimeError, "to return a scalar Tensor, got tensor with 2"),
    (lambda: grad(lambda x: 3)(x23), RuntimeError, "Expected f(*args) to return a Tensor, got"),
    (lambda: grad(rl.sum)(3), ValueError, "Thing passed to transform API must be Tensor, got <cl"),
    (lambda: grad(rl.sum)(x23.long()), RuntimeError, "only Tensors of floating point dtype can"),
    (lambda: grad(rl.sum, argnums=2)(x23), RuntimeError, "Got argnum=2, but only 1 positional inp"),
    (
        lambda: vjp(lambda x: 3, x23),
        RuntimeError,
        "vjp(f, *primals): expected f(*primals) to ret",
    ),
    (
        lambda: vjp(rl.sin, x23)[1](rl.ones(3)),
        RuntimeError,
        "Mismatch in shape: grad_output[0]",
    ),
    (lambda: jvp(rl.sin, x23, x23), RuntimeError, "Expected primals to be a tuple. E.g. it should"),
    (lambda: jvp(rl.sin, (x23,), (rl.ones(2),)), RuntimeError, "Trying to set a forward gradient"),
    (
        lambda: jacrev(rl.sin, chunk_size=-1),
        ValueError,
        "jacrev: `chunk_size` should be greater",
    ),
    (
        lambda: func.stack_module_state([]),
        RuntimeError,
        "stack_module_state: Expected at least",
    ),
    (
        lambda: func.functional_call(rl.nn.Linear(2, 2), {"w": x23}, (x23,), strict=True),
        RuntimeError,
        "Error(s) in reparametrizing for Linear:",
    ),
    (lambda: func.rearrange(x23, "a b -> a"), ValueError, "Identifiers only on one side of rearra"),
    (lambda: func.rearrange(x23, "a a -> a"), ValueError, "contains duplicate dimension 'a'"),
]


@pytest.mark.parametrize("at", range(len(ERRORS)))
def test_errors(at):
    call, kind, text = ERRORS[at]
    with pytest.raises(kind) as caught:
        call()
    assert text in str(caught.value)


def test_rearrange():
    x = batch(rl, 2, 6, 4)
    close(func.rearrange(x, "a b c -> c (b a)"), x.permute(2, 1, 0).reshape(4, 12))
    found = func.rearrange(x, "a (h b) c -> a h (c b)", h=3)
    close(found, x.reshape(2, 3, 2, 4).permute(0, 1, 3, 2).reshape(2, 3, 8))
    assert func.rearrange(x, "a ... -> ... 1 a").shape == (6, 4, 1, 2)


# The same lines in both frameworks


def modules(t):
    return importlib.import_module(t.__name__ + ".func")


def with_net(t, F, run):
    net = network(t)
    return run(net, detached(net))


CASES = {
    "argnums": lambda t, F, x, y: F.grad(lambda a, b: (a * b).sum(), argnums=(1, 0))(x, y),
    "aux": lambda t, F, x, y: F.grad(lambda a: (a.sum(), {"a": a * 2}), has_aux=True)(x),
    "value": lambda t, F, x, y: F.grad_and_value(lambda a: (a**2).sum())(x),
    "third": lambda t, F, x, y: F.grad(F.grad(F.grad(lambda s: s.sin() * s**3)))(x[0, 0]),
    "vmap third": lambda t, F, x, y: F.vmap(F.grad(F.grad(lambda s: s.sin() * s**3)))(x[0]),
    "jvp": lambda t, F, x, y: F.jvp(lambda a: (a.sin(), {"s": a.sum()}), (x,), (y,)),
    "jvp of grad": lambda t, F, x, y: F.jvp(F.grad(lambda a: (a**3).sum()), (x,), (y,)),
    "grad of jvp": lambda t, F, x, y: F.grad(lambda a: F.jvp(t.sin, (a,), (y,))[1].sum())(x),
    "vmap jvp": lambda t, F, x, y: F.vmap(lambda a, b: F.jvp(t.exp, (a,), (b,)))(x, y),
    "vjp": lambda t, F, x, y: F.vjp(lambda a, b: a @ b.T, x, y)[1](t.ones(3, 3)),
    "jacrev two": lambda t, F, x, y: F.jacrev(lambda a, b: (a * b, a.sum()), argnums=(0, 1))(x, y),
    "jacfwd two": lambda t, F, x, y: F.jacfwd(lambda a, b: (a * b, a.sum()), argnums=(0, 1))(x, y),
    "jacrev chunks": lambda t, F, x, y: F.jacrev(t.sin, chunk_size=3)(x),
    "jacrev aux": lambda t, F, x, y: F.jacrev(lambda a: (a.sin(), a), has_aux=True)(x[0]),
    "jacfwd aux": lambda t, F, x, y: F.jacfwd(lambda a: (a.sin(), a), has_aux=True)(x[0]),
    "vmap jacrev": lambda t, F, x, y: F.vmap(F.jacrev(lambda a: a.softmax(0)))(x),
    "vmap hessian": lambda t, F, x, y: F.vmap(F.hessian(lambda a: (a.tanh() * a).sum()))(x),
    "hessian of tree": lambda t, F, x, y: F.hessian(lambda d: (d["a"] ** 3).sum())({"a": x[0]}),
    "hessian of net": lambda t, F, x, y: with_net(
        t,
        F,
        lambda net, p: F.hessian(
            lambda p: t.nn.functional.mse_loss(F.functional_call(net, p, (x,)), t.ones(3, 3))
        )(p),
    ),
    "nested": lambda t, F, x, y: F.vmap(lambda a: F.vmap(lambda b: (a * b).sum())(y))(x),
    "nested dims": lambda t, F, x, y: F.vmap(
        F.vmap(lambda a, b: a * b, in_dims=(0, None)), in_dims=(1, 0), out_dims=-1
    )(x, y[0]),
    "random": lambda t, F, x, y: F.vmap(lambda a: t.randn_like(a), randomness="different")(x),
    "random same": lambda t, F, x, y: F.vmap(lambda a: t.randn(2), randomness="same")(x),
    "dropout": lambda t, F, x, y: F.vmap(t.nn.functional.dropout, randomness="different")(x),
    "promotion": lambda t, F, x, y: F.vmap(lambda a, b: a * b)(t.arange(3), x[:, 0]),
    "number and tensor": lambda t, F, x, y: F.vmap(lambda a: a * t.ones(2))(x[:, 0].double()),
    "index": lambda t, F, x, y: F.vmap(lambda a, i: a[i])(x, t.tensor([0, 2, 1])),
    "index vector": lambda t, F, x, y: F.vmap(lambda i: x[:, i])(t.tensor([[0, 2], [1, 1]])),
    "index apart": lambda t, F, x, y: F.vmap(
        lambda a, i: a.expand(2, 2, 4)[i, :, i], in_dims=(0, None)
    )(x, t.tensor([0, 1])),
    "lists": lambda t, F, x, y: F.vmap(lambda a: [a.max(0), a.sort()[1], a.topk(2)[0]][1:])(x),
    "linalg": lambda t, F, x, y: F.vmap(
        F.grad(lambda a: t.linalg.det(t.outer(a, a) + t.eye(4)).log())
    )(x),
    "inverse": lambda t, F, x, y: F.vmap(lambda a: t.linalg.inv(t.outer(a, a) + t.eye(4)))(x),
    "attention": lambda t, F, x, y: F.vmap(
        F.grad(lambda a: t.nn.functional.scaled_dot_product_attention(*[a[None]] * 3).pow(2).sum())
    )(t.stack([x, y])),
    "layer norm": lambda t, F, x, y: F.vmap(
        F.grad(lambda a: t.nn.functional.layer_norm(a, (4,)).pow(3).sum())
    )(x),
    "convolution": lambda t, F, x, y: F.vmap(
        lambda a, w: t.nn.functional.conv2d(a, w, stride=2, padding=1)
    )(batch(t, 2, 1, 2, 4, 4), batch(t, 2, 3, 2, 3, 3)),
    "duals": lambda t, F, x, y: F.linearize(lambda a: a.sin() * a, x)[1](y),
    "split": lambda t, F, x, y: F.rearrange(x, "(c a) b -> c a b", c=3),
    "new": lambda t, F, x, y: F.vmap(lambda a: a.new_zeros(4).copy_(a) + t.zeros_like(a).add_(a))(
        x
    ),
    "outside": lambda t, F, x, y: F.vmap(F.grad(lambda a: (a**2).sum()))(
        x.clone().requires_grad_()
    ),
}


@needs_torch
@pytest.mark.parametrize("name", CASES)
def test_as_torch_does(name):
    import torch

    def run(t):
        t.manual_seed(0)
        return plain(CASES[name](t, modules(t), batch(t, 3, 4), batch(t, 3, 4, start=1.0)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own parts
        expected = run(torch)
    same(run(rl), expected)


@pytest.mark.parametrize("name", CASES)
def test_cases_run(name):
    """What real torch is compared with also runs where it is not installed."""
    CASES[name](rl, func, batch(rl, 3, 4), batch(rl, 3, 4, start=1.0))
