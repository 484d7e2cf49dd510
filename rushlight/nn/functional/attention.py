"""Attention: scaled dot products, and the whole multi-head layer.

In: queries, keys and values, with masks.  Out: mixtures of the values, and the weights where asked.
Source: Vaswani et al., "Attention is all you need", 2017.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import rushlight as rl
from rushlight import Tensor

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(query key^T * scale + mask) value.

    Args:
        query: (*, L, E).
        key: (*, S, E).
        value: (*, S, Ev).
        attn_mask: broadcast to (*, L, S); bool: True lets a pair take part; numbers are added.
        dropout_p: probability that a weight is dropped, training or not. Default: 0.
        is_causal: let position i see positions up to i; excludes `attn_mask`. Default: `False`.
        scale: default: 1 / sqrt(E).
        enable_gqa: repeat key and value heads (dimension -3) to those of the query.

    Returns:
        (*, L, Ev). Rows with nothing to see are zero.

    Example:
        >>> import rushlight as rl
        >>> x = rl.rand(2, 3, 5, 8)
        >>> rl.nn.functional.scaled_dot_product_attention(x, x, x).shape
        torch.Size([2, 3, 5, 8])
    """
    from rushlight.nn import functional as F

    _check_attention(query, key, value, attn_mask, is_causal)
    if enable_gqa:
        key = key.repeat_interleave(query.size(-3) // key.size(-3), -3)
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    # Half of the scale on each side keeps products small, as PyTorch has it.
    root = math.sqrt(scale if scale is not None else 1.0 / math.sqrt(query.size(-1)))
    scores = rl.matmul(query * root, (key * root).transpose(-2, -1))  # (*, L, S)
    if is_causal:
        shape = (query.size(-2), key.size(-2))
        visible = rl.ones(shape, dtype=rl.bool, device=query.device).tril()
        scores = scores.masked_fill(visible.logical_not(), float("-inf"))
    blind = None
    if attn_mask is not None:
        if attn_mask.dtype == rl.bool:
            hidden = attn_mask.logical_not()
            scores = scores.masked_fill(hidden, float("-inf"))
        else:
            hidden = attn_mask == float("-inf")
            scores = scores + attn_mask
        # A row that sees nothing would be 0 / 0: it gets zeros, and no gradient.
        blind = hidden.all(-1, keepdim=True)
        scores = scores.masked_fill(blind, 0.0)
    weights = F.softmax(scores, dim=-1)
    if blind is not None:
        weights = weights.masked_fill(blind, 0.0)
    if dropout_p > 0.0:
        weights = F.dropout(weights, dropout_p, True)
    return rl.matmul(weights, value)


def _check_attention(query: Any, key: Any, value: Any, attn_mask: Any, is_causal: bool) -> None:
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{_ctype(query)} key.dtype: {_ctype(key)} and value.dtype: {_ctype(value)} instead."
        )
    if query.dim() < 2 or key.dim() < 2 or value.dim() < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.dim()} key.dim: {key.dim()} and value.dim: {value.dim()} instead."
        )
    if attn_mask is None:
        return
    if is_causal:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True"
        )
    if attn_mask.dtype != rl.bool and attn_mask.dtype != query.dtype:
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {_ctype(attn_mask)} and  query.dtype: {_ctype(query)} instead."
        )


def _ctype(tensor: Any) -> str:
    """The C++ name that PyTorch's message gives a dtype."""
    name = str(tensor.dtype).rpartition(".")[2]
    known = {
        "float32": "float",
        "float64": "double",
        "float16": "c10::Half",
        "bfloat16": "c10::BFloat16",
        "int64": "long int",
        "int32": "int",
    }
    return known.get(name, name)


def _none_or_dtype(input: Any) -> Any:
    """The dtype of a mask, or None."""
    if input is None:
        return None
    if isinstance(input, Tensor):
        return input.dtype
    raise RuntimeError("input to _none_or_dtype() must be None or torch.Tensor")


