"""Recurrent networks: the cells, and whole layers run over time.

In: sequences (T, N, H_in), or packed data (total steps, H_in) with the batch sizes of the steps;
first states; the flat list of weights.  Out: the outputs of all steps and the last states.  They
are compositions of linear maps, sigmoid and tanh, step by step, as PyTorch runs them on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight import Tensor
from rushlight.dispatch.autocast import fast_under_autocast

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
]

# A step takes the input's share of the gates, the state, and the recurrent weights.
Step = Callable[[Any, Any, "_Weights"], Any]


class _Weights:
    """The weights of one layer and direction."""

    def __init__(
        self, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, w_hr: Any = None
    ) -> None:
        self.w_ih, self.w_hh, self.b_ih, self.b_hh, self.w_hr = w_ih, w_hh, b_ih, b_hh, w_hr

    def from_input(self, x: Any) -> Any:
        return _linear(x, self.w_ih, self.b_ih)

    def from_state(self, h: Any) -> Any:
        return _linear(h, self.w_hh, self.b_hh)


def _linear(x: Any, weight: Any, bias: Any) -> Any:
    from rushlight.nn import functional as F

    return F.linear(x, weight, bias)


def _tanh_step(gates: Any, h: Any, weights: _Weights) -> Any:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh)"""
    return rl.tanh(weights.from_state(h) + gates)


def _relu_step(gates: Any, h: Any, weights: _Weights) -> Any:
    """h' = relu(W_ih x + b_ih + W_hh h + b_hh)"""
    return rl.relu(weights.from_state(h) + gates)


def _lstm_step(gates: Any, state: Any, weights: _Weights) -> Any:
    """i, f, g, o gates; c' = f c + i g; h' = o tanh(c'), projected if there is a W_hr"""
    h, c = state
    i, f, g, o = (weights.from_state(h) + gates).chunk(4, 1)
    c = rl.sigmoid(f) * c + rl.sigmoid(i) * rl.tanh(g)
    h = rl.sigmoid(o) * rl.tanh(c)
    if weights.w_hr is not None:
        h = rl.matmul(h, weights.w_hr.t())
    return h, c


def _gru_step(gates: Any, h: Any, weights: _Weights) -> Any:
    """r, z gates; n = tanh(x part + r * h part); h' = (h - n) z + n"""
    xr, xz, xn = gates.chunk(3, 1)
    hr, hz, hn = weights.from_state(h).chunk(3, 1)
    n = rl.tanh(xn + hn * rl.sigmoid(hr + xr))
    return (h - n) * rl.sigmoid(hz + xz) + n


def _output(state: Any) -> Any:
    """What a step passes on: an LSTM's state is a pair of which h comes first."""
    return state[0] if isinstance(state, tuple) else state


def _each(fn: Callable[..., Any], *states: Any) -> Any:
    """Apply `fn` to states, or to both parts of LSTM states."""
    if isinstance(states[0], tuple):
        return tuple(fn(*parts) for parts in zip(*states, strict=True))
    return fn(*states)


def _run_padded(step: Step, x: Any, state: Any, weights: _Weights, reverse: bool) -> Any:
    """Run one layer and direction over (T, N, H)."""
    gates = weights.from_input(x).unbind(0)  # all steps in one matrix product
    outputs = []
    for gate in reversed(gates) if reverse else gates:
        state = step(gate, state, weights)
        outputs.append(_output(state))
    if reverse:
        outputs.reverse()
    return rl.stack(outputs), state


def _run_packed(
    step: Step, x: Any, sizes: list[int], state: Any, weights: _Weights, reverse: bool
) -> Any:
    """Run one layer and direction over packed data; sequences end, or join in reverse."""
    gates = weights.from_input(x).split(sizes)
    outputs = []
    if reverse:
        first = state
        state = _each(lambda s: s[: sizes[-1]], first)
        for gate, size in zip(reversed(gates), reversed(sizes), strict=True):
            have = _output(state).size(0)
            if size > have:
                joining = _each(lambda s, a=have, b=size: s[a:b], first)
                state = _each(lambda s, j: rl.cat([s, j]), state, joining)
            state = step(gate, state, weights)
            outputs.append(_output(state))
        outputs.reverse()
        return rl.cat(outputs), state
    ended = []
    for gate, size in zip(gates, sizes, strict=True):
        have = _output(state).size(0)
        if size < have:
            ended.append(_each(lambda s, a=size: s[a:], state))
            state = _each(lambda s, b=size: s[:b], state)
        state = step(gate, state, weights)
        outputs.append(_output(state))
    ended.append(state)
    ended.reverse()  # the longest sequences come first in a packed batch
    return rl.cat(outputs), _each(lambda *parts: rl.cat(parts), *ended)


def _split_weights(params: Any, has_biases: bool, projected: bool) -> list[_Weights]:
    """The flat list, as one `_Weights` for each layer and direction."""
    count = 2 + 2 * has_biases + projected
    layers = []
    for i in range(0, len(params), count):
        w_ih, w_hh, *rest = params[i : i + count]
        b_ih, b_hh = rest[:2] if has_biases else (None, None)
        layers.append(_Weights(w_ih, w_hh, b_ih, b_hh, rest[-1] if projected else None))
    return layers


