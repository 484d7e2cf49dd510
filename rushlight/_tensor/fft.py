"""Fourier transforms: the functions of ``torch.fft``, and stft and istft.

Sizes and dimensions are read here and the input is cut or padded; ops/fft.py transforms.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight import dtypes
from rushlight._tensor.api import (
    FUNCTIONS,
    both,
    device_of,
    dtype_of,
    function,
    result_or_out,
)
from rushlight.dispatch.gate import call
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.shapes import wrap_dim
from rushlight.ops import fft as records

__all__: list[str] = []


def _scale(norm: str | None, count: int, forward: bool) -> float:
    """The factor of a transform of ``count`` points under a normalisation."""
    if norm not in (None, "forward", "backward", "ortho"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if (norm == "forward") == forward else 1.0


def _promoted(x: Tensor, make_complex: bool) -> Tensor:
    """The input as floating point, or as complex."""
    kind = x._meta.dtype
    if kind.is_integral:
        kind = dtypes.default_float()
    if kind.itemsize == 2:
        raise RuntimeError(f"Unsupported dtype {kind.title}")
    return o.to(x, kind.to_complex() if make_complex else kind)  # type: ignore[no-any-return]


def _resized(x: Tensor, dims: tuple[int, ...], sizes: Any) -> Tensor:
    """Cut, or padded with zeros, to these sizes (None: as it is)."""
    for d, size in zip(dims, sizes, strict=True):
        have = x._meta.shape[d]
        if size is None or size == -1:
            continue
        if size < have:
            x = o.slice(x, d, 0, size, 1)
        elif size > have:
            shape = tuple(size if k == d else n for k, n in enumerate(x._meta.shape))
            x = o.slice_backward(x, shape, d, 0, have, 1)
    return x


def _one_dim(x: Tensor, dim: int, n: int | None) -> tuple[tuple[int, ...], int]:
    """The dimension and the number of points of a one-dimensional transform."""
    if x._meta.ndim == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    d = wrap_dim(dim, x._meta.ndim)
    size = x._meta.shape[d] if n is None else n
    if size < 1:
        raise RuntimeError(f"Invalid number of data points ({size}) specified")
    return (d,), size


def _many_dims(x: Tensor, s: Any, dim: Any) -> tuple[tuple[int, ...], list[int]]:
    """The dimensions and sizes of a transform over several dimensions."""
    ndim = x._meta.ndim
    s = [s] if isinstance(s, int) else s
    dim = [dim] if isinstance(dim, int) else dim
    if dim is not None:
        dims = tuple([wrap_dim(d, ndim, scalar_ok=False) for d in dim])
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    elif s is not None:
        if len(s) > ndim:
            raise RuntimeError(
                f"Got shape with {len(s)} values but input tensor only has {ndim} dimensions."
            )
        dims = tuple(range(ndim - len(s), ndim))
    else:
        dims = tuple(range(ndim))
    sizes = [x._meta.shape[d] if s is None or s[i] == -1 else int(s[i]) for i, d in enumerate(dims)]
    for size in sizes:
        if size < 1:
            raise RuntimeError(f"Invalid number of data points ({size}) specified")
    return dims, sizes


def _forward(x: Tensor, dims: Any, sizes: Any, norm: Any, forward: bool) -> Any:
    """fft or ifft over several dimensions."""
    x = _promoted(x, x._meta.dtype.is_complex)
    x = _resized(x, dims, sizes)
    scale = _scale(norm, math.prod(sizes), forward)
    if not dims:
        return o.to(x, x._meta.dtype.to_complex())
    if not x._meta.dtype.is_complex and forward:
        return call(records.fft_r2c, (x,), (dims, scale, False))
    if not x._meta.dtype.is_complex:
        return o.conj(call(records.fft_r2c, (x,), (dims, scale, False)))
    return call(records.fft_c2c, (x,), (dims, scale, forward))


def _real(name: str, x: Tensor, dims: Any, sizes: Any, norm: Any) -> Any:
    """rfft over several dimensions, the last one halved."""
    if x._meta.dtype.is_complex:
        kind = "real input tensor" if "n" not in name else "real-valued input tensor"
        raise RuntimeError(f"{name} expects a {kind}, but got {x._meta.dtype.title}")
    x = _resized(_promoted(x, False), dims, sizes)
    attrs = (dims, _scale(norm, math.prod(sizes), True), True)
    return call(records.fft_r2c, (x,), attrs)


def _inverse_real(x: Tensor, dims: Any, sizes: Any, last: int, norm: Any, forward: bool) -> Any:
    """irfft over several dimensions, the last one getting ``last`` points."""
    if last < 1:
        raise RuntimeError(f"Invalid number of data points ({last}) specified")
    x = _resized(_promoted(x, True), dims, [*sizes[:-1], last // 2 + 1])
    count = math.prod(sizes[:-1]) * last
    return call(records.fft_c2r, (x,), (dims, _scale(norm, count, forward), last))


def _last_size(s: Any, n: int) -> int:
    """How many real points a half spectrum of n stands for, unless it is said."""
    return 2 * (n - 1) if s is None else int(s)


def fft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
) -> Any:
    """The discrete Fourier transform along a dimension.

    Args:
        input: real or complex.
        n: the number of points; the input is cut or padded with zeros.
        dim: the dimension.
        norm: ``"backward"`` (no factor), ``"forward"`` (1/n) or ``"ortho"`` (1/sqrt(n)).
        out: where to write the result.

    Example:
        >>> import rushlight as torch
        >>> torch.fft.fft(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])
    """
    dims, size = _one_dim(input, dim, n)
    return result_or_out(_forward(input, dims, [size], norm, True), out)


def ifft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
) -> Any:
    """The inverse of ``fft``; its factor is 1/n by default."""
    dims, size = _one_dim(input, dim, n)
    return result_or_out(_forward(input, dims, [size], norm, False), out)


def rfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
) -> Any:
    """The transform of real values: the n // 2 + 1 frequencies that are not redundant."""
    dims, size = _one_dim(input, dim, n)
    return result_or_out(_real("rfft", input, dims, [size], norm), out)


def irfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
) -> Any:
    """The inverse of ``rfft``: n real values (2 (m - 1) for m frequencies by default)."""
    dims, size = _one_dim(input, dim, None)
    found = _inverse_real(input, dims, [size], _last_size(n, size), norm, False)
    return result_or_out(found, out)


def hfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
) -> Any:
    """The real transform of a signal that is Hermitian in time, given by one half."""
    dims, size = _one_dim(input, dim, None)
    x = _promoted(input, True)
    found = _inverse_real(x.conj(), dims, [size], _last_size(n, size), norm, True)
    return result_or_out(found, out)


def ihfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
) -> Any:
    """The inverse of ``hfft``: one half of a Hermitian signal."""
    if input._meta.dtype.is_complex:
        raise RuntimeError(f"ihfft expects a real input tensor, but got {input._meta.dtype.title}")
    dims, size = _one_dim(input, dim, n)
    x = _resized(_promoted(input, False), dims, [size])
    found = o.conj(call(records.fft_r2c, (x,), (dims, _scale(norm, size, False), True)))
    return result_or_out(found, out)


def fftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: Any = None, *, out: Any = None
) -> Any:
    """The discrete Fourier transform over several dimensions (all by default)."""
    dims, sizes = _many_dims(input, s, dim)
    return result_or_out(_forward(input, dims, sizes, norm, True), out)


def ifftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: Any = None, *, out: Any = None
) -> Any:
    """The inverse of ``fftn``."""
    dims, sizes = _many_dims(input, s, dim)
    return result_or_out(_forward(input, dims, sizes, norm, False), out)


def rfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: Any = None, *, out: Any = None
) -> Any:
    """The transform of real values over several dimensions, the last one halved."""
    dims, sizes = _many_dims(input, s, dim)
    if not dims:
        raise RuntimeError("rfftn must transform at least one axis")
    return result_or_out(_real("rfftn", input, dims, sizes, norm), out)


def irfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: Any = None, *, out: Any = None
) -> Any:
    """The inverse of ``rfftn``."""
    dims, sizes = _many_dims(input, s, dim)
    if not dims:
        raise RuntimeError("irfftn must transform at least one axis")
    given = [s] if isinstance(s, int) else s
    asked = None if given is None or given[-1] == -1 else given[-1]
    last = _last_size(asked, input._meta.shape[dims[-1]])
    return result_or_out(_inverse_real(input, dims, sizes, last, norm, False), out)


def hfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: Any = None, *, out: Any = None
) -> Any:
    """The real transform of a Hermitian signal over several dimensions."""
    dims, sizes = _many_dims(input, s, dim)
    if not dims:
        raise RuntimeError("hfftn must transform at least one axis")
    given = [s] if isinstance(s, int) else s
    asked = None if given is None or given[-1] == -1 else given[-1]
    last = _last_size(asked, input._meta.shape[dims[-1]])
    x = _resized(_promoted(input, True), dims, [*sizes[:-1], last // 2 + 1])
    scale = _scale(norm, math.prod(sizes[:-1]) * last, True)
    if len(dims) > 1:
        x = call(records.fft_c2c, (x,), (dims[:-1], 1.0, True))
    return result_or_out(call(records.fft_c2r, (x.conj(),), (dims[-1:], scale, last)), out)


def ihfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: Any = None, *, out: Any = None
) -> Any:
    """The inverse of ``hfftn``."""
    dims, sizes = _many_dims(input, s, dim)
    if not dims:
        raise RuntimeError("ihfftn must transform at least one axis")
    if input._meta.dtype.is_complex:
        raise RuntimeError(
            f"ihfftn expects a real-valued input tensor, but got {input._meta.dtype.title}"
        )
    x = _resized(_promoted(input, False), dims, sizes)
    scale = _scale(norm, math.prod(sizes), False)
    found = o.conj(call(records.fft_r2c, (x,), (dims[-1:], scale, True)))
    if len(dims) > 1:
        found = call(records.fft_c2c, (found,), (dims[:-1], 1.0, False))
    return result_or_out(found, out)


def _two(name: str, many: Any) -> Any:
    """The two-dimensional variant of a transform over several dimensions."""

    def f(
        input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None, *, out: Any = None
    ) -> Any:
        if input._meta.ndim < 2 and tuple(dim) == (-2, -1):
            for d in dim:
                wrap_dim(d, input._meta.ndim, scalar_ok=False)
        return many(input, s, dim, norm, out=out)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"``{many.__name__}`` over two dimensions, the last two by default."
    return f


fft2, ifft2 = _two("fft2", fftn), _two("ifft2", ifftn)
rfft2, irfft2 = _two("rfft2", rfftn), _two("irfft2", irfftn)
hfft2, ihfft2 = _two("hfft2", hfftn), _two("ihfft2", ihfftn)

# Frequencies and their order


def fftfreq(
    n: int,
    d: float = 1.0,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """The frequencies of the results of ``fft`` of n points at distance d: 0, ..., ..., -1/nd."""
    half = (n - 1) // 2 + 1
    kind, where = dtype_of(dtype), device_of(device)
    parts = [
        FUNCTIONS["arange"](0, half, dtype=kind, device=where),
        FUNCTIONS["arange"](-(n // 2), 0, dtype=kind, device=where),
    ]
    found = FUNCTIONS["cat"](parts) * (1.0 / (n * d))
    return result_or_out(found.requires_grad_() if requires_grad else found, out)


def rfftfreq(
    n: int,
    d: float = 1.0,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """The frequencies of the results of ``rfft`` of n points at distance d."""
    found = FUNCTIONS["arange"](n // 2 + 1, dtype=dtype_of(dtype), device=device_of(device))
    found = found * (1.0 / (n * d))
    return result_or_out(found.requires_grad_() if requires_grad else found, out)


def _shift_dims(input: Tensor, dim: Any) -> list[int]:
    dims = range(input._meta.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    return [wrap_dim(d, input._meta.ndim) for d in dims]


def fftshift(input: Tensor, dim: Any = None) -> Any:
    """Frequencies in ascending order: the zero frequency moves to the middle."""
    dims = _shift_dims(input, dim)
    return FUNCTIONS["roll"](input, [input._meta.shape[d] // 2 for d in dims], dims)


def ifftshift(input: Tensor, dim: Any = None) -> Any:
    """The inverse of ``fftshift``."""
    dims = _shift_dims(input, dim)
    return FUNCTIONS["roll"](input, [(input._meta.shape[d] + 1) // 2 for d in dims], dims)


# Short-time transforms


def _edge_index(length: int, pad: int, mode: str) -> list[int]:
    """Positions that extend a signal at both ends."""
    where = range(-pad, length + pad)
    if mode == "reflect":
        return [-i if i < 0 else 2 * (length - 1) - i if i >= length else i for i in where]
    if mode == "replicate":
        return [min(max(i, 0), length - 1) for i in where]
    if mode == "circular":
        return [i % length for i in where]
    raise NotImplementedError(f"Unrecognised padding mode {mode}")


def _extended(x: Tensor, pad: int, mode: str) -> Tensor:
    """A batch of signals, extended at both ends."""
    length = x._meta.shape[-1]
    if mode == "constant":
        shape = (*x._meta.shape[:-1], length + 2 * pad)
        return o.slice_backward(x, shape, -1, pad, pad + length, 1)  # type: ignore[no-any-return]
    if mode == "reflect" and pad >= length:
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, but "
            f"got: padding ({pad}, {pad}) at dimension 2 of input {[1, *x._meta.shape]}"
        )
    at = FUNCTIONS["tensor"](_edge_index(length, pad, mode), device=x._meta.device)
    return x.index_select(-1, at)  # type: ignore[no-any-return]


def _window_for(x: Tensor, window: Any, win_length: int, n_fft: int, kind: Any) -> Tensor:
    """The window, centred among n_fft points; ones if none is given."""
    if window is None:
        window = FUNCTIONS["ones"](win_length, dtype=kind, device=x._meta.device)
    if win_length < n_fft:
        left = (n_fft - win_length) // 2
        window = o.slice_backward(window, (n_fft,), 0, left, left + win_length, 1)
    return window  # type: ignore[no-any-return]


@function
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    """The short-time Fourier transform: spectra of overlapping windows of a signal.

    Args:
        input: a signal or a batch of them, shape (L,) or (B, L).
        n_fft: points a window.
        hop_length: from one window to the next; n_fft // 4 by default.
        win_length: length of ``window``; n_fft by default.
        window: weights of a window's points; ones by default.
        center: whether windows are centred at their points, the signal being extended.
        pad_mode: how it is extended: reflect, constant, replicate or circular.
        normalized: whether spectra are divided by sqrt(n_fft).
        onesided: whether only half of the frequencies are returned; for real signals by default.
        return_complex: whether the result is complex, or real with pairs in the last dimension.

    Returns:
        shape (B, frequencies, windows), or with a last dimension of 2.
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    is_complex = input._meta.dtype.is_complex or (
        window is not None and window._meta.dtype.is_complex
    )
    if return_complex is None:
        if not is_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will "
                "further require that return_complex=True in a future PyTorch release."
            )
        return_complex = True
    half = not is_complex if onesided is None else onesided
    x = input.unsqueeze(0) if input._meta.ndim == 1 else input
    if center:
        x = _extended(x, n_fft // 2, pad_mode)
    if not 0 < n_fft <= x._meta.shape[-1]:
        raise RuntimeError(
            f"stft({_brief(input)}, n_fft={n_fft}, hop_length={hop}, win_length={length}, "
            f"window={'None' if window is None else _brief(window)}): expected 0 < n_fft <= "
            f"{x._meta.shape[-1]}, but got n_fft={n_fft}"
        )
    frames = x.unfold(-1, n_fft, hop)  # (B, L) -> (B, windows, n_fft)
    if window is not None or length < n_fft:
        frames = frames * _window_for(x, window, length, n_fft, x._meta.dtype)
    norm = "ortho" if normalized else None
    spectra = rfft(frames, norm=norm) if half else fft(frames, norm=norm)
    spectra = spectra.transpose(1, 2)  # (B, windows, F) -> (B, F, windows)
    if input._meta.ndim == 1:
        spectra = spectra.squeeze(0)
    return spectra if return_complex else FUNCTIONS["view_as_real"](spectra)


def _brief(t: Tensor) -> str:
    return f"torch.{t._meta.dtype.title}Tensor{list(t._meta.shape)}"


Tensor.stft = stft


@both
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Any:
    """The inverse of ``stft``: windows are added up and divided by the sum of squared weights.

    Raises:
        RuntimeError: windows that leave a gap.
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    if not input._meta.dtype.is_complex:
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    x = input.unsqueeze(0) if input._meta.ndim == 2 else input
    frequencies, count = x._meta.shape[-2:]
    half = frequencies != n_fft if onesided is None else onesided
    expected = n_fft // 2 + 1 if half else n_fft
    if frequencies != expected:
        raise RuntimeError(
            f"istft({_brief(input)}, n_fft={n_fft}, hop_length={hop}, win_length={width}): "
            "expected the frequency dimension (3rd to the last) of the input tensor to match "
            f"{'n_fft / 2 + 1' if half else 'n_fft'}{' when onesided=True' if half else ''}, but "
            f"got {frequencies}"
        )
    kind = x._meta.dtype.to_real()
    weights = _window_for(x, window, width, n_fft, x._meta.dtype if return_complex else kind)
    norm = "ortho" if normalized else None
    spectra = x.transpose(1, 2)  # (B, F, windows) -> (B, windows, F)
    if return_complex:
        frames = ifft(spectra, norm=norm)
    elif half:
        frames = irfft(spectra, n_fft, norm=norm)
    else:
        frames = irfft(spectra[..., : n_fft // 2 + 1], n_fft, norm=norm)
    frames = frames * weights
    total = n_fft + hop * (count - 1)
    signal = o.unfold_backward(frames, (frames._meta.shape[0], total), 1, n_fft, hop)
    squares = (weights * weights).expand(1, count, n_fft)
    envelope = o.unfold_backward(squares, (1, total), 1, n_fft, hop)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - n_fft // 2 if center else total
    signal, envelope = signal[:, start:end], envelope[:, start:end]
    if float(envelope.abs().min()) < 1e-11:
        raise RuntimeError(
            f"istft({_brief(input)}, n_fft={n_fft}, hop_length={hop}, win_length={width}) window "
            "overlap add min: 1"
        )
    signal = signal / envelope
    if end > total:
        missing = end - max(total, start)
        have = signal._meta.shape[-1]
        shape = (signal._meta.shape[0], have + missing)
        signal = o.slice_backward(signal, shape, 1, 0, have, 1)
    return signal.squeeze(0) if input._meta.ndim == 2 else signal
