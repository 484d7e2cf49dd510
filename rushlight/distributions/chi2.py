"""The chi-squared distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.distributions import constraints
from rushlight.distributions.gamma import Gamma

__all__ = ["Chi2"]


class Chi2(Gamma):
    """The sum of squares of ``df`` standard normal variables.

    Args:
        df: the degrees of freedom, positive; a number or a tensor.
        validate_args: as in ``Distribution``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Chi2(3.0).mean
        tensor(3.)
    """

    arg_constraints: Any = {"df": constraints.positive}
    _per_batch: ClassVar[dict[str, int] | None] = {"concentration": 0, "rate": 0}

    def __init__(self, df: Any, validate_args: Any = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    @property
    def df(self) -> Any:
        """The degrees of freedom."""
        return self.concentration * 2
