"""Record what PyTorch's CPU generators draw, for tests/test_random_streams.py.

Run where torch is installed: ``python tests/data/make_random_streams.py``. It writes
``random_streams.npz`` beside itself. Nothing in the file is computed by this project.

A call is ``(name, count, dtype, *arguments)``; ``CALLS`` is what is recorded, one generator running
through the calls of a seed in order. Kept of each call: the bytes of its values (their SHA-256
where they are many) and the SHA-256 of the generator's state after it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

Call = tuple[Any, ...]

PATH = Path(__file__).with_name("random_streams.npz")
SEEDS = (0, 1, 42, 2**32 + 5, -1, 2**64 - 7)
KEEP = 64  # bytes of values kept as they are

FLOATS = ("float32", "float64", "float16", "bfloat16")
REALS = (*FLOATS, "int8", "uint8", "int16", "int32", "int64")


def _fills(count: int) -> list[Call]:
    calls: list[Call] = []
    for dtype in FLOATS:
        calls += [
            ("uniform", count, dtype, 0.0, 1.0),
            ("uniform", count, dtype, -1.3, 2.7),
            ("uniform", count, dtype, 0.0, 3.3),
            ("normal", count, dtype, 0.0, 1.0, True),
            ("normal", count, dtype, 0.3, 1.7, True),
            ("normal", count, dtype, 0.0, 0.02, True),
            ("normal", count, dtype, -4.0, 1.0, True),
            ("normal", count, dtype, 0.3, 1.7, False),
            ("log_normal", count, dtype, 1.0, 2.0),
            ("exponential", count, dtype, 1.5),
            ("cauchy", count, dtype, 0.3, 1.7),
            ("bernoulli_tensor", count, dtype),
            ("poisson", count, dtype, 3.0),
            ("poisson", count, dtype, 40.0),
            ("random_", count, dtype, 5, None),
        ]
    for dtype in REALS:
        calls += [
            ("bernoulli_scalar", count, dtype, 0.3),
            ("geometric", count, dtype, 0.3),
            ("random_", count, dtype, 0, 10),
            ("random_", count, dtype, 3, None),
            ("random_default", count, dtype),
            ("randperm", min(count, 120), dtype),
        ]
    for dtype in ("float16", "bfloat16"):
        calls += [
            ("trunc_normal", count, dtype, 0.0, 1.0, -2.0, 2.0),
            ("trunc_normal", count, dtype, 0.7, 1.3, 2.0, 3.1),
        ]
    for dtype in ("float32", "float64"):
        calls += [
            ("uniform", count, "complex64" if dtype == "float32" else "complex128", 0.0, 1.0),
            ("normal", count, "complex64" if dtype == "float32" else "complex128", 0.0, 1.0, True),
            ("standard_gamma", count, dtype, 0.4),
            ("standard_gamma", count, dtype, 2.5),
            ("rrelu", count, dtype, 0.1, 0.37),
            ("trunc_normal", count, dtype, 0.0, 1.0, -2.0, 2.0),
            ("trunc_normal", count, dtype, 0.0, 1.0, 1.5, 2.5),
            ("trunc_normal", count, dtype, 0.7, 1.3, -1.5, 0.1),
            ("trunc_normal", count, dtype, 0.1, 0.02, -0.3, 0.12),
            ("multinomial", count, dtype, 1, False),
            ("multinomial", count, dtype, 3, True),
            ("multinomial", count, dtype, 2, False),
            ("sparse_multinomial", count, dtype),
        ]
    calls += [
        ("rrelu", count, "bfloat16", 0.1, 0.37),
        ("random_", count, "int64", -(2**40), 2**40),
        ("random_", count, "int64", -(2**63), 2**63 - 1),
        ("random_", count, "int64", -(2**63), None),
        ("random_", count, "int64", 0, 2**28),
        ("random_", count, "int64", 0, 2**28 - 1),
        ("random_", count, "int32", -(2**31), 2**31 - 1),
        ("random_", count, "bool", 0, 2),
        ("random_default", count, "bool"),
        ("bernoulli_scalar", count, "bool", 0.9),
        ("randperm", count, "int64"),
        ("dirichlet", count, "float64", 0.7),
    ]
    return calls


def calls_of(count: int) -> list[Call]:
    """Every recordable call at one size (multinomial and dirichlet need at least three values)."""
    need = {"multinomial": 3, "sparse_multinomial": 15, "dirichlet": 3}
    return [call for call in _fills(count) if count >= need.get(call[0], 0)]


CALLS: list[Call] = [call for count in (0, 1, 15, 16, 17, 100, 1000) for call in calls_of(count)]


def levels(count: int, dtype: Any) -> Any:
    """Fixed numbers in [0, 1] for the calls that take an array."""
    return ((np.arange(count) * 37 % 64) / 64).astype(dtype)


def run_torch(generator: Any, call: Call) -> Any:
    """The call through torch; returns a tensor."""
    import torch

    name, count, dtype_name, *args = call
    dtype = getattr(torch, dtype_name)
    out = torch.empty(count, dtype=dtype)
    if name == "normal":
        mean, std, contiguous = args
        if not contiguous:
            out = torch.empty(2 * count, dtype=dtype)[::2]
        return out.normal_(mean, std, generator=generator)
    if name in ("uniform", "log_normal", "exponential", "cauchy", "geometric"):
        return getattr(out, name + "_")(*args, generator=generator)
    if name == "bernoulli_scalar":
        return out.bernoulli_(*args, generator=generator)
    if name == "random_default":
        return out.random_(generator=generator)
    if name == "random_":
        return out.random_(*args, generator=generator)
    if name == "randperm":
        return torch.randperm(count, dtype=dtype, generator=generator)
    fixed = torch.from_numpy(levels(count, np.float64)).to(dtype)
    if name == "bernoulli_tensor":
        return torch.bernoulli(fixed, generator=generator)
    if name == "poisson":
        return torch.poisson(fixed * args[0], generator=generator)
    if name == "standard_gamma":
        return torch._standard_gamma(fixed + args[0], generator=generator)
    if name == "dirichlet":
        return torch._sample_dirichlet(fixed + args[0], generator=generator)
    if name == "rrelu":
        noise = torch.empty(count, dtype=dtype)
        torch._C._nn.rrelu_with_noise(fixed - 0.5, noise, *args, True, generator)
        return noise
    if name == "trunc_normal":
        return torch.nn.init.trunc_normal_(out, *args, generator=generator)
    if name == "sparse_multinomial":  # more draws than categories that have weight
        return torch.multinomial((fixed - 0.75).clamp(min=0), count, generator=generator)
    if name == "multinomial":
        weights = fixed + 0.125
        if count >= 15:
            weights = weights[: count - count % 5].reshape(-1, 5)
        return torch.multinomial(weights, *args, generator=generator)
    raise KeyError(name)


def value_bytes(tensor: Any) -> bytes:
    """The bytes of a torch tensor's values."""
    import torch

    flat = torch.empty(tensor.numel(), dtype=tensor.dtype)
    flat.copy_(tensor.reshape(-1))
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def main() -> None:
    import torch

    arrays: dict[str, Any] = {}
    for index, seed in enumerate(SEEDS):
        generator = torch.Generator()
        generator.manual_seed(seed)
        kept, states = [], []
        for call in CALLS:
            data = value_bytes(run_torch(generator, call))
            kept.append(data if len(data) <= KEEP else hashlib.sha256(data).digest())
            state = generator.get_state().numpy().tobytes()
            states.append(hashlib.sha256(state).digest()[:8])
        arrays[f"values{index}"] = np.frombuffer(b"".join(kept), np.uint8)
        arrays[f"lengths{index}"] = np.array([len(k) for k in kept], np.uint16)
        arrays[f"states{index}"] = np.frombuffer(b"".join(states), np.uint8)
    note = json.dumps({"torch": torch.__version__, "calls": len(CALLS), "seeds": SEEDS})
    np.savez_compressed(PATH, note=np.array(note), **arrays)
    print(PATH, PATH.stat().st_size, note)


if __name__ == "__main__":
    main()
