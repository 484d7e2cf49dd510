"""nn.utils: clipping, flat vectors, packed sequences, parametrisations, pruning, fusion."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn import utils
from rushlight.nn.utils import parametrizations, parametrize, prune
from rushlight.nn.utils.rnn import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
)


def with_gradients(module, *values):
    params = [module.nn.Parameter(module.zeros(len(v))) for v in values]
    for param, value in zip(params, values, strict=True):
        param.grad = module.tensor(value)
    return params


def test_clip_grad_norm():
    params = with_gradients(rl, [3.0, 0.0], [0.0, 4.0])
    params.append(nn.Parameter(rl.zeros(1)))  # without gradient: does not count
    assert utils.clip_grad_norm_(params, 10.0).item() == 5.0
    assert params[0].grad.tolist() == [3.0, 0.0]
    assert utils.clip_grad_norm_(params, 1.0).item() == 5.0
    np.testing.assert_allclose(params[1].grad.numpy(), [0.0, 0.8], rtol=1e-6)
    assert utils.clip_grad_norm_(with_gradients(rl, [3.0, -7.0]), 1.0, float("inf")).item() == 7
    bad = with_gradients(rl, [float("nan")])
    with pytest.raises(RuntimeError, match=r"The total norm of order 2\.0 for gradients from"):
        utils.clip_grad_norm_(bad, 1.0, error_if_nonfinite=True)
    assert utils.clip_grad_norm_([], 1.0).item() == 0
    with pytest.warns(UserWarning, match="`parameters` is an empty generator"):
        utils.clip_grad_norm_((p for p in []), 1.0)
    with pytest.warns(FutureWarning, match="clip_grad_norm` is now deprecated"):
        utils.clip_grad_norm(params, 1.0)
    params = with_gradients(rl, [3.0, -4.0])
    utils.clip_grad_value_(params[0], 3.5)
    assert params[0].grad.tolist() == [3.0, -3.5]


def test_clip_grad_norm_like_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(n).astype(np.float32) for n in (3, 50, 7)]
    for norm in (1.0, 2.0, 3.0, float("inf")):
        totals, grads = [], []
        for module in (rl, torch):
            params = with_gradients(module, *[v.tolist() for v in values])
            totals.append(module.nn.utils.clip_grad_norm_(params, 0.5, norm).item())
            grads.append([p.grad.numpy() for p in params])
        assert totals[0] == pytest.approx(totals[1], rel=1e-6)
        for mine, other in zip(*grads, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-6)


def test_flat_vectors():
    layer = nn.Linear(3, 2)
    vector = utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (8,)
    utils.vector_to_parameters(rl.arange(8.0), layer.parameters())
    assert layer.weight.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert layer.bias.tolist() == [6.0, 7.0] and layer.bias.requires_grad
    with pytest.raises(TypeError, match=r"expected torch\.Tensor, but got: list"):
        utils.vector_to_parameters([], layer.parameters())


def test_padding_and_packing():
    items = [rl.tensor([1.0, 2.0, 3.0]), rl.tensor([4.0]), rl.tensor([5.0, 6.0])]
    assert pad_sequence(items, batch_first=True).tolist() == [[1, 2, 3], [4, 0, 0], [5, 6, 0]]
    left = pad_sequence(items, padding_value=-1.0, padding_side="left")
    assert left.t().tolist() == [[1, 2, 3], [-1, -1, 4], [-1, 5, 6]]
    packed = pack_sequence(items, enforce_sorted=False)
    assert packed.data.tolist() == [1, 5, 4, 2, 6, 3]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices.tolist() == [0, 2, 1]
    padded, lengths = pad_packed_sequence(packed, batch_first=True, total_length=4)
    assert lengths.tolist() == [3, 1, 2]
    assert padded.tolist() == [[1, 2, 3, 0], [4, 0, 0, 0], [5, 6, 0, 0]]
    for mine, item in zip(unpack_sequence(packed), items, strict=True):
        assert rl.equal(mine, item)
    assert isinstance(packed.double(), PackedSequence) and packed.to("cpu") is packed
    assert invert_permutation(rl.tensor([2, 0, 1])).tolist() == [1, 2, 0]
    with pytest.raises(RuntimeError, match="must be sorted in decreasing order"):
        pack_sequence(items)
    with pytest.raises(RuntimeError, match="Length of all samples has to be greater than 0"):
        pack_padded_sequence(rl.zeros(2, 2, 1), [2, 0])
    with pytest.raises(ValueError, match="Expected total_length to be at least the length"):
        pad_packed_sequence(packed, total_length=2)


def test_packing_has_gradients():
    x = rl.ones(3, 2, 1, requires_grad=True)
    packed = pack_padded_sequence(x, [3, 1])
    padded, _ = pad_packed_sequence(packed)
    (padded * 2).sum().backward()
    assert x.grad.flatten().tolist() == [2, 2, 2, 0, 2, 0]


class Symmetric(nn.Module):
    def forward(self, x):
        return (x + x.T) / 2

    def right_inverse(self, x):
        return x


class Double(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, x):
        return x / 2


def test_parametrize():
    layer = nn.Linear(3, 3)
    start = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", Double())
    assert parametrize.is_parametrized(layer, "weight") and not parametrize.is_parametrized(
        layer, "bias"
    )
    np.testing.assert_allclose(layer.weight.detach().numpy(), start.numpy(), rtol=1e-6)
    names = [name for name, _ in layer.named_parameters()]
    assert names == ["bias", "parametrizations.weight.original"]
    assert type(layer).__name__ == "ParametrizedLinear"
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    layer.weight = rl.ones(3, 3)
    assert rl.equal(layer.parametrizations.weight.original, rl.full((3, 3), 0.5))
    layer(rl.ones(1, 3)).sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    twin = copy.deepcopy(layer)
    assert rl.equal(twin.weight, layer.weight)
    twin.weight = rl.zeros(3, 3)
    assert not rl.equal(twin.weight, layer.weight)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert len(layer.parametrizations.weight) == 2
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    with pytest.raises(RuntimeError, match="Serialization of parametrized modules is only"):
        layer.__getstate__()
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and isinstance(layer.weight, nn.Parameter)
    assert rl.equal(layer.weight, rl.ones(3, 3))
    with pytest.raises(ValueError, match="does not have a parametrization on weight"):
        parametrize.remove_parametrizations(layer, "weight")
    with pytest.raises(ValueError, match="does not have a parameter, a buffer, or a"):
        parametrize.register_parametrization(layer, "nope", Double())


def test_weight_norm_both_forms():
    rl.manual_seed(0)
    x = rl.randn(4, 5)
    plain = nn.Linear(5, 3)
    new = parametrizations.weight_norm(copy.deepcopy(plain))
    with pytest.warns(FutureWarning, match="weight_norm` is deprecated"):
        old = utils.weight_norm(copy.deepcopy(plain))
    for layer in (new, old):
        np.testing.assert_allclose(
            layer(x).detach().numpy(), plain(x).detach().numpy(), rtol=1e-5, atol=1e-6
        )
    assert old.weight_g.shape == (3, 1) and new.parametrizations.weight.original0.shape == (3, 1)
    new.load_state_dict(old.state_dict())  # files of the old form load
    with rl.no_grad():
        old.weight_g.mul_(2)
    np.testing.assert_allclose(
        (old(x) - old.bias).detach().numpy(),
        2 * (plain(x) - plain.bias).detach().numpy(),
        rtol=1e-4,
        atol=1e-5,
    )
    utils.remove_weight_norm(old)
    assert isinstance(old.weight, nn.Parameter) and not old._forward_pre_hooks
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
        utils.remove_weight_norm(old)


def test_spectral_norm_both_forms():
    rl.manual_seed(0)
    for make in (utils.spectral_norm, parametrizations.spectral_norm):
        layer = make(nn.Linear(6, 4), n_power_iterations=30)
        layer(rl.zeros(1, 6))
        largest = np.linalg.svd(layer.weight.detach().numpy())[1][0]
        assert largest == pytest.approx(1.0, abs=1e-3)
        layer.eval()
        before = {key: value.clone() for key, value in layer.state_dict().items()}
        layer(rl.ones(1, 6)).sum().backward()
        for key, value in layer.state_dict().items():
            assert rl.equal(value, before[key]), key
    old = utils.spectral_norm(nn.Conv2d(2, 3, 2))
    state = old.state_dict()
    assert {"weight_orig", "weight_u", "weight_v"} <= set(state)
    assert state._metadata[""]["spectral_norm"] == {"weight.version": 1}
    old.load_state_dict(state)
    utils.remove_spectral_norm(old)
    assert list(old.state_dict()) == ["bias", "weight"]
    assert not old._state_dict_hooks and not old._load_state_dict_pre_hooks


def test_spectral_norm_draws_like_torch():
    torch = pytest.importorskip("torch")
    found = []
    for module in (rl, torch):
        module.manual_seed(0)
        layer = module.nn.utils.parametrizations.spectral_norm(module.nn.Linear(6, 4))
        layer(module.ones(2, 6)).sum().backward()
        grad = layer.parametrizations.weight.original.grad.numpy()
        found.append((layer.weight.detach().numpy(), grad))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-4, atol=1e-5)


def test_pruning():
    layer = nn.Linear(4, 3)
    weight = layer.weight.detach().clone()
    prune.l1_unstructured(layer, "weight", amount=0.5)
    assert int((layer.weight == 0).sum()) == 6 and prune.is_pruned(layer)
    smallest = sorted(abs(value) for row in weight.tolist() for value in row)[:6]
    kept = [abs(v) for row in layer.weight.tolist() for v in row if v]
    assert min(kept) > max(smallest)
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight_orig"]
    prune.random_unstructured(layer, "weight", amount=2)
    assert int((layer.weight == 0).sum()) == 8
    layer(rl.ones(1, 4)).sum().backward()
    assert int((layer.weight_orig.grad == 0).sum()) >= 8
    prune.remove(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter) and int((layer.weight == 0).sum()) == 8
    assert not prune.is_pruned(layer) and not layer._buffers
    with pytest.raises(ValueError, match="has to be pruned before pruning can be removed"):
        prune.remove(layer, "weight")
    prune.ln_structured(layer, "weight", amount=1, n=2, dim=0)
    assert int((layer.weight.abs().sum(1) == 0).sum()) >= 1
    with pytest.raises(ValueError, match="should either be a float in the range"):
        prune.random_unstructured(layer, "bias", amount=1.5)


def test_fusion():
    rl.manual_seed(0)
    conv, bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
    with rl.no_grad():
        for tensor in (bn.running_mean, bn.weight, bn.bias):
            tensor.normal_()
        bn.running_var.uniform_(0.5, 2)
    conv.eval()
    bn.eval()
    x = rl.randn(2, 3, 6, 6)
    fused = utils.fuse_conv_bn_eval(conv, bn)
    np.testing.assert_allclose(
        fused(x).detach().numpy(), bn(conv(x)).detach().numpy(), rtol=1e-4, atol=1e-5
    )
    linear, bn1 = nn.Linear(3, 4).eval(), nn.BatchNorm1d(4).eval()
    bn1.running_var.fill_(4)
    y = rl.randn(5, 3)
    np.testing.assert_allclose(
        utils.fuse_linear_bn_eval(linear, bn1)(y).detach().numpy(),
        bn1(linear(y)).detach().numpy(),
        rtol=1e-4,
        atol=1e-5,
    )
    with pytest.raises(AssertionError, match="Fusion only for eval!"):
        utils.fuse_conv_bn_eval(conv.train(), bn)


def test_skip_init_and_functional_call():
    layer = utils.skip_init(nn.Linear, 3, 2)
    assert layer.weight.shape == (2, 3) and not layer.weight.is_meta
    from rushlight.nn.utils.stateless import _functional_call

    layer = nn.Linear(2, 1)
    before = layer.weight
    state = {"weight": rl.ones(1, 2), "bias": rl.zeros(1)}
    assert _functional_call(layer, state, rl.ones(1, 2)).item() == 2
    assert layer.weight is before
    counting = nn.BatchNorm1d(2)
    given = {name: value.clone() for name, value in counting.state_dict().items()}
    _functional_call(counting, given, rl.randn(4, 2))
    assert counting.num_batches_tracked.item() == 0
    with pytest.raises(RuntimeError, match=r"Missing key\(s\): 'bias'"):
        _functional_call(layer, {"weight": rl.ones(1, 2)}, rl.ones(1, 2), strict=True)
    tied = nn.Module()
    tied.a = nn.Linear(1, 1, bias=False)
    tied.b = tied.a
    tied.forward = lambda x: tied.a(x) + tied.b(x)
    assert _functional_call(tied, {"a.weight": rl.full((1, 1), 3.0)}, rl.ones(1, 1)).item() == 6
