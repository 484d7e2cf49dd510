"""Layers whose cases need more than a row of the table: what they promise, and their errors."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn


def test_unpool_undoes_pool():
    for dims in (1, 2, 3):
        pool = getattr(nn, f"MaxPool{dims}d")(2, return_indices=True)
        unpool = getattr(nn, f"MaxUnpool{dims}d")(2)
        x = rl.rand(1, 2, *[4] * dims) + 1
        pooled, where = pool(x)
        back = unpool(pooled, where)
        assert back.shape == x.shape
        assert rl.equal(pool(back)[0], pooled)


def test_transformer_stacks():
    rl.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2).eval()
    assert rl.equal(encoder.layers[0].linear1.weight, encoder.layers[1].linear1.weight)
    x = rl.randn(2, 4, 8)
    padding = rl.tensor([[False, False, False, False], [False, False, True, True]])
    with rl.no_grad():
        y = encoder(x, src_key_padding_mask=padding)
        changed = x.clone()
        changed[1, 2:] = 9.0
        z = encoder(changed, src_key_padding_mask=padding)
    # What is hidden has no influence, and comes out as zeros in evaluation.
    np.testing.assert_allclose(y[0].numpy(), z[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(y[1, :2].numpy(), z[1, :2].numpy(), atol=1e-6)
    assert rl.equal(y[1, 2:], rl.zeros(2, 8))
    causal = nn.Transformer.generate_square_subsequent_mask(4)
    with rl.no_grad():
        a = encoder(x, mask=causal)
        b = encoder(x, mask=causal, is_causal=True)
        c = encoder(rl.cat([x[:, :2], changed[:, 2:]], 1), mask=causal)
    np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)
    np.testing.assert_allclose(a[:, :2].numpy(), c[:, :2].numpy(), atol=1e-6)


def test_recurrent_layers_agree_with_cells():
    rl.manual_seed(0)
    x = rl.randn(5, 3, 4)
    for name in ("RNN", "LSTM", "GRU"):
        layer = getattr(nn, name)(4, 6)
        cell = getattr(nn, f"{name}Cell")(4, 6)
        with rl.no_grad():
            for own, other in zip(cell.parameters(), layer.parameters(), strict=True):
                own.copy_(other)
        output, _ = layer(x)
        state = None
        for step in range(5):
            state = cell(x[step], state)
            hidden = state[0] if name == "LSTM" else state
            np.testing.assert_allclose(
                output[step].detach().numpy(), hidden.detach().numpy(), atol=1e-6
            )


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_packed_sequences_match_single_ones(name):
    from rushlight.nn.utils.rnn import pack_sequence, pad_packed_sequence

    rl.manual_seed(0)
    layer = getattr(nn, name)(3, 4, num_layers=2, bidirectional=True)
    sequences = [rl.randn(length, 3) for length in (2, 5, 3)]
    packed, state = layer(pack_sequence(sequences, enforce_sorted=False))
    padded, lengths = pad_packed_sequence(packed)
    assert lengths.tolist() == [2, 5, 3]
    hidden = state[0] if name == "LSTM" else state
    for i, sequence in enumerate(sequences):
        alone, last = layer(sequence)
        last = last[0] if name == "LSTM" else last
        np.testing.assert_allclose(
            padded[: len(sequence), i].detach().numpy(), alone.detach().numpy(), atol=1e-5
        )
        np.testing.assert_allclose(hidden[:, i].detach().numpy(), last.detach().numpy(), atol=1e-5)


def test_recurrent_dropout_and_errors():
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
        nn.LSTM(2, 3, dropout=0.5)
    with pytest.raises(ValueError, match="proj_size argument is only supported for LSTM"):
        nn.GRU(2, 3, proj_size=1)
    with pytest.raises(ValueError, match="Unknown nonlinearity 'gelu'"):
        nn.RNN(2, 3, nonlinearity="gelu")
    layer = nn.GRU(2, 3)
    with pytest.raises(RuntimeError, match=r"input.size\(-1\) must be equal to input_size"):
        layer(rl.zeros(1, 1, 5))
    with pytest.raises(RuntimeError, match=r"Expected hidden size \(1, 4, 3\), got \[1, 2, 3\]"):
        layer(rl.zeros(1, 4, 2), rl.zeros(1, 2, 3))
    with pytest.raises(RuntimeError, match="input has inconsistent input_size: got 5 expected 2"):
        nn.GRUCell(2, 3)(rl.zeros(1, 5))
    with pytest.raises(RuntimeError, match="hidden1 has inconsistent hidden_size: got 4, expec"):
        nn.LSTMCell(2, 3)(rl.zeros(1, 2), (rl.zeros(1, 3), rl.zeros(1, 4)))
    layer.weight_hh_l0 = nn.Parameter(rl.zeros(9, 3))
    assert layer._flat_weights[1] is layer.weight_hh_l0
    assert "_flat_weight_refs" not in layer.__getstate__()


def test_batch_norm_statistics():
    layer = nn.BatchNorm1d(2, momentum=None)
    first, second = rl.tensor([[0.0, 2.0], [2.0, 4.0]]), rl.tensor([[4.0, 6.0], [6.0, 8.0]])
    layer(first)
    layer(second)
    np.testing.assert_allclose(layer.running_mean.numpy(), [3.0, 5.0])  # the plain average
    assert layer.num_batches_tracked.item() == 2
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        layer(rl.zeros(1, 2))
    layer.eval()(rl.zeros(1, 2))
    with pytest.raises(ValueError, match=r"expected 4D input \(got 2D input\)"):
        nn.BatchNorm2d(2)(rl.zeros(1, 2))
    old = {"weight": rl.ones(2), "bias": rl.zeros(2)}
    old |= {"running_mean": rl.zeros(2), "running_var": rl.ones(2)}
    nn.BatchNorm1d(2).load_state_dict(old)  # the first format had no count


def test_constructor_errors():
    cases = [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels must be divisible by groups"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "Invalid padding string 'full'"),
        (
            lambda: nn.Conv2d(3, 4, 3, 2, padding="same"),
            "padding='same' is not supported for strided",
        ),
        (lambda: nn.Dropout(1.5), "dropout probability has to be between 0 and 1, but got 1.5"),
        (lambda: nn.GroupNorm(2, 3), r"num_channels \(3\) must be divisible by num_groups \(2\)"),
        (lambda: nn.MultiheadAttention(0, 1), "embed_dim and num_heads must be greater than 0"),
        (
            lambda: nn.ConvTranspose2d(1, 1, 2, padding_mode="circular"),
            'Only "zeros" padding mode is supported for ConvTranspose2d',
        ),
        (lambda: nn.TripletMarginLoss(margin=0), "expected margin to be greater than 0, got 0"),
    ]
    for make, message in cases:
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(AssertionError, match="Padding_idx must be within num_embeddings"):
        nn.Embedding(3, 2, padding_idx=3)
    with pytest.raises(TypeError, match="unflattened_size must be tuple of ints, but found"):
        nn.Unflatten(1, (2, "3"))
    with pytest.raises(ValueError, match="requested an output size of"):
        nn.ConvTranspose2d(1, 1, 3, stride=2)(rl.zeros(1, 1, 3, 3), output_size=[20, 20])


def test_wrong_arguments_name_the_class():
    for name in ("ReLU", "SiLU", "Hardswish", "Softmax"):
        with pytest.raises(TypeError, match=rf"^{name}\.__init__\(\) takes from 1 to 2 positional"):
            getattr(nn, name)(1, 2)


def test_deprecated_loss_arguments():
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        assert nn.MSELoss(size_average=False).reduction == "sum"
    with pytest.warns(FutureWarning, match="NLLLoss2d"):
        nn.NLLLoss2d()
