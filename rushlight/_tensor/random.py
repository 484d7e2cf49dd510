"""Random tensors, generators and seeds; the streams are PyTorch's, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight._tensor.api import (
    FUNCTIONS,
    both,
    checked_size,
    device_of,
    dtype_of,
    function,
    method,
    number,
    result_or_out,
    size_of,
)
from rushlight._tensor.numpy_bridge import from_array, values_of
from rushlight.dispatch.gate import call, write
from rushlight.dispatch.tensor import Tensor
from rushlight.naming import PublicType
from rushlight.ops import random as records
from rushlight.ops import sampling
from rushlight.runtime.random import Engine

__all__ = ["Generator", "default_generator"]


class Generator(metaclass=PublicType):
    """A stream of random numbers with a state of its own.

    Args:
        device: the device it draws for; the CPU.

    Example:
        >>> import rushlight as torch
        >>> g = torch.Generator().manual_seed(0)
        >>> torch.rand(2, generator=g)
        tensor([0.4963, 0.7682])
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device_of(device)
        self.engine = Engine()

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream of a seed."""
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        self.engine.seed(int(seed))
        return self

    def seed(self) -> int:
        """Starts a stream that nobody can foresee and returns its seed."""
        return self.engine.seed()

    def initial_seed(self) -> int:
        """The seed with which the stream began."""
        return int(self.engine.initial_seed)

    def get_state(self) -> Tensor:
        """The state as a uint8 tensor of 5056 bytes."""
        return from_array(np.array(self.engine.state_bytes()), dtypes.uint8)

    def set_state(self, new_state: Tensor) -> Generator:
        """Takes up a state from ``get_state``."""
        if not isinstance(new_state, Tensor) or new_state._meta.dtype is not dtypes.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        self.engine.load_state(np.ascontiguousarray(values_of(new_state)).reshape(-1))
        return self

    def clone_state(self) -> Generator:
        """Another generator in the same state."""
        twin = Generator()
        twin.engine = self.engine.clone()
        return twin

    def __reduce__(self) -> Any:
        return Generator, (self.device,), (self.initial_seed(), None, self.get_state())

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.set_state(state[2])


Generator.__module__ = "rushlight"


default_generator = Generator()
default_generator.seed()


def _engine(generator: Any) -> Engine:
    if generator is None:
        return default_generator.engine
    if not isinstance(generator, Generator):
        raise TypeError(
            f"argument 'generator' must be torch.Generator, not {type(generator).__name__}"
        )
    return generator.engine


@function
def manual_seed(seed: Any) -> Generator:
    """Seeds the default generator, as ``torch.manual_seed``."""
    value = int(seed)
    default_generator.engine.seed(value)
    return default_generator


@function
def seed() -> int:
    """Seeds the default generator with a number nobody can foresee and returns it."""
    return default_generator.seed()


@function
def initial_seed() -> int:
    """The default generator's seed."""
    return default_generator.initial_seed()


@function
def get_rng_state() -> Tensor:
    """The default generator's state."""
    return default_generator.get_state()


@function
def set_rng_state(new_state: Tensor) -> None:
    """Sets the default generator's state."""
    default_generator.set_state(new_state)


# In place


def _float(value: Any) -> float:
    return float(number(value))


@method
def uniform_(
    self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Any = None, **named: Any
) -> Tensor:
    """Overwrites the tensor with draws from [from, to)."""
    low = named.pop("from", named.pop("a", from_))
    return write(
        records.uniform, (self,), (_float(low), _float(named.pop("b", to)), _engine(generator))
    )