def _canonical_mask(
    mask: Any,
    mask_name: str,
    other_type: Any,
    other_name: str,
    target_type: Any,
    check_other: bool = True,
) -> Any:
    """A mask as numbers to add: True becomes -inf, numbers stay."""
    if mask is None:
        return None
    is_float = mask.is_floating_point()
    if mask.dtype != rl.bool and not is_float:
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other_type is not None and mask.dtype != other_type:
        warnings.warn(
            f"Support for mismatched {mask_name} and {other_name} "
            "is deprecated. Use same type for both instead.",
            stacklevel=2,
        )
    if is_float:
        return mask
    return rl.zeros_like(mask, dtype=target_type).masked_fill_(mask, float("-inf"))


def _mha_shape_check(
    query: Any, key: Any, value: Any, key_padding_mask: Any, attn_mask: Any, num_heads: int
) -> bool:
    """Refuse numbers of dimensions that do not go together; True when there is a batch."""
    dims = query.dim()
    if dims not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {dims}-D query tensor"
        )
    start = f"For {'batched (3-D)' if dims == 3 else 'unbatched (2-D)'} `query`, expected "
    if key.dim() != dims or value.dim() != dims:
        raise AssertionError(
            f"{start}`key` and `value` to be {dims}-D but found {key.dim()}-D and "
            f"{value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != dims - 1:
        raise AssertionError(
            f"{start}`key_padding_mask` to be `None` or {dims - 1}-D but found "
            f"{key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise AssertionError(
                f"{start}`attn_mask` to be `None`, 2-D or 3-D but found "
                f"{attn_mask.dim()}-D tensor instead"
            )
        wanted = (num_heads, query.shape[0], key.shape[0])
        if dims == 2 and attn_mask.dim() == 3 and attn_mask.shape != wanted:
            raise AssertionError(
                f"Expected `attn_mask` shape to be {wanted} but got {attn_mask.shape}"
            )
    return bool(dims == 3)


def _in_projection_packed(q: Any, k: Any, v: Any, w: Any, b: Any = None) -> tuple[Any, ...]:
    """Project three inputs by one weight (3E, E), in as few matrix products as they allow."""
    from rushlight.nn import functional as F

    size = q.size(-1)
    if k is v and q is k:  # self-attention: one product
        joint = F.linear(q, w, b).unflatten(-1, (3, size))
        return tuple(joint.unsqueeze(0).transpose(0, -2).squeeze(-2).contiguous())
    if k is v:  # the encoder's output: two products
        w_q, w_kv = w.split([size, size * 2])
        b_q, b_kv = (None, None) if b is None else b.split([size, size * 2])
        joint = F.linear(k, w_kv, b_kv).unflatten(-1, (2, size))
        return F.linear(q, w_q, b_q), *joint.unsqueeze(0).transpose(0, -2).squeeze(-2).contiguous()
    weights = w.chunk(3)
    biases = (None, None, None) if b is None else b.chunk(3)
    inputs = zip((q, k, v), weights, biases, strict=True)
    return tuple(F.linear(x, weight, bias) for x, weight, bias in inputs)


def _check_mask(attn_mask: Any, batch: int, heads: int, length: int, steps: int) -> Any:
    """An additive mask as (1 or N * heads, L, S)."""
    if attn_mask.dim() == 2:
        wanted: tuple[int, ...] = (length, steps)
        if attn_mask.shape != wanted:
            raise RuntimeError(
                f"The shape of the 2D attn_mask is {attn_mask.shape}, but should be {wanted}."
            )
        return attn_mask.unsqueeze(0)
    if attn_mask.dim() == 3:
        wanted = (batch * heads, length, steps)
        if attn_mask.shape != wanted:
            raise RuntimeError(
                f"The shape of the 3D attn_mask is {attn_mask.shape}, but should be {wanted}."
            )
        return attn_mask
    raise RuntimeError(f"attn_mask's dimension {attn_mask.dim()} is not supported")


class _Extended:
    """Keys, values and masks, which may get one more position."""

    def __init__(self, k: Any, v: Any, attn_mask: Any, padding: Any) -> None:
        self.k, self.v, self.attn_mask, self.padding = k, v, attn_mask, padding

    def append(self, k: Any, v: Any, dim: int) -> None:
        """Add a position that every mask shows."""
        from rushlight.nn import functional as F

        self.k = rl.cat([self.k, k], dim=dim)
        self.v = rl.cat([self.v, v], dim=dim)
        if self.attn_mask is not None:
            self.attn_mask = F.pad(self.attn_mask, (0, 1))
        if self.padding is not None:
            self.padding = F.pad(self.padding, (0, 1))


def _project(
    query: Any,
    key: Any,
    value: Any,
    packed: Any,
    bias: Any,
    separate: bool,
    weights: tuple[Any, Any, Any],
) -> tuple[Any, ...]:
    """The input projections, from one weight or from three."""
    from rushlight.nn import functional as F

    if not separate:
        if key.shape != value.shape:
            raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
        if packed is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        return _in_projection_packed(query, key, value, packed, bias)
    if key.shape[:2] != value.shape[:2]:
        raise AssertionError(
            f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
        )
    for name, weight in zip("qkv", weights, strict=True):
        if weight is None:
            raise AssertionError(f"use_separate_proj_weight is True but {name}_proj_weight is None")
    biases = (None, None, None) if bias is None else bias.chunk(3)
    inputs = zip((query, key, value), weights, biases, strict=True)
    return tuple(F.linear(x, weight, b) for x, weight, b in inputs)


def _heads(x: Any, static: Any, name: str, rows: int, size: int) -> Any:
    """(S, N, E) -> (N * heads, S, E / heads), or the given static projection."""
    if static is None:
        return x.reshape(x.shape[0], rows, size).transpose(0, 1)
    for dim, wanted in ((0, rows), (2, size)):
        if static.size(dim) != wanted:
            raise AssertionError(
                f"expecting {name}.size({dim}) of {wanted}, but got {static.size(dim)}"
            )
    return static


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """The forward pass of `nn.MultiheadAttention`, whose arguments are explained there.

    Args:
        query: (L, N, E) or (L, E).
        key: (S, N, E) or (S, E).
        value: (S, N, E) or (S, E).
        embed_dim_to_check: what E must be.
        static_k: (N * num_heads, S, E / num_heads), used instead of the projected keys.
        static_v: the same for the values.

    Returns:
        The output (L, N, E), and the weights (N, L, S) (or (N, num_heads, L, S) without
        `average_attn_weights`), or None without `need_weights`.
    """
    is_batched = _mha_shape_check(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not is_batched:
        same = {id(x): x.unsqueeze(1) for x in (query, key, value)}
        query, key, value = (same[id(x)] for x in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, embed_dim = query.shape
    steps = key.shape[0]
    key_padding_mask = _canonical_mask(
        key_padding_mask, "key_padding_mask", _none_or_dtype(attn_mask), "attn_mask", query.dtype
    )
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. "
            "You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None  # the hint says it all
    else:
        attn_mask = _canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, False)
        is_causal = is_causal and key_padding_mask is None
    if embed_dim != embed_dim_to_check:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed_dim}"
        )
    head_dim = embed_dim // num_heads
    if head_dim * num_heads != embed_dim:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")

    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    q, k, v = _project(
        query, key, value, in_proj_weight, in_proj_bias, use_separate_proj_weight, separate
    )
    if attn_mask is not None:
        attn_mask = _check_mask(attn_mask, batch, num_heads, length, steps)
    if (bias_k is None) != (bias_v is None):
        missing = "bias_k is set but bias_v is None" if bias_v is None else None
        raise AssertionError(missing or "bias_v is set but bias_k is None")
    kv = _Extended(k, v, attn_mask, key_padding_mask)
    if bias_k is not None:
        for name, static in (("key", static_k), ("value", static_v)):
            if static is not None:
                raise AssertionError(f"bias cannot be added to static {name}.")
        kv.append(bias_k.repeat(1, batch, 1), bias_v.repeat(1, batch, 1), 0)
    rows = batch * num_heads
    q = q.reshape(length, rows, head_dim).transpose(0, 1)  # (N * heads, L, E / heads)
    kv.k = _heads(kv.k, static_k, "static_k", rows, head_dim)
    kv.v = _heads(kv.v, static_v, "static_v", rows, head_dim)
    if add_zero_attn:
        zeros = rl.zeros((rows, 1, head_dim), dtype=kv.k.dtype, device=kv.k.device)
        kv.append(zeros, zeros, 1)
    steps = kv.k.size(1)
    mask = _merge(kv, batch, num_heads, steps)
    if not training:
        dropout_p = 0.0
    sizes = (length, batch, num_heads, steps, embed_dim)
    out_proj = (out_proj_weight, out_proj_bias)
    if not need_weights:
        output = _attend_fused(q, kv, mask, dropout_p, is_causal, sizes, out_proj)
        return output if is_batched else output.squeeze(1), None
    output, weights = _attend(q, kv, mask, dropout_p, sizes, out_proj)
    if average_attn_weights:
        weights = weights.mean(dim=1)
    if not is_batched:
        return output.squeeze(1), weights.squeeze(0)
    return output, weights


