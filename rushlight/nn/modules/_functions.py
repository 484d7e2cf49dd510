"""Autograd functions that modules need: the identity node of module backward hooks.

In: the tensors among a module's inputs or outputs.  Out: the same values as new tensors whose
node can carry hooks.  Loaded only when a backward hook is used.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl

__all__ = ["BackwardHookFunction"]


class BackwardHookFunction(rl.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
    """The identity on several tensors, as one node."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """Return the inputs; those without gradient stay without."""
        ctx.mark_non_differentiable(*[arg for arg in args if not arg.requires_grad])
        return args

    @staticmethod
    def backward(ctx: Any, *args: Any) -> Any:
        """Return the output gradients."""
        return args