@method
def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Overwrites the tensor with draws from a normal distribution."""
    return write(records.normal, (self,), (_float(mean), _float(std), _engine(generator)))


@method
def random_(self: Tensor, *bounds: Any, generator: Any = None, **named: Any) -> Tensor:
    """Overwrites with integers: ``random_()``, ``random_(to)``, ``random_(from, to)``."""
    if "to" in named:
        bounds = (*bounds, named["to"]) if "from" not in named else (named["from"], named["to"])
    if not bounds:
        return write(records.random_default, (self,), (_engine(generator),))
    low, high = (0, bounds[0]) if len(bounds) == 1 else bounds
    high = None if high is None else int(number(high))
    return write(records.random_from, (self,), (int(number(low)), high, _engine(generator)))


@method
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Overwrites the tensor with ones of probability ``p`` (a number or a tensor), else zeros."""
    if isinstance(p, Tensor):
        return write(records.bernoulli_with, (self, p), (_engine(generator),))
    return write(records.bernoulli_p, (self,), (_float(p), _engine(generator)))


@method
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Overwrites the tensor with draws from an exponential distribution."""
    return write(records.exponential, (self,), (_float(lambd), _engine(generator)))


@method
def cauchy_(
    self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None
) -> Tensor:
    """Overwrites the tensor with draws from a Cauchy distribution."""
    return write(records.cauchy, (self,), (_float(median), _float(sigma), _engine(generator)))


@method
def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Overwrites the tensor with numbers of trials up to the first success."""
    return write(records.geometric, (self,), (_float(p), _engine(generator)))


@method
def log_normal_(
    self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None
) -> Tensor:
    """Overwrites the tensor with exponentials of normal draws."""
    return write(records.log_normal, (self,), (_float(mean), _float(std), _engine(generator)))


# New tensors


def _blank(size: Any, out: Any, dtype: Any, device: Any) -> Tensor:
    if out is not None:
        return out.resize_(size)  # type: ignore[no-any-return]
    return FUNCTIONS["empty"](checked_size(size), dtype=dtype, device=device)  # type: ignore[no-any-return]


def _drawn(name: str, fill: Any, doc: str) -> None:
    def f(
        *size: Any,
        generator: Any = None,
        out: Tensor | None = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        names: Any = None,
    ) -> Any:
        if dtype is not None and dtype.kind not in "fc":
            raise NotImplementedError(
                f"\"check_uniform_bounds\" not implemented for '{dtype.title}'"
                if name == "rand"
                else f"\"normal_kernel_cpu\" not implemented for '{dtype.title}'"
            )
        made = fill(_blank(size_of(size), out, dtype, device), generator)
        return made.requires_grad_(True) if requires_grad else made

    def like(
        input: Tensor,
        *,
        generator: Any = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
    ) -> Any:
        blank = FUNCTIONS["empty_like"](
            input, dtype=dtype, device=device, memory_format=memory_format
        )
        made = fill(blank, generator)
        return made.requires_grad_(True) if requires_grad else made

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    like.__name__ = like.__qualname__ = name + "_like"
    like.__doc__ = doc + "  Size, dtype and layout are another tensor's."
    function(f)
    function(like)


_drawn("rand", lambda t, g: uniform_(t, 0.0, 1.0, generator=g), "Draws from [0, 1).")
_drawn(
    "randn",
    lambda t, g: normal_(t, 0.0, 1.0, generator=g),
    "Draws from the standard normal distribution.",
)


def _bounds(
    args: tuple[Any, ...], named: dict[str, Any], lead: int
) -> tuple[int, int, tuple[Any, ...]]:
    """(low, high, rest) of ``(high, ...)`` or ``(low, high, ...)``; ``lead`` arguments follow."""
    low, high = named.pop("low", None), named.pop("high", None)
    values = list(args)
    if low is None and high is None:
        low = values.pop(0) if len(values) > lead + 1 else 0
        high = values.pop(0)
    elif high is None:
        high = values.pop(0)
    elif low is None:
        low = values.pop(0) if len(values) > lead else 0
    return int(number(low)), int(number(high)), tuple(values)


@function
def randint(
    *args: Any,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    **named: Any,
) -> Any:
    """Integers from ``low`` (0) up to and without ``high``: ``randint(low, high, size)``."""
    size = named.pop("size", None)
    low, high, rest = _bounds(args, named, 0 if size is not None else 1)
    shape = size_of((size if size is not None else rest[0],))
    kind = dtype_of(dtype, out._meta.dtype if out is not None else dtypes.int64)
    made = _blank(shape, out, kind, device).random_(low, high, generator=generator)
    return made.requires_grad_(True) if requires_grad else made


