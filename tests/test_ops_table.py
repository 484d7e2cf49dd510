"""One table over the operator registry: every record, on its samples.

What is checked of each operator: the dtypes and shapes that its rule promises; the same values from
contiguous, transposed and expanded inputs; the same values in float32 as in float64; the gradient
against finite differences in float64; every dtype that its rule accepts runs; real torch agrees
where it is installed.  A record without samples that is not in `op_samples.ELSEWHERE` fails.
"""

from __future__ import annotations

import importlib.util
import math
import warnings

import numpy as np
import pytest
from op_samples import ELSEWHERE, SAMPLES

import rushlight as rl
from rushlight import dtypes
from rushlight.dispatch.gate import call, plan_of
from rushlight.dispatch.namespace import o
from rushlight.ir import op as records
from rushlight.ir.samples import SampleMaker, samples_of

OPS = sorted(op.name for op in records.ops())
TESTED = [name for name in OPS if name not in ELSEWHERE]
DTYPES = [d for d in dtypes.ALL.values() if d.name not in ("uint16", "uint32", "uint64")]
HAS_TORCH = importlib.util.find_spec("torch") is not None


def samples(name):
    op = records.get(name)
    if name in SAMPLES and op.samples is None:
        return list(SAMPLES[name](SampleMaker(op.domain)))
    return list(samples_of(op))


def tensor(value, dtype=None):
    """A tensor for an array of a sample; floating arrays take the dtype."""
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    t = rl.tensor(np.asarray(value))
    return t.to(dtype) if dtype is not None and t.dtype.is_floating_point else t


def outputs(result):
    return list(result) if isinstance(result, tuple) else [result]


def run(op, inputs, attrs, dtype=None):
    return outputs(call(op, tuple(tensor(x, dtype) for x in inputs), attrs))


def values(t):
    t = t.detach()
    t = t.resolve_conj().resolve_neg()
    return (t.float() if t.dtype in (rl.float16, rl.bfloat16) else t).numpy()


def is_float(value):
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "f"


def test_every_record_has_samples():
    """A new record brings samples, or says where it is tested."""
    missing = [name for name in TESTED if not samples(name)]
    assert not missing, f"records without samples: {missing}"


def test_the_list_of_exceptions_is_current():
    stale = [name for name in ELSEWHERE if name not in OPS or records.get(name).samples]
    assert not stale, f"records with samples, or gone, in ELSEWHERE: {stale}"


@pytest.mark.parametrize("name", TESTED)
def test_promises(name):
    """Shape, dtype and strides of results are those of the rule, and so on the meta device."""
    op = records.get(name)
    for inputs, attrs in samples(name):
        tensors = tuple(tensor(x) for x in inputs)
        plan = plan_of(op, tensors, attrs)
        for got, want in zip(outputs(call(op, tensors, attrs)), plan.outs, strict=True):
            assert got._meta is want
            assert values(got).shape == want.shape
            assert values(got).dtype == (
                want.dtype.numpy if want.dtype.name not in ("float16", "bfloat16") else np.float32
            )
        if op.inputs:
            off = tuple(x.to("meta") if isinstance(x, rl.Tensor) else x for x in tensors)
            for got, want in zip(outputs(call(op, off, attrs)), plan.outs, strict=True):
                assert (got.shape, got.dtype) == (want.shape, want.dtype)


def transposed(array):
    return np.ascontiguousarray(array.T).T if getattr(array, "ndim", 0) > 1 else array


def expanded(array):
    """An array whose rows are equal, and the tensor that expands one of them."""
    if getattr(array, "ndim", 0) < 2 or array.shape[0] < 2:
        return array, tensor(array)
    row = np.array(array[:1])
    return np.broadcast_to(row, array.shape).copy(), tensor(row).expand(array.shape)


def strided(array):
    """A tensor that is every other column of a larger one."""
    if getattr(array, "ndim", 0) < 1:
        return tensor(array)
    wide = np.repeat(array, 2, axis=-1)
    return tensor(wide)[..., ::2]


LAYOUT_FREE = {"as_strided", "view", "_unsafe_view"}  # they read memory, not elements