def _run_layers(
    step: Step,
    x: Any,
    sizes: list[int] | None,
    first: list[Any],
    weights: list[_Weights],
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Any, list[Any]]:
    """Run all layers; `first` and the result hold a state for each layer and direction."""
    from rushlight.nn import functional as F

    directions = 2 if bidirectional else 1
    last = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            index = layer * directions + direction
            args = (first[index], weights[index], direction == 1)
            if sizes is None:
                output, state = _run_padded(step, x, *args)
            else:
                output, state = _run_packed(step, x, sizes, *args)
            outputs.append(output)
            last.append(state)
        x = outputs[0] if directions == 1 else rl.cat(outputs, outputs[0].dim() - 1)
        if dropout and train and layer < num_layers - 1:
            x = F.dropout(x, dropout, True)
    return x, last


def _layers(step: Step, gated_pair: bool, *args: Any) -> Any:
    """Sort out the two call forms, run, and stack the last states."""
    if isinstance(args[1], Tensor) and args[1].dim() == 1 and not args[1].is_floating_point():
        x, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional = args
        sizes, batch_first = batch_sizes.tolist(), False
    else:
        x, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first = args
        sizes = None
    if batch_first:
        x = x.transpose(0, 1)
    if gated_pair:
        h, c = hx
        projected = h.size(2) != c.size(2)
        first = list(zip(h.unbind(0), c.unbind(0), strict=True))
    else:
        projected = False
        first = list(hx.unbind(0))
    weights = _split_weights(params, has_biases, projected)
    output, last = _run_layers(
        step, x, sizes, first, weights, num_layers, dropout, train, bidirectional
    )
    if batch_first:
        output = output.transpose(0, 1)
    if gated_pair:
        return output, rl.stack([h for h, _ in last]), rl.stack([c for _, c in last])
    return output, rl.stack(last)


_LAYERS = "hx params has_biases num_layers dropout train bidirectional".split()
_PADDED = ("input", *_LAYERS, "batch_first")
_PACKED = ("data", "batch_sizes", *_LAYERS)


def _in_order(who: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Arguments by position, where some were given by name."""
    names = _PACKED if "data" in kwargs or "batch_sizes" in kwargs else _PADDED
    wanted = names[len(args) :]
    for name in kwargs:
        if name not in wanted:
            raise TypeError(f"{who}() got an unexpected keyword argument '{name}'")
    missing = [f'"{name}"' for name in wanted if name not in kwargs]
    if missing:
        raise TypeError(
            f"{who}() missing {len(missing)} required positional arguments: {', '.join(missing)}"
        )
    return (*args, *[kwargs[name] for name in wanted])


def rnn_tanh(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """Elman layers with tanh.

    Called as (input, hx, params, has_biases, num_layers, dropout, train, bidirectional,
    batch_first), or for packed data as (data, batch_sizes, hx, params, has_biases, num_layers,
    dropout, train, bidirectional).

    Returns:
        The outputs of all steps and the last hidden states.
    """
    args = _in_order("rnn_tanh", args, kwargs) if kwargs else args
    return _layers(_tanh_step, False, *args)  # type: ignore[no-any-return]


def rnn_relu(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """Elman layers with relu; arguments as for `rnn_tanh`."""
    args = _in_order("rnn_relu", args, kwargs) if kwargs else args
    return _layers(_relu_step, False, *args)  # type: ignore[no-any-return]


def gru(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """GRU layers; arguments as for `rnn_tanh`."""
    args = _in_order("gru", args, kwargs) if kwargs else args
    return _layers(_gru_step, False, *args)  # type: ignore[no-any-return]


@fast_under_autocast
def lstm(*args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
    """LSTM layers; arguments as for `rnn_tanh`, with `hx` a pair (h, c).

    Returns:
        The outputs of all steps, the last hidden states and the last cell states.
    """
    args = _in_order("lstm", args, kwargs) if kwargs else args
    return _layers(_lstm_step, True, *args)  # type: ignore[no-any-return]


def _check_cell(x: Any, hx: Any, w_ih: Any, w_hh: Any) -> None:
    """Refuse sizes that do not fit."""
    if x.size(1) != w_ih.size(1):
        raise RuntimeError(
            f"input has inconsistent input_size: got {x.size(1)} expected {w_ih.size(1)}"
        )
    states = [("", hx)] if isinstance(hx, Tensor) else [("0", hx[0]), ("1", hx[1])]
    for label, h in states:
        if h.size(0) != x.size(0):
            raise RuntimeError(
                f"Input batch size {x.size(0)} doesn't match hidden{label} batch size {h.size(0)}"
            )
        if h.size(1) != w_hh.size(1):
            raise RuntimeError(
                f"hidden{label} has inconsistent hidden_size: got {h.size(1)}, "
                f"expected {w_hh.size(1)}"
            )


def _cell(step: Step, x: Any, hx: Any, *params: Any) -> Any:
    _check_cell(x, hx, *params[:2])
    weights = _Weights(*params)
    return step(weights.from_input(x), hx, weights)


def rnn_tanh_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh) for input (N, H_in) and hx (N, H)."""
    return _cell(_tanh_step, input, hx, w_ih, w_hh, b_ih, b_hh)


def rnn_relu_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """h' = relu(W_ih x + b_ih + W_hh h + b_hh) for input (N, H_in) and hx (N, H)."""
    return _cell(_relu_step, input, hx, w_ih, w_hh, b_ih, b_hh)


def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of a GRU for input (N, H_in) and hx (N, H)."""
    return _cell(_gru_step, input, hx, w_ih, w_hh, b_ih, b_hh)


def lstm_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> tuple[Any, Any]:
    """One step of an LSTM for input (N, H_in) and hx = (h, c); returns (h', c')."""
    h, c = _cell(_lstm_step, input, tuple(hx), w_ih, w_hh, b_ih, b_hh)
    return h, c
