"""The von Mises distribution of angles.

Source: Best and Fisher, "Efficient simulation of the von Mises distribution" (1979).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import SCALAR, broadcast_all, lazy_property

__all__ = ["VonMises"]


class VonMises(Distribution):
    """A distribution of angles about a mean direction.

    Args:
        loc: the mean direction in radians, a number or a tensor; any real number.
        concentration: how close to it the angles are, positive.
        validate_args: as in ``Distribution``.

    Example:
        >>> import rushlight as torch
        >>> d = torch.distributions.VonMises(torch.tensor(0.0), torch.tensor(1.0))
        >>> torch.isclose(d.log_prob(torch.tensor(2 * torch.pi)), d.log_prob(torch.tensor(0.0)))
        tensor(True)
    """

    arg_constraints: Any = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    _per_batch: ClassVar[dict[str, int] | None] = {"loc": 0, "concentration": 0}

    def __init__(self, loc: Any, concentration: Any, validate_args: Any = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, SCALAR, validate_args)

    @property
    def mean(self) -> Any:
        """The mean direction."""
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        """The circular variance: 1 minus the mean resultant length."""
        kappa = self.concentration
        return 1 - rl.special.i1e(kappa) / rl.special.i0e(kappa)

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        kappa = self.concentration
        log_bessel = kappa + rl.special.i0e(kappa).log()
        return kappa * rl.cos(value - self.loc) - math.log(2 * math.pi) - log_bessel

    @lazy_property
    def _proposal(self) -> Any:
        """The parameter r of the wrapped Cauchy proposal, in float64."""
        kappa = self.concentration.double()
        tau = 1 + (1 + 4 * kappa**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        return rl.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        """Draws by rejection, in float64: float32 may never accept at small concentrations."""
        with rl.no_grad():
            r, kappa, loc = self._proposal, self.concentration.double(), self.loc.double()
            angle = rl.zeros(self._extended_shape(sample_shape), dtype=rl.float64)
            done = rl.zeros(angle.shape, dtype=rl.bool)
            while not done.all():
                u1, u2, u3 = rl.rand((3, *angle.shape), dtype=rl.float64).unbind()
                z = rl.cos(math.pi * u1)
                f = (1 + r * z) / (r + z)
                c = kappa * (r - f)
                accept = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
                angle = rl.where(accept, (u3 - 0.5).sign() * f.acos(), angle)
                done = done | accept
            wrapped = (angle + math.pi + loc) % (2 * math.pi) - math.pi
            return wrapped.to(self.loc.dtype)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        try:
            return super().expand(batch_shape, _instance)
        except NotImplementedError:  # a subclass with the same parameters
            return type(self)(
                self.loc.expand(batch_shape),
                self.concentration.expand(batch_shape),
                validate_args=self.__dict__.get("_validate_args"),
            )