@pytest.mark.parametrize("name", [n for n in TESTED if n not in LAYOUT_FREE])
def test_layouts(name):
    """Transposed, strided and expanded inputs give the values of contiguous ones."""
    op = records.get(name)
    for inputs, attrs in samples(name):
        if not inputs:
            continue
        want = [values(t) for t in run(op, inputs, attrs)]
        for layout in (lambda x: tensor(transposed(x)), strided):
            laid = tuple(layout(x) if isinstance(x, np.ndarray) else tensor(x) for x in inputs)
            got = [values(t) for t in outputs(call(op, laid, attrs))]
            for a, b in zip(got, want, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14, equal_nan=True)
        pairs = [expanded(x) if is_float(x) else (x, tensor(x)) for x in inputs]
        want = [values(t) for t in run(op, [a for a, _ in pairs], attrs)]
        got = [values(t) for t in outputs(call(op, tuple(t for _, t in pairs), attrs))]
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14, equal_nan=True)


# float32 keeps 24 bits; the samples are at most some tens of roundings long.
LOOSE = {"special_zeta": 1e-4, "prod": 1e-4}


@pytest.mark.parametrize("name", TESTED)
def test_float32_agrees_with_float64(name):
    op = records.get(name)
    for inputs, attrs in samples(name):
        if not any(is_float(x) for x in inputs):
            continue
        rounded = [x.astype(np.float32).astype(np.float64) if is_float(x) else x for x in inputs]
        want = [values(t) for t in run(op, rounded, attrs)]
        got = [values(t) for t in run(op, rounded, attrs, rl.float32)]
        for a, b in zip(got, want, strict=True):
            tolerance = LOOSE.get(name, 2e-5)
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("name", TESTED)
def test_dtypes(name):
    """Every dtype that the rule accepts runs and gives the promised dtype."""
    op = records.get(name)
    accepted = not samples(name)  # which another test reports
    for inputs, attrs in samples(name)[:1]:
        if not any(is_float(x) for x in inputs):
            return
        for dtype in DTYPES:
            tensors = tuple(tensor(x).to(dtype) if is_float(x) else tensor(x) for x in inputs)
            try:
                plan = plan_of(op, tensors, attrs)
            except (RuntimeError, TypeError, IndexError, NotImplementedError, ValueError):
                continue
            accepted += 1
            try:
                results = outputs(call(op, tensors, attrs))
            except RuntimeError as error:  # integers may be divided by 0
                assert "ZeroDivisionError" in str(error) or "negative integer powers" in str(error)
                continue
            for got, want in zip(results, plan.outs, strict=True):
                assert got.dtype is want.dtype, dtype
    assert accepted


# Gradients.  Not checked by finite differences: what is not a function of values alone.
GRADIENT_BY_DEFINITION = {
    "cast": "float32 is too coarse for differences",
    "nextafter": "a step in the last bit",
    "remainder": "jumps",
    "fmod": "jumps",
    "fill": "its value is a 0-d tensor",
    "copy": "the target's own values do not matter",
}
NO_GRADIENT = {  # inputs for which PyTorch has no gradient either
    "nll_loss": {2},
    "binary_cross_entropy": {2},
    "binary_cross_entropy_with_logits": {2, 3},
}
ONE_OUTPUT = {"layer_norm", "group_norm", "batch_norm"}  # the others are what the gradient keeps


def loss(results, weights):
    """The real number whose gradient is checked: the sum of w conj(r) or w r."""
    return sum(
        float(np.sum(values(w).conj() * values(r)).real)
        for r, w in zip(results, weights, strict=True)
        if w is not None
    )


def slope(op, inputs, attrs, at, weights, step=1e-5):
    """The numerical gradient with respect to one input."""
    array = np.array(inputs[at], np.float64)
    found = np.zeros_like(array)
    for i in np.ndindex(array.shape):
        ends = []
        for sign in (1, -1):
            moved = array.copy()
            moved[i] += sign * step
            trial = [*inputs[:at], moved, *inputs[at + 1 :]]
            ends.append(loss(run(op, trial, attrs), weights))
        found[i] = (ends[0] - ends[1]) / (2 * step)
    return found


