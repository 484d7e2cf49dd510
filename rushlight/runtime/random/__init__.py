"""Random streams: the bits PyTorch's CPU generators give, from NumPy.

Import it as ``from rushlight.runtime import random as streams``. A generator holds an ``Engine``;
each fill takes the engine, a count, a NumPy dtype and the distribution's parameters, and returns a
fresh 1-D array of values in fill order (the order in which memory is written; placing them is the
caller's part). Argument errors are PyTorch's. The package needs NumPy and ``math`` only.

engine.py: the engine and its state bytes: ``Engine``.
fma.py: multiply-add with one rounding: ``fma32``, ``fma64``.
uniform.py: uniform, ``uniform``; Bernoulli and dropout, ``bernoulli_scalar``, ``bernoulli_tensor``,
    ``dropout_mask``; rrelu, ``rrelu_slopes``; others of one uniform a value, ``exponential``,
    ``cauchy``, ``geometric``.
normal.py: normal, block and serial path, ``normal``; built on it, ``log_normal``, ``trunc_normal``.
integers.py: ``random_`` (also named ``randint``), ``random_default``; permutations, ``randperm``.
sampling.py: ``multinomial``, ``poisson``, ``standard_gamma``, ``dirichlet``.
binomial.py: ``binomial``.
selection.py: the order of equal scores in a top-k, for ``multinomial``.

Every value and every state after a call equals the reference's bits (torch 2.13.0, Linux x86-64,
AVX2 kernels), except the last bit of float64 ``dirichlet``.

Example:
    >>> import numpy as np
    >>> from rushlight.runtime import random as streams
    >>> engine = streams.Engine(0)
    >>> streams.normal(engine, 2, np.dtype("float32"))
    array([ 1.5409961, -0.2934289], dtype=float32)
"""

from __future__ import annotations

from rushlight.runtime.random.binomial import binomial
from rushlight.runtime.random.engine import DEFAULT_SEED, STATE_SIZE, Engine
from rushlight.runtime.random.fma import fma32, fma64
from rushlight.runtime.random.integers import randint, random_, random_default, randperm
from rushlight.runtime.random.normal import log_normal, normal, trunc_normal
from rushlight.runtime.random.sampling import dirichlet, multinomial, poisson, standard_gamma
from rushlight.runtime.random.uniform import (
    bernoulli_scalar,
    bernoulli_tensor,
    cauchy,
    dropout_mask,
    exponential,
    geometric,
    rrelu_slopes,
    uniform,
)

__all__ = [
    "DEFAULT_SEED",
    "STATE_SIZE",
    "Engine",
    "bernoulli_scalar",
    "bernoulli_tensor",
    "binomial",
    "cauchy",
    "dirichlet",
    "dropout_mask",
    "exponential",
    "fma32",
    "fma64",
    "geometric",
    "log_normal",
    "multinomial",
    "normal",
    "poisson",
    "randint",
    "random_",
    "random_default",
    "randperm",
    "rrelu_slopes",
    "standard_gamma",
    "trunc_normal",
    "uniform",
]
