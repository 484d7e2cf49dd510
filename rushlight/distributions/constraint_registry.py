"""Transforms from unconstrained numbers into a constraint's region, looked up by its class.

``biject_to`` gives bijections (for Hamiltonian Monte Carlo, say), ``transform_to`` any map that
covers the region (for optimisation).  In: a constraint; out: a ``Transform``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.distributions import constraints, transforms
from rushlight.distributions.utils import is_number

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """A table from classes of constraints to factories of transforms.

    Example:
        >>> import rushlight as torch
        >>> positive = torch.distributions.constraints.positive
        >>> torch.distributions.transform_to(positive)(torch.zeros(2))
        tensor([1., 1.])
    """

    def __init__(self) -> None:
        self._registry: dict[Any, Callable[[Any], Any]] = {}
        super().__init__()

    def register(self, constraint: Any, factory: Any = None) -> Any:
        """Sets the factory of a class of constraints; usable as a decorator.

        Args:
            constraint: a subclass of Constraint, or one of its instances.
            factory: takes a constraint, returns a transform.

        Raises:
            TypeError: no constraint.
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        if isinstance(constraint, constraints.Constraint):
            constraint = type(constraint)
        if not isinstance(constraint, type) or not issubclass(constraint, constraints.Constraint):
            raise TypeError(
                "Expected constraint to be either a Constraint subclass or instance, "
                f"but got {constraint}"
            )
        self._registry[constraint] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        """The transform into a constraint's region.

        Raises:
            NotImplementedError: no factory is registered for it.
        """
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()
_REGISTRIES = (biject_to, transform_to)


def _shifted_exp(bound: Any, direction: int) -> Any:
    """exp, put upward or downward onto a bound."""
    return transforms.ComposeTransform(
        [transforms.ExpTransform(), transforms.AffineTransform(bound, direction)]
    )


def _into_interval(constraint: Any) -> Any:
    low, high = constraint.lower_bound, constraint.upper_bound
    if is_number(low) and low == 0 and is_number(high) and high == 1:
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform(
        [transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)]
    )


def _nested(registry: ConstraintRegistry) -> None:
    """Constraints made of others take the transforms that the same registry gives for those."""
    registry.register(
        constraints.independent,
        lambda c: transforms.IndependentTransform(
            registry(c.base_constraint), c.reinterpreted_batch_ndims
        ),
    )
    registry.register(
        constraints.cat,
        lambda c: transforms.CatTransform([registry(part) for part in c.cseq], c.dim, c.lengths),
    )
    registry.register(
        constraints.stack,
        lambda c: transforms.StackTransform([registry(part) for part in c.cseq], c.dim),
    )


for _registry in _REGISTRIES:
    _nested(_registry)
    _registry.register(constraints.real, lambda c: transforms.identity_transform)
    for _constraint in (constraints.positive, constraints.nonnegative):
        _registry.register(_constraint, lambda c: transforms.ExpTransform())
    # the classes of `positive` and `nonnegative`, whose bound may be any
    for _half_line in (constraints.greater_than, constraints.greater_than_eq):
        _registry.register(_half_line, lambda c: _shifted_exp(c.lower_bound, 1))
    _registry.register(constraints.less_than, lambda c: _shifted_exp(c.upper_bound, -1))
    for _class in (constraints.interval, constraints.half_open_interval):
        _registry.register(_class, _into_interval)
    _registry.register(constraints.corr_cholesky, lambda c: transforms.CorrCholeskyTransform())

biject_to.register(constraints.simplex, lambda c: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: transforms.SoftmaxTransform())
transform_to.register(constraints.lower_cholesky, lambda c: transforms.LowerCholeskyTransform())
for _matrices in (constraints.positive_definite, constraints.positive_semidefinite):
    transform_to.register(_matrices, lambda c: transforms.PositiveDefiniteTransform())
