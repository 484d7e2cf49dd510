"""Recurrent layers: RNN, LSTM, GRU and their single-step cells.

In: (T, N, H_in) sequences, (N, T, H_in) with `batch_first`, (T, H_in) without a batch, or a
PackedSequence; and a first hidden state.  Out: the outputs of all steps and the last states.
"""

from __future__ import annotations

import math
import numbers
import warnings
import weakref
from typing import Any

import rushlight as rl
from rushlight import Tensor
from rushlight.nn import init
from rushlight.nn.functional import recurrent
from rushlight.nn.parameter import Parameter
from rushlight.nn.utils.rnn import PackedSequence

from ._members import plain_dict
from .module import Module

__all__ = ["RNNBase", "RNN", "LSTM", "GRU", "RNNCellBase", "RNNCell", "LSTMCell", "GRUCell"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _check_settings(
    input_size: Any,
    hidden_size: Any,
    num_layers: int,
    bias: Any,
    batch_first: Any,
    dropout: Any,
    proj_size: int,
) -> None:
    """Refuse settings that no recurrent layer has."""
    if (
        not isinstance(dropout, numbers.Number)
        or not 0 <= dropout <= 1  # type: ignore[operator]
        or isinstance(dropout, bool)
    ):
        raise ValueError(
            "dropout should be a number in range [0, 1] "
            "representing the probability of an element being "
            "zeroed"
        )
    if dropout > 0 and num_layers == 1:  # type: ignore[operator]
        warnings.warn(
            "dropout option adds dropout after all but last "
            "recurrent layer, so non-zero dropout expects "
            f"num_layers greater than 1, but got dropout={dropout} and "
            f"num_layers={num_layers}",
            stacklevel=4,
        )
    for name, value, wanted in (
        ("bias", bias, bool),
        ("batch_first", batch_first, bool),
        ("input_size", input_size, int),
    ):
        if not isinstance(value, wanted):
            raise TypeError(
                f"{name} should be of type {wanted.__name__}, got: {type(value).__name__}"
            )
    if input_size <= 0:
        raise ValueError("input_size must be greater than zero")
    if not isinstance(hidden_size, int):
        raise TypeError(f"hidden_size should be of type int, got: {type(hidden_size).__name__}")
    if hidden_size <= 0:
        raise ValueError("hidden_size must be greater than zero")
    if num_layers <= 0:
        raise ValueError("num_layers must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters of all layers and directions, and checks.

    Args:
        mode: `"RNN_TANH"`, `"RNN_RELU"`, `"LSTM"` or `"GRU"`.
        input_size: size of an input vector.
        hidden_size: size of a hidden state.
        num_layers: default: 1.
        bias: default: `True`.
        batch_first: default: `False`.
        dropout: between layers. Default: 0.
        bidirectional: default: `False`.
        proj_size: of an LSTM's projection. Default: 0, none.
        device: of the parameters.
        dtype: of the parameters.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.RNNBase("GRU", 3, 4)
        RNNBase(3, 4)
    """

    __constants__ = [
        "mode",
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ]
    mode: str
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int
    _flat_weights: list[Any]
    _flat_weights_names: list[str]
    _flat_weight_refs: list[Any]
    _all_weights: list[list[str]]

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._flat_weight_refs = []
        _check_settings(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        self._flat_weights_names = []
        self._all_weights = []
        gates = _GATES[mode] * hidden_size
        state = proj_size if proj_size > 0 else hidden_size
        directions = 2 if bidirectional else 1
        for layer in range(num_layers):
            width = input_size if layer == 0 else state * directions
            for suffix in ("", "_reverse")[:directions]:
                shapes: dict[str, Any] = {"weight_ih": (gates, width), "weight_hh": (gates, state)}
                if bias:
                    shapes["bias_ih"] = shapes["bias_hh"] = (gates,)
                if proj_size > 0:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                names = [f"{kind}_l{layer}{suffix}" for kind in shapes]
                for name, shape in zip(names, shapes.values(), strict=True):
                    setattr(self, name, Parameter(rl.empty(shape, device=device, dtype=dtype)))
                self._flat_weights_names.extend(names)
                self._all_weights.append(names)
        self._init_flat_weights()
        self.reset_parameters()

    def _init_flat_weights(self) -> None:
        self._flat_weights = [getattr(self, name, None) for name in self._flat_weights_names]
        self._flat_weight_refs = [
            weakref.ref(weight) if weight is not None else None for weight in self._flat_weights
        ]
        self.flatten_parameters()

    def __setattr__(self, attr: str, value: Any) -> None:
        names = plain_dict(self).get("_flat_weights_names", ())
        if attr in names and "_flat_weights" in plain_dict(self):
            self._flat_weights[names.index(attr)] = value
        super().__setattr__(attr, value)

    def flatten_parameters(self) -> None:
        """Accepted for scripts that call it: parameters need no special layout here."""

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self._flat_weight_refs = []
        result = super()._apply(fn, recurse)
        self._init_flat_weights()
        return result

    def reset_parameters(self) -> None:
        """Draw every parameter from U(-k, k), k = 1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def check_input(self, input: Any, batch_sizes: Any) -> None:
        """Refuse an input of a wrong dtype, number of dimensions, or size."""
        weight = self._flat_weights[0]
        if input.dtype != weight.dtype and not _autocast_is_on():
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), "
                f"or convert model: model.to({input.dtype})"
            )
        wanted = 2 if batch_sizes is not None else 3
        if input.dim() != wanted:
            raise RuntimeError(f"input must have {wanted} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {input.size(-1)}"
            )

    def _batch_of(self, input: Any, batch_sizes: Any) -> int:
        if batch_sizes is not None:
            return int(batch_sizes[0])
        return int(input.size(0 if self.batch_first else 1))

    def _state_shape(self, batch: int, size: int) -> tuple[int, int, int]:
        return (self.num_layers * (2 if self.bidirectional else 1), batch, size)

    def get_expected_hidden_size(self, input: Any, batch_sizes: Any) -> tuple[int, int, int]:
        """The shape of the first hidden state."""
        size = self.proj_size if self.proj_size > 0 else self.hidden_size
        return self._state_shape(self._batch_of(input, batch_sizes), size)

    def check_hidden_size(
        self,
        hx: Any,
        expected_hidden_size: tuple[int, int, int],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        """Refuse a hidden state of another shape."""
        if hx.size() != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def _weights_have_changed(self) -> bool:
        pairs = zip(self._flat_weight_refs, self._flat_weights_names, strict=True)
        for ref, name in pairs:
            weight = getattr(self, name, None)
            if weight is not None and ref is not None and ref() is not weight:
                return True
        return False

    def check_forward_args(self, input: Any, hidden: Any, batch_sizes: Any) -> None:
        """Refuse inputs and states that do not fit."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Any) -> Any:
        """The states in another order of the batch."""
        return hx if permutation is None else hx.index_select(1, permutation)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size != 0:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.batch_first is not False:
            text += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            text += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text

    def _update_flat_weights(self) -> None:
        if self._weights_have_changed():
            self._init_flat_weights()

    def __getstate__(self) -> dict[str, Any]:
        self._update_flat_weights()
        state = super().__getstate__()
        del state["_flat_weight_refs"]  # weak references cannot be pickled
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "all_weights" in state:
            self._all_weights = state["all_weights"]
        if "proj_size" not in state:
            self.proj_size = 0
        if not isinstance(self._all_weights[0][0], str):
            self._name_weights_of_old_file()
        self._flat_weight_refs = [
            weakref.ref(weight) if weight is not None else None for weight in self._flat_weights
        ]

    def _name_weights_of_old_file(self) -> None:
        """Very old files keep the parameters themselves where the names belong."""
        kinds = ["weight_ih", "weight_hh"] + (["bias_ih", "bias_hh"] if self.bias else [])
        kinds += ["weight_hr"] if self.proj_size > 0 else []
        suffixes = ("", "_reverse") if self.bidirectional else ("",)
        self._all_weights = [
            [f"{kind}_l{layer}{suffix}" for kind in kinds]
            for layer in range(self.num_layers)
            for suffix in suffixes
        ]
        self._flat_weights_names = [name for names in self._all_weights for name in names]
        self._flat_weights = [getattr(self, name, None) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters, a list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def _replicate_for_data_parallel(self) -> Any:
        replica = super()._replicate_for_data_parallel()
        replica._flat_weights = replica._flat_weights[:]
        replica._flat_weights_names = replica._flat_weights_names[:]
        return replica

    # ------------------------------------------------------------ the forward pass

    def _zero_states(self, input: Any, batch: int) -> Any:
        """The first states when none are given."""
        shape = self._state_shape(batch, self.hidden_size)
        return rl.zeros(*shape, dtype=input.dtype, device=input.device)

    def _add_batch(self, hx: Any, is_batched: bool) -> Any:
        """Given states with a batch dimension."""
        if not is_batched:
            if hx.dim() != 2:
                raise RuntimeError(
                    f"For unbatched 2-D input, hx should also be 2-D but got {hx.dim()}-D tensor"
                )
            return hx.unsqueeze(1)
        if hx.dim() != 3:
            raise RuntimeError(
                f"For batched 3-D input, hx should also be 3-D but got {hx.dim()}-D tensor"
            )
        return hx

    def _drop_batch(self, hidden: Any) -> Any:
        return hidden.squeeze(1)

    def _run(self, *args: Any) -> tuple[Any, Any]:
        """The recurrence: outputs and last states."""
        raise NotImplementedError

    _bad_input = "{}: Expected input to be 2D or 3D, got {}D instead"

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Run the layers over `input`, from the states `hx` (zeros when absent)."""
        self._update_flat_weights()
        settings = (self._flat_weights, self.bias, self.num_layers, self.dropout, self.training)
        if isinstance(input, PackedSequence):
            data, batch_sizes, order, unorder = input
            if hx is None:
                hx = self._zero_states(data, int(batch_sizes[0]))
            else:
                hx = self.permute_hidden(hx, order)
            self.check_forward_args(data, hx, batch_sizes)
            output, hidden = self._run(data, batch_sizes, hx, *settings, self.bidirectional)
            packed = PackedSequence(output, batch_sizes, order, unorder)
            return packed, self.permute_hidden(hidden, unorder)
        if input.dim() not in (2, 3):
            raise ValueError(self._bad_input.format(type(self).__name__, input.dim()))
        is_batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        if not is_batched:
            input = input.unsqueeze(batch_dim)
        if hx is None:
            hx = self._zero_states(input, input.size(batch_dim))
        else:
            hx = self._add_batch(hx, is_batched)
        self.check_forward_args(input, hx, None)
        output, hidden = self._run(input, hx, *settings, self.bidirectional, self.batch_first)
        if not is_batched:
            output = output.squeeze(batch_dim)
            hidden = self._drop_batch(hidden)
        return output, hidden


def _autocast_is_on() -> bool:
    is_on = getattr(rl, "is_autocast_enabled", None)
    return is_on is not None and bool(is_on("cpu") or is_on("cuda"))


class RNN(RNNBase):
    """Elman layers: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Args:
        input_size: size of an input vector.
        hidden_size: size of a hidden state.
        num_layers: how many layers stand on one another. Default: 1.
        nonlinearity: `"tanh"` or `"relu"`. Default: `"tanh"`.
        bias: whether there are biases. Default: `True`.
        batch_first: (N, T, H) instead of (T, N, H). Default: `False`.
        dropout: probability between layers, while training. Default: 0.
        bidirectional: also run backwards, and join both outputs. Default: `False`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        input (T, N, H_in), h_0 (layers * directions, N, hidden); output
        (T, N, directions * hidden), h_n as h_0. Also without N, or packed.

    Attributes:
        weight_ih_l[k], weight_hh_l[k], bias_ih_l[k], bias_hh_l[k], and the same with `_reverse`.

    Source: Elman, "Finding structure in time", 1990.

    Example:
        >>> import rushlight as rl
        >>> output, h = rl.nn.RNN(10, 20, 2)(rl.randn(5, 3, 10))
        >>> output.shape, h.shape
        (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    _bad_input = "{}: Expected input to be 2D or 3D, got {}D tensor instead"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if len(args) > 3:
            self.nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            self.nonlinearity = kwargs.pop("nonlinearity", "tanh")
        modes = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}
        if self.nonlinearity not in modes:
            raise ValueError(
                f"Unknown nonlinearity '{self.nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(modes[self.nonlinearity], *args, **kwargs)

    def _run(self, *args: Any) -> tuple[Any, Any]:
        run = recurrent.rnn_tanh if self.mode == "RNN_TANH" else recurrent.rnn_relu
        output, hidden = run(*args)
        return output, hidden


class LSTM(RNNBase):
    """Long short-term memory: a cell state that gates write to, forget and read.

    i, f, g, o = gates of (W_ih x + b_ih + W_hh h + b_hh): sigmoid, sigmoid, tanh, sigmoid;
    c' = f * c + i * g; h' = o * tanh(c'), times W_hr with `proj_size`.

    Args:
        input_size: size of an input vector.
        hidden_size: size of a hidden state.
        num_layers: how many layers stand on one another. Default: 1.
        bias: whether there are biases. Default: `True`.
        batch_first: (N, T, H) instead of (T, N, H). Default: `False`.
        dropout: probability between layers, while training. Default: 0.
        bidirectional: also run backwards, and join both outputs. Default: `False`.
        proj_size: size that h is projected to, less than `hidden_size`. Default: 0, none.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        input (T, N, H_in), states (h_0, c_0), each (layers * directions, N, hidden); output
        (T, N, directions * hidden) and (h_n, c_n). Also without N, or packed.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997.

    Example:
        >>> import rushlight as rl
        >>> output, (h, c) = rl.nn.LSTM(10, 20, 2)(rl.randn(5, 3, 10))
        >>> output.shape, c.shape
        (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input: Any, batch_sizes: Any) -> tuple[int, int, int]:
        """The shape of the first cell state."""
        return self._state_shape(self._batch_of(input, batch_sizes), self.hidden_size)

    def check_forward_args(self, input: Any, hidden: Any, batch_sizes: Any) -> None:
        """Refuse inputs and states that do not fit."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(
            hidden[0],
            self.get_expected_hidden_size(input, batch_sizes),
            "Expected hidden[0] size {}, got {}",
        )
        self.check_hidden_size(
            hidden[1],
            self.get_expected_cell_size(input, batch_sizes),
            "Expected hidden[1] size {}, got {}",
        )

    def permute_hidden(self, hx: Any, permutation: Any) -> Any:
        """Both states in another order of the batch."""
        if permutation is None:
            return hx
        return hx[0].index_select(1, permutation), hx[1].index_select(1, permutation)

    def _zero_states(self, input: Any, batch: int) -> Any:
        def zeros(size: int) -> Any:
            shape = self._state_shape(batch, size)
            return rl.zeros(*shape, dtype=input.dtype, device=input.device)

        return zeros(self.proj_size if self.proj_size > 0 else self.hidden_size), zeros(
            self.hidden_size
        )

    def _add_batch(self, hx: Any, is_batched: bool) -> Any:
        wanted = 3 if is_batched else 2
        if hx[0].dim() != wanted or hx[1].dim() != wanted:
            kind = "batched 3-D" if is_batched else "unbatched 2-D"
            raise RuntimeError(
                f"For {kind} input, hx and cx should also be {wanted}-D "
                f"but got ({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
            )
        return hx if is_batched else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))

    def _drop_batch(self, hidden: Any) -> Any:
        return hidden[0].squeeze(1), hidden[1].squeeze(1)

    def _run(self, *args: Any) -> tuple[Any, Any]:
        output, hidden, cell = recurrent.lstm(*args)
        return output, (hidden, cell)


class GRU(RNNBase):
    """Gated recurrent units.

    r, z = sigmoid gates; n = tanh(W_in x + b_in + r * (W_hn h + b_hn)); h' = (1 - z) n + z h.

    Args:
        input_size: size of an input vector.
        hidden_size: size of a hidden state.
        num_layers: how many layers stand on one another. Default: 1.
        bias: whether there are biases. Default: `True`.
        batch_first: (N, T, H) instead of (T, N, H). Default: `False`.
        dropout: probability between layers, while training. Default: 0.
        bidirectional: also run backwards, and join both outputs. Default: `False`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        As RNN.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.

    Example:
        >>> import rushlight as rl
        >>> output, h = rl.nn.GRU(10, 20, 2)(rl.randn(5, 3, 10))
        >>> output.shape, h.shape
        (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)

    def _run(self, *args: Any) -> tuple[Any, Any]:
        output, hidden = recurrent.gru(*args)
        return output, hidden


class RNNCellBase(Module):
    """What the cells share: one layer's parameters.

    Args:
        input_size: size of an input vector.
        hidden_size: size of a hidden state.
        bias: whether there are biases.
        num_chunks: how many gates: 1, 3 or 4.
        device: of the parameters.
        dtype: of the parameters.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.RNNCellBase(2, 3, True, num_chunks=4).weight_ih.shape
        torch.Size([12, 2])
    """

    __constants__ = ["input_size", "hidden_size", "bias"]
    input_size: int
    hidden_size: int
    bias: bool
    weight_ih: Any
    weight_hh: Any

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size

        def made(*shape: int) -> Any:
            return Parameter(rl.empty(shape, device=device, dtype=dtype))

        self.weight_ih = made(rows, input_size)
        self.weight_hh = made(rows, hidden_size)
        for name in ("bias_ih", "bias_hh"):
            if bias:
                setattr(self, name, made(rows))
            else:
                self.register_parameter(name, None)
        self.reset_parameters()

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if plain_dict(self).get("bias", True) is not True:
            text += f", bias={self.bias}"
        if plain_dict(self).get("nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={plain_dict(self)['nonlinearity']}"
        return text

    def reset_parameters(self) -> None:
        """Draw every parameter from U(-k, k), k = 1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _check(self, value: Any, what: str) -> None:
        if value.dim() not in (1, 2):
            raise ValueError(
                f"{type(self).__name__}: Expected {what} to be 1D or 2D, got {value.dim()}D instead"
            )

    def _step(self, function: Any, input: Any, hx: Any) -> Any:
        """One step with a single state, with or without a batch."""
        self._check(input, "input")
        if hx is not None:
            self._check(hx, "hidden")
        is_batched = input.dim() == 2
        if not is_batched:
            input = input.unsqueeze(0)
            hx = None if hx is None else hx.unsqueeze(0)
        if hx is None:
            shape = (input.size(0), self.hidden_size)
            hx = rl.zeros(*shape, dtype=input.dtype, device=input.device)
        result = function(input, hx, *self._weights())
        return result if is_batched else result.squeeze(0)

    def _weights(self) -> tuple[Any, Any, Any, Any]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh


class RNNCell(RNNCellBase):
    """One step of an Elman layer: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Args:
        input_size: size of an input vector.
        hidden_size: size of a hidden state.
        bias: whether there are biases. Default: `True`.
        nonlinearity: `"tanh"` or `"relu"`. Default: `"tanh"`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        input (N, H_in) or (H_in), state and output (N, hidden) or (hidden).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.RNNCell(10, 20)(rl.randn(3, 10)).shape
        torch.Size([3, 20])
    """

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]
    nonlinearity: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        """One step from the state `hx` (zeros when absent)."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        cell = recurrent.rnn_tanh_cell if self.nonlinearity == "tanh" else recurrent.rnn_relu_cell
        return self._step(cell, input, hx)


class LSTMCell(RNNCellBase):
    """One step of an LSTM.

    Args:
        input_size: size of an input vector.
        hidden_size: size of a hidden state.
        bias: whether there are biases. Default: `True`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        input (N, H_in) or (H_in), states (h, c) and outputs (h', c') (N, hidden) or (hidden).

    Example:
        >>> import rushlight as rl
        >>> h, c = rl.nn.LSTMCell(10, 20)(rl.randn(3, 10))
        >>> h.shape
        torch.Size([3, 20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """One step from the states `hx` (zeros when absent)."""
        self._check(input, "input")
        if hx is not None:
            for idx, value in enumerate(hx):
                self._check(value, f"hx[{idx}]")
        is_batched = input.dim() == 2
        if not is_batched:
            input = input.unsqueeze(0)
            hx = None if hx is None else (hx[0].unsqueeze(0), hx[1].unsqueeze(0))
        if hx is None:
            shape = (input.size(0), self.hidden_size)
            zeros = rl.zeros(*shape, dtype=input.dtype, device=input.device)
            hx = (zeros, zeros)
        hidden, cell = recurrent.lstm_cell(input, hx, *self._weights())
        if not is_batched:
            return hidden.squeeze(0), cell.squeeze(0)
        return hidden, cell


class GRUCell(RNNCellBase):
    """One step of a GRU.

    Args:
        input_size: size of an input vector.
        hidden_size: size of a hidden state.
        bias: whether there are biases. Default: `True`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        input (N, H_in) or (H_in), state and output (N, hidden) or (hidden).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.GRUCell(10, 20)(rl.randn(3, 10)).shape
        torch.Size([3, 20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        """One step from the state `hx` (zeros when absent)."""
        return self._step(recurrent.gru_cell, input, hx)


def apply_permutation(tensor: Any, permutation: Any, dim: int = 1) -> Tensor:
    """Deprecated: use `tensor.index_select(dim, permutation)`."""
    warnings.warn(
        "`apply_permutation` is deprecated, please use "
        "`tensor.index_select(dim, permutation)` instead",
        FutureWarning,
        stacklevel=2,
    )
    return tensor.index_select(dim, permutation)  # type: ignore[no-any-return]