def cotangents(results):
    generator = np.random.default_rng(1)
    made = []
    for r in results:
        w = rl.tensor(generator.standard_normal(tuple(r.shape)))
        w = rl.complex(w, w.cos()) if r.dtype.is_complex else w
        made.append(w.to(r.dtype) if r.dtype.kind in "fc" else None)
    return made


DIFFERENTIABLE = [
    n for n in TESTED if records.get(n).differentiable and n not in GRADIENT_BY_DEFINITION
]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients(name):
    """The gradient rule against central differences in float64."""
    from rushlight.dispatch.backward import grad

    op = records.get(name)
    for inputs, attrs in samples(name)[:4]:
        if sum(np.size(x) for x in inputs if is_float(x)) == 0:
            continue
        for at, value in enumerate(inputs):
            if not is_float(value) or at in NO_GRADIENT.get(name, ()):
                continue
            if op.grads and at < len(op.grads) and op.grads[at] is None:
                continue
            tensors = [tensor(x) for x in inputs]
            tensors[at].requires_grad_(True)
            results = outputs(call(op, tuple(tensors), attrs))
            weights = cotangents(results)
            if name in ONE_OUTPUT:
                weights[1:] = [None] * len(weights[1:])
            kept = [(r, w) for r, w in zip(results, weights, strict=True) if w is not None]
            if not kept or not kept[0][0].requires_grad:
                continue
            try:
                (got,) = grad([r for r, _ in kept], [tensors[at]], [w for _, w in kept])
            except RuntimeError as error:
                assert "derivative for aten::" in str(error)
                continue
            want = slope(op, list(inputs), attrs, at, weights)
            np.testing.assert_allclose(values(got), want, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_second_gradients(name):
    """The gradient of the gradient against differences of the gradient."""
    from rushlight.dispatch.backward import grad

    op = records.get(name)
    for inputs, attrs in samples(name)[:1]:
        fixed = NO_GRADIENT.get(name, ())
        floats = [i for i, x in enumerate(inputs) if is_float(x) and np.size(x) and i not in fixed]

        def first(arrays, inputs=inputs, attrs=attrs, floats=floats):
            """A weighted sum of the first gradients, and the leaves; None if there are none."""
            tensors = [tensor(x) for x in inputs]
            for i, array in zip(floats, arrays, strict=True):
                tensors[i] = rl.tensor(array).requires_grad_(True)
            leaves = [tensors[i] for i in floats]
            results = outputs(call(op, tuple(tensors), attrs))
            weights = cotangents(results)
            if name in ONE_OUTPUT:
                weights[1:] = [None] * len(weights[1:])
            pairs = zip(results, weights, strict=True)
            kept = [(r, w) for r, w in pairs if w is not None and r.requires_grad]
            if not kept:
                return None
            roots, starts = zip(*kept, strict=True)
            found = grad(roots, leaves, starts, create_graph=True, allow_unused=True)
            generator = np.random.default_rng(3)
            parts = [
                (g * rl.tensor(generator.standard_normal(tuple(g.shape)))).sum()
                for g in found
                if g is not None
            ]
            return sum(parts[1:], parts[0]), leaves

        arrays = [np.array(inputs[i], np.float64) for i in floats]
        try:
            made = first(arrays) if floats else None
            if made is None:
                continue
            total, leaves = made
            second = [None] * len(leaves)
            if total.requires_grad:
                second = grad([total], leaves, [rl.ones((), dtype=total.dtype)], allow_unused=True)
        except RuntimeError as error:
            assert "derivative for aten::" in str(error)
            continue
        for k, array in enumerate(arrays):
            got = np.zeros_like(array) if second[k] is None else values(second[k])
            for i in list(np.ndindex(array.shape))[:6]:
                ends = []
                for sign in (1, -1):
                    moved = [a.copy() for a in arrays]
                    moved[k][i] += sign * 1e-5
                    ends.append(first(moved)[0].item())
                assert got[i] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-5)


# Real torch

