"""The base of all distributions: shapes, validation, expansion, and the methods they may have.

In: parameters as tensors or numbers.  Out: samples and log-densities as tensors, whose shape is
``sample_shape + batch_shape + event_shape``.  Source of the shape conventions: Dillon et al.,
"TensorFlow Distributions" (2017).
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.utils import SCALAR, lazy_property
from rushlight.naming import PublicType

__all__ = ["Distribution"]


class Distribution(metaclass=PublicType):
    """A probability distribution over tensors.

    Args:
        batch_shape: shape of the parameters that stand side by side.
        event_shape: shape of one value.
        validate_args: whether parameters and values are checked; by default they are.

    Raises:
        ValueError: parameters outside of ``arg_constraints``.

    Example:
        >>> import rushlight as torch
        >>> d = torch.distributions.Normal(torch.zeros(3), 1.0)
        >>> d.batch_shape, d.event_shape
        (torch.Size([3]), torch.Size([]))
    """

    has_rsample: Any = False
    has_enumerate_support: Any = False
    _validate_args: Any = __debug__

    # What `expand` expands: attribute -> how many of its last dimensions belong to one value.  The
    # class that states it is the one whose __init__ a subclass must not change unseen.
    _per_batch: ClassVar[dict[str, int] | None] = None
    _kept: ClassVar[tuple[str, ...]] = ()  # attributes that `expand` hands on as they are

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions made from now on check their arguments."""
        if value not in [True, False]:
            raise ValueError
        Distribution._validate_args = value

    def __init__(
        self, batch_shape: Any = SCALAR, event_shape: Any = SCALAR, validate_args: Any = None
    ) -> None:
        self._batch_shape = batch_shape
        self._event_shape = event_shape
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._validate_parameters()
        super().__init__()

    def _validate_parameters(self) -> None:
        try:
            table = self.arg_constraints
        except NotImplementedError:
            table = {}
            warnings.warn(
                f"{self.__class__} does not define `arg_constraints`. "
                "Please set `arg_constraints = {}` or initialize the distribution "
                "with `validate_args=False` to turn off validation.",
                stacklevel=4,
            )
        for name, constraint in table.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(
                getattr(type(self), name, None), lazy_property
            ):
                continue  # follows from a parameter that was given
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} "
                    f"({type(value).__name__} of shape {tuple(value.shape)}) "
                    f"of distribution {self!r} "
                    f"to satisfy the constraint {constraint!r}, "
                    f"but found invalid values:\n{value}"
                )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution with parameters expanded to a larger batch shape.

        Args:
            batch_shape: the new batch shape.
            _instance: an instance to fill, given by subclasses with an __init__ of their own.

        Raises:
            NotImplementedError: a subclass with its own __init__ and no ``expand``.
        """
        owner = next((c for c in type(self).__mro__ if vars(c).get("_per_batch") is not None), None)
        if owner is None:
            raise NotImplementedError
        new = self._get_checked_instance(owner, _instance)
        batch_shape = rl.Size(batch_shape)
        for name, event_dims in owner._per_batch.items():  # type: ignore[attr-defined]
            value = self.__dict__.get(name)
            if value is not None:
                tail = value.shape[value.dim() - event_dims :]
                new.__dict__[name] = value.expand(batch_shape + tail)
        for name in owner._kept:  # type: ignore[attr-defined]
            new.__dict__[name] = self.__dict__[name]
        return self._finish_expand(new, batch_shape)

    def _finish_expand(self, new: Any, batch_shape: Any, event_shape: Any = None) -> Any:
        """Sets shapes and validation of an expanded copy, without checking it again."""
        event_shape = self._event_shape if event_shape is None else event_shape
        Distribution.__init__(new, batch_shape, event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _get_checked_instance(self, cls: Any, _instance: Any = None) -> Any:
        if _instance is None and type(self).__init__ != cls.__init__:
            raise NotImplementedError(
                f"Subclass {self.__class__.__name__} of {cls.__name__} that defines a custom "
                "__init__ method must also define a custom .expand() method."
            )
        return self.__new__(type(self)) if _instance is None else _instance

    @property
    def batch_shape(self) -> Any:
        """The shape over which parameters stand side by side."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """The shape of one value."""
        return self._event_shape

    @property
    def arg_constraints(self) -> dict[str, Any]:
        """What each parameter must satisfy."""
        raise NotImplementedError

    @property
    def support(self) -> Any:
        """The region of possible values."""
        raise NotImplementedError

    @property
    def mean(self) -> Any:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Any:
        """The most likely value."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Any:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Any:
        """The square root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        """Draws, without a gradient.

        Args:
            sample_shape: shape of independent draws put before the batch shape.

        Returns:
            A tensor of shape ``sample_shape + batch_shape + event_shape``.
        """
        with rl.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        """Draws that are differentiable functions of the parameters."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Any:
        """n draws; deprecated, ``sample((n,))`` is the same."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.",
            FutureWarning,
            stacklevel=2,
        )
        return self.sample(rl.Size((n,)))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density or of the probability at a value."""
        raise NotImplementedError

    def cdf(self, value: Any) -> Any:
        """The probability of results up to a value."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Any:
        """The inverse of ``cdf``: the quantile of a probability."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values of a discrete distribution, along a new first dimension.

        Args:
            expand: whether they are expanded over the batch shape.
        """
        raise NotImplementedError

    def entropy(self) -> Any:
        """The entropy in nats, of the batch shape."""
        raise NotImplementedError

    def perplexity(self) -> Any:
        """The exponential of the entropy."""
        return rl.exp(self.entropy())

    def _extended_shape(self, sample_shape: Any = SCALAR) -> Any:
        return rl.Size((*rl.Size(sample_shape), *self._batch_shape, *self._event_shape))

    def _enumerated(self, values: Any, expand: bool) -> Any:
        """Scalar values along a new first dimension, expanded over the batch or not."""
        values = values.view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values

    def _validate_sample(self, value: Any) -> None:
        """Raises ValueError where a value's shape or range does not fit."""
        if not isinstance(value, rl.Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        actual = value.size()
        if actual[len(actual) - len(self._event_shape) :] != self._event_shape:
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{actual} vs {self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(actual), reversed(expected), strict=False):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{actual} vs {expected}."
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `support` to enable "
                "sample validation. Please initialize the distribution with "
                "`validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        if support is None:
            raise AssertionError("support is unexpectedly None")
        if not support.check(value).all():
            raise ValueError(
                "Expected value argument "
                f"({type(value).__name__} of shape {tuple(value.shape)}) "
                f"to be within the support ({support!r}) "
                f"of the distribution {self!r}, "
                f"but found invalid values:\n{value}"
            )

    def _checked(self, value: Any) -> Any:
        """The value, validated if this distribution validates."""
        if self._validate_args:
            self._validate_sample(value)
        return value

    def __repr__(self) -> str:
        given = {k: self.__dict__[k] for k in self.arg_constraints if k in self.__dict__}
        shown = ", ".join(
            f"{name}: {value if value.numel() == 1 else value.size()}"
            for name, value in given.items()
        )
        return f"{self.__class__.__name__}({shown})"
