"""AdaptiveLogSoftmaxWithLoss: softmax over very many classes, by their frequency.

In: vectors and class indices sorted by frequency.  Out: log-probabilities of the targets, and
their mean loss.  Source: Grave et al., "Efficient softmax approximation for GPUs", 2016.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import rushlight as rl
from rushlight.nn import functional as F

from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """A head for frequent classes and clusters, and a smaller layer for each cluster of rare ones.

    Args:
        in_features: size of the input vectors.
        n_classes: how many classes.
        cutoffs: where clusters begin; increasing, between 1 and n_classes - 1.
        div_value: by what the size shrinks from cluster to cluster. Default: 4.
        head_bias: whether the head has a bias. Default: `False`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        input (N, in_features) or (in_features), target (N) or (); output (N) or (), and a loss.

    Raises:
        ValueError: cutoffs that do not increase or lie outside.
        RuntimeError: shapes that do not fit, or targets outside [0, n_classes - 1].

    Example:
        >>> import rushlight as rl
        >>> layer = rl.nn.AdaptiveLogSoftmaxWithLoss(16, 100, [10, 50])
        >>> layer(rl.randn(4, 16), rl.tensor([1, 20, 60, 99])).output.shape
        torch.Size([4])
    """

    in_features: int
    n_classes: int
    cutoffs: list[int]
    div_value: float
    head_bias: bool

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            cutoffs != sorted(set(cutoffs))
            or cutoffs[0] <= 0
            or cutoffs[-1] > n_classes - 1
            or any(int(c) != c for c in cutoffs)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive "
                "integers sorted in an increasing order, where "
                "each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **factory)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // (div_value ** (i + 1)))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            first = Linear(in_features, hidden, bias=False, **factory)
            self.tail.append(Sequential(first, Linear(hidden, size, bias=False, **factory)))

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def _check(self, input: Any, target: Any) -> None:
        if target.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if target.dim() == 1 and input.size(0) != target.size(0):
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        if input.dim() != target.dim() + 1:
            raise RuntimeError(
                f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, "
                f"but found inputs with size {input.size()}"
            )

    def forward(self, input_: Any, target_: Any) -> Any:
        """The log-probability of each target, and the mean loss, as `(output, loss)`."""
        self._check(input_, target_)
        is_batched = target_.dim() > 0
        input = input_ if is_batched else input_.unsqueeze(0)
        target = target_ if is_batched else target_.unsqueeze(0)
        count = target.size(0)
        output = input.new_zeros(count)
        column = target.new_empty(count)  # the target's column of the head
        used = 0
        low = 0
        for i, high in enumerate(self.cutoffs):
            mask = (target >= low) & (target < high)
            rows = mask.nonzero().squeeze(1)
            used += rows.numel()
            if rows.numel() and i == 0:
                column[rows] = target[mask]
            elif rows.numel():
                scores = self.tail[i - 1](input.index_select(0, rows))
                local = F.log_softmax(scores, dim=1).gather(1, (target[mask] - low).unsqueeze(1))
                column[rows] = self.shortlist_size + i - 1
                output[rows] = local.squeeze(1)
            low = high
        if used != count:
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min().item()}, {target.max().item()}] were found. "
            )
        head = F.log_softmax(self.head(input), dim=1)
        output = output + head.gather(1, column.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output if is_batched else output.squeeze(0), loss)

    def _get_full_log_prob(self, input: Any, head_output: Any) -> Any:
        """Log-probabilities of all classes, from the head's output."""
        head = F.log_softmax(head_output, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            inside = F.log_softmax(cluster(input), dim=1)
            parts.append(inside + head[:, self.shortlist_size + i].unsqueeze(1))
        return rl.cat(parts, 1)

    def log_prob(self, input: Any) -> Any:
        """Log-probabilities of all classes: (N, n_classes) for input (N, in_features)."""
        return self._get_full_log_prob(input, self.head(input))

    def predict(self, input: Any) -> Any:
        """The most probable class of each row of (N, in_features)."""
        head_output = self.head(input)
        best = rl.argmax(head_output, dim=1)
        rare = best >= self.shortlist_size
        if not rare.any():
            return best
        if rare.all():
            return rl.argmax(self._get_full_log_prob(input, head_output), dim=1)
        log_prob = self._get_full_log_prob(input[rare], head_output[rare])
        best[rare] = rl.argmax(log_prob, dim=1)
        return best