RENAMED = {  # record -> function of torch, where the names differ
    "max_all": "max",
    "min_all": "min",
    "max_dim": "max",
    "min_dim": "min",
    "median_all": "median",
    "median_dim": "median",
    "nanmedian_all": "nanmedian",
    "nanmedian_dim": "nanmedian",
    "log_sigmoid": "nn.functional.logsigmoid",
    "binary_cross_entropy_with_logits": "nn.functional.binary_cross_entropy_with_logits",
}
# records whose attributes are not the function's parameters
OWN_SIGNATURE = {
    "polygamma", "cat", "stack", "unsqueeze", "full", "arange", "linspace", "logspace", "eye",
    "tril_indices", "triu_indices", "elu", "celu", "index_add", "flip", "layer_norm", "group_norm",
    "embedding", "unbind", "split", "as_strided", "unfold", "searchsorted", "clone_strided",
    "index_put", "batch_norm", "embedding_bag",
}  # fmt: skip


BY_KEYWORD = set(
    """gather scatter scatter_add scatter_reduce index_select index_copy index_fill
    binary_cross_entropy_with_logits""".split()
)
# PyTorch's Bessel functions of float64 are right to 8 digits; mpmath agrees with ours to 15.
TORCH_IS_OFF = dict.fromkeys(
    ("special_bessel_j0", "special_bessel_j1", "special_bessel_y0", "special_bessel_y1"), 1e-6
)
# PyTorch approximates these gradients (series and a fitted rational function, up to 1.4e-3 off);
# finite differences of the tail integrals agree with ours to 8 digits (test_distributions.py).
TORCH_IS_OFF |= {"_standard_gamma_grad": 2e-3, "_dirichlet_grad": 2e-3}


def torch_function(torch, name):
    path = RENAMED.get(name, name)
    for root in (torch, torch.special, torch.nn.functional):
        f = root
        for part in path.removeprefix("special_").split("."):
            f = getattr(f, part, None)
        if callable(f):
            return f
    return None


@pytest.mark.skipif(not HAS_TORCH, reason="needs real torch")
def test_torch_is_compared_with():
    """So many records at least are compared with torch below."""
    import torch

    compared = [n for n in TESTED if n not in OWN_SIGNATURE and torch_function(torch, n)]
    assert len(compared) > 180


@pytest.mark.skipif(not HAS_TORCH, reason="needs real torch")
@pytest.mark.parametrize("name", [n for n in TESTED if n not in OWN_SIGNATURE])
def test_against_torch(name):
    import torch

    op = records.get(name)
    f = torch_function(torch, name)
    if f is None:
        pytest.skip("no such function in torch")
    for inputs, attrs in samples(name):
        their = [torch.tensor(x) if isinstance(x, (np.ndarray, np.generic)) else x for x in inputs]
        first_default = len(op.attrs) - len(op.defaults)
        given = {
            key: value
            for i, (key, value) in enumerate(zip(op.attrs, attrs, strict=True))
            if i < first_default or value != op.defaults[i - first_default]
        }
        for key, value in given.items():
            if isinstance(value, rl.dtype):
                given[key] = getattr(torch, value.name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if name in BY_KEYWORD:
                want = f(**dict(zip(op.inputs, their, strict=True)), **given)
            else:
                want = f(*their, **given)
        want = list(want) if isinstance(want, (tuple, list)) else [want]
        got = run(op, inputs, attrs)
        assert len(got) >= len(want)
        for a, b in zip(got, want, strict=False):
            assert str(a.dtype) == str(b.dtype)
            assert tuple(a.stride()) == b.stride() or b.numel() < 2
            np.testing.assert_allclose(
                values(a),
                b.detach().resolve_conj().numpy(),
                rtol=TORCH_IS_OFF.get(name, 1e-10),
                atol=TORCH_IS_OFF.get(name, 1e-12),
            )


def test_namespace_reaches_every_record():
    """Gradient rules find every operator by name, with its default attributes."""
    for name in OPS:
        assert getattr(o, name).__name__ == name
    assert math.isclose(float(o.sum(rl.ones(3))), 3.0)