def _merge(kv: _Extended, batch: int, num_heads: int, steps: int) -> Any:
    """Both masks as one (1 or N * heads, 1 or L, S), or None."""
    padding = kv.padding
    if padding is None:
        return kv.attn_mask
    for dim, wanted in enumerate((batch, steps)):
        if padding.shape[dim] != wanted:
            raise AssertionError(
                f"Expected key_padded_mask.shape[{dim}] to be {wanted}, but got "
                f"{padding.shape[dim]}"
            )
    padding = padding.view(batch, 1, 1, steps).expand(-1, num_heads, -1, -1)
    padding = padding.reshape(batch * num_heads, 1, steps)
    return padding if kv.attn_mask is None else kv.attn_mask + padding


def _attend(
    q: Any, kv: _Extended, mask: Any, dropout_p: float, sizes: tuple[int, ...], out_proj: Any
) -> tuple[Any, Any]:
    """Attention whose weights (N, heads, L, S) are wanted too."""
    from rushlight.nn import functional as F

    length, batch, num_heads, steps, embed_dim = sizes
    scaled = q * math.sqrt(1.0 / float(q.size(-1)))
    turned = kv.k.transpose(-2, -1)
    scores = rl.bmm(scaled, turned) if mask is None else rl.baddbmm(mask, scaled, turned)
    weights = F.softmax(scores, dim=-1)
    if dropout_p > 0.0:
        weights = F.dropout(weights, p=dropout_p)
    mixed = rl.bmm(weights, kv.v).transpose(0, 1).reshape(length * batch, embed_dim)
    output = F.linear(mixed, *out_proj)
    output = output.view(length, batch, output.size(1))
    return output, weights.view(batch, num_heads, length, steps)


def _attend_fused(
    q: Any,
    kv: _Extended,
    mask: Any,
    dropout_p: float,
    is_causal: bool,
    sizes: tuple[int, ...],
    out_proj: Any,
) -> Any:
    """Attention whose weights nobody wants."""
    from rushlight.nn import functional as F

    length, batch, num_heads, steps, embed_dim = sizes
    if mask is not None:
        shared = mask.size(0) == 1 and mask.dim() == 3
        mask = mask.unsqueeze(0) if shared else mask.view(batch, num_heads, -1, steps)
    q = q.view(batch, num_heads, length, -1)
    k = kv.k.view(batch, num_heads, steps, -1)
    v = kv.v.view(batch, num_heads, steps, -1)
    mixed = F.scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal)
    mixed = mixed.permute(2, 0, 1, 3).reshape(batch * length, embed_dim)
    output = F.linear(mixed, *out_proj)
    return output.view(length, batch, output.size(1))