@function
def randint_like(
    input: Tensor,
    *args: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
    generator: Any = None,
    **named: Any,
) -> Any:
    """Integers like ``randint``; size, dtype and layout are another tensor's."""
    low, high, _ = _bounds(args, named, 0)
    blank = FUNCTIONS["empty_like"](input, dtype=dtype, device=device, memory_format=memory_format)
    made = blank.random_(low, high, generator=generator)
    return made.requires_grad_(True) if requires_grad else made


@function
def randperm(
    n: int,
    *,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """The numbers 0 to n-1 in random order."""
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got{n}")
    kind = dtype_of(dtype, out._meta.dtype if out is not None else dtypes.int64)
    made = call(records.randperm, (), (int(n), kind, device_of(device), _engine(generator)))
    return result_or_out(made, out)


@both
def bernoulli(
    input: Tensor, p: Any = None, *, generator: Any = None, out: Tensor | None = None
) -> Any:
    """Ones with the probability each element states (or ``p``), else zeros."""
    if p is not None:
        made = FUNCTIONS["empty_like"](input).bernoulli_(p, generator=generator)
    else:
        made = call(records.bernoulli, (input,), (_engine(generator),))
    return result_or_out(made, out)


@both
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Any = None,
    out: Tensor | None = None,
) -> Any:
    """Category numbers drawn with the weights of each row."""
    if out is not None and out._meta.dtype.name != "int64":
        raise RuntimeError(f"multinomial expects Long tensor out, got: {out._meta.dtype.title}")
    made = call(
        records.multinomial, (input,), (int(num_samples), bool(replacement), _engine(generator))
    )
    return result_or_out(made, out)


@function
def poisson(input: Tensor, generator: Any = None) -> Any:
    """Counts of Poisson distributions with these rates."""
    return call(records.poisson, (input,), (_engine(generator),))


@function
def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Any:
    """How many of ``count`` trials succeed, each with probability ``prob``; of count's shape."""
    return call(sampling.binomial, (count, prob), (_engine(generator),))


@function
def _standard_gamma(input: Tensor, generator: Any = None) -> Any:
    """Gamma draws of rate 1 with these shapes, differentiable in them."""
    return call(sampling.standard_gamma, (input,), (_engine(generator),))


@function
def _sample_dirichlet(input: Tensor, generator: Any = None) -> Any:
    """Dirichlet draws with these weights along the last dimension, differentiable in them."""
    return call(sampling.sample_dirichlet, (input,), (_engine(generator),))


@function
def _standard_gamma_grad(input: Tensor, output: Tensor) -> Any:
    """The derivative of standard gamma draws to their shapes."""
    return call(sampling.standard_gamma_grad, (input, output), ())


@function
def _dirichlet_grad(x: Tensor, alpha: Tensor, total: Tensor) -> Any:
    """The derivative of beta draws to their first parameter, over 1 - x."""
    return call(sampling.dirichlet_grad, (x, alpha, total), ())


@function
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Normal draws; mean and std are tensors, or numbers with a size."""
    if size is not None:
        made = _blank(size_of((size,)), out, dtype, device).normal_(mean, std, generator=generator)
        return made.requires_grad_(True) if requires_grad else made
    if isinstance(std, Tensor):
        if bool((std < 0).any()):
            raise RuntimeError("normal expects all elements of std >= 0.0")
        shape = FUNCTIONS["broadcast_shapes"](
            mean._meta.shape if isinstance(mean, Tensor) else (), std._meta.shape
        )
        kind = (mean if isinstance(mean, Tensor) else std)._meta.dtype
        blank = FUNCTIONS["empty"](shape, dtype=kind)
        return result_or_out(blank.normal_(0, 1, generator=generator) * std + mean, out)
    if not isinstance(mean, Tensor):
        raise TypeError("normal() needs a tensor for mean or std, or a size")
    return result_or_out(
        FUNCTIONS["empty_like"](mean).normal_(0, std, generator=generator) + mean, out
    )
