"""Autograd functions of modules: the identity that backward hooks hang on, and CrossMapLRN2d.

In: the tensors among a module's inputs or outputs, or an image batch.  Out: the same values as new
tensors whose node can carry hooks, or the normalised batch.  Loaded only when used.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl

__all__ = ["BackwardHookFunction", "CrossMapLRN2d"]


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


class CrossMapLRN2d(rl.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
    """Local response normalisation with the windows that PyTorch took over from Torch7."""

    @staticmethod
    def forward(ctx: Any, input: Any, size: int, alpha: float, beta: float, k: float) -> Any:
        """input / (k + alpha / size * sum of squares in the window) ^ beta, for (N, C, H, W)."""
        if input.dim() != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead.")
        # A running sum: channel c adds square c + reach - 1, and from c = reach + 1 on takes
        # square c - reach away, so that square 0 is never taken away.
        channels = input.size(1)
        reach = int((size - 1) / 2 + 1)
        square = input.pow(2)
        total = rl.cat([rl.zeros_like(square[:, :1]), square.cumsum(1)], 1)  # (N, C + 1, H, W)
        places = rl.arange(channels, device=input.device)
        upper = total.index_select(1, (places + reach).clamp(max=channels))
        lower = total.index_select(1, (places - reach + 1).clamp(min=1)) - square[:, :1]
        scale = (upper - lower) * (alpha / size) + k
        output = input * scale.pow(-beta)
        ctx.save_for_backward(input, output, scale)
        ctx.settings = size, alpha, beta
        return output

    @staticmethod
    def backward(ctx: Any, grad_output: Any) -> Any:
        """g scale^-beta - (2 alpha beta / size) input * (sum of g output / scale in the window)

        The window of the sum is `size` channels from c - before on, which is not the transpose of
        the forward's: PyTorch computes it so.
        """
        input, output, scale = ctx.saved_tensors
        size, alpha, beta = ctx.settings
        before = int(size - (size - 1) / 2)
        ratio = grad_output * output / scale
        batch, channels, *image = ratio.shape
        padded = ratio.new_zeros((batch, channels + size - 1, *image))
        padded[:, before : before + channels] = ratio
        total = rl.cat([rl.zeros_like(padded[:, :1]), padded.cumsum(1)], 1)
        summed = total[:, size:] - total[:, :channels]
        grad = grad_output * scale.pow(-beta) - (2 * alpha * beta / size) * input * summed
        return grad, None, None, None, None
