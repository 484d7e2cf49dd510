"""L-BFGS (Nocedal & Wright, Numerical Optimization, algorithms 7.4, 3.5 and 3.6).

In: a closure that evaluates loss and gradients.  Out: parameters changed in place, several inner
iterations a step.  The state is global and filed under the first parameter, and every number is
computed as PyTorch does (`torch.optim.lbfgs`), in the parameters' dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import rushlight as rl
from rushlight.optim.optimizer import Optimizer, ParamsT, check_lr, number, scalar

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = ["LBFGS"]


class Point(NamedTuple):
    """A point on the search line: step length, loss, gradient, slope along the line."""

    t: Any
    f: float
    g: Any
    slope: Any


def cubic_minimum(a: Point, b: Point, bounds: tuple[Any, Any] | None = None) -> Any:
    """The minimum of the cubic through two points with slopes, kept within `bounds`."""
    x1, f1, _, g1 = a
    x2, f2, _, g2 = b
    low, high = bounds if bounds is not None else ((x1, x2) if x1 <= x2 else (x2, x1))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1**2 - g1 * g2
    if not square >= 0:
        return (low + high) / 2.0
    d2 = square.sqrt()
    if x1 <= x2:
        best = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        best = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(best, low), high)


class StrongWolfe:
    """A line search for the strong Wolfe conditions: bracket a good step, then zoom in.

    Args:
        evaluate: gives the `Point` at a step length.
        start: the point at step length 0.
        d_norm: the largest magnitude in the direction.
        max_evaluations: how many inner steps the search may take.
    """

    C1, C2 = 1e-4, 0.9  # sufficient decrease and curvature

    def __init__(
        self,
        evaluate: Callable[[Any], Point],
        start: Point,
        d_norm: Any,
        max_evaluations: int,
        tolerance_change: float = 1e-9,
    ) -> None:
        self.evaluate = evaluate
        self.start = start
        self.d_norm = d_norm
        self.limit = max_evaluations
        self.tolerance_change = tolerance_change
        self.iterations = 0

    def too_high(self, point: Point) -> bool:
        return bool(point.f > (self.start.f + self.C1 * point.t * self.start.slope))

    def flat(self, point: Point) -> bool:
        return bool(abs(point.slope) <= -self.C2 * self.start.slope)

    def search(self, t: Any) -> tuple[Point, int]:
        """The accepted point and the number of evaluations, starting from step length `t`."""
        bracket, done = self.bracket(self.evaluate(t))
        point = bracket[0] if done else self.zoom(bracket)
        return point, self.iterations + 1

    def bracket(self, new: Point) -> tuple[list[Point], bool]:
        """Two points around a good step, or one that is good."""
        previous = self.start
        while self.iterations < self.limit:
            if self.too_high(new) or (self.iterations > 1 and new.f >= previous.f):
                return [previous, new], False
            if self.flat(new):
                return [new], True
            if new.slope >= 0:
                return [previous, new], False
            bounds = (new.t + 0.01 * (new.t - previous.t), new.t * 10)
            t = cubic_minimum(previous, new, bounds)
            previous = new
            new = self.evaluate(t)
            self.iterations += 1
        return [self.start, new], False

    def zoom(self, bracket: list[Point]) -> Point:
        """The best point, narrowing the bracket until the conditions hold."""
        stuck = False
        low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
        while self.iterations < self.limit:
            if abs(bracket[1].t - bracket[0].t) * self.d_norm < self.tolerance_change:
                break
            t, stuck = self.trial(bracket, stuck)
            new = self.evaluate(t)
            self.iterations += 1
            if self.too_high(new) or new.f >= bracket[low].f:
                bracket[high] = new
                low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
                continue
            done = self.flat(new)
            if not done and new.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = new
            if done:
                break
        return bracket[low]

    @staticmethod
    def trial(bracket: list[Point], stuck: bool) -> tuple[Any, bool]:
        """The next step length, kept off the ends of the bracket if the last one was near one."""
        t = cubic_minimum(bracket[0], bracket[1])
        left = min(bracket[0].t, bracket[1].t)
        right = max(bracket[0].t, bracket[1].t)
        margin = 0.1 * (right - left)
        if not min(right - t, t - left) < margin:
            return t, False
        if stuck or t >= right or t <= left:
            return (right - margin if abs(t - right) < abs(t - left) else left + margin), False
        return t, True


class LBFGS(Optimizer):
    """Limited-memory BFGS; `step` needs a closure and evaluates it several times.

    Args:
        params: tensors; parameter groups are not supported.
        lr: learning rate, a number or a one-element tensor (default 1).
        max_iter: inner iterations a step (default 20).
        max_eval: evaluations a step (default `max_iter * 5 // 4`).
        tolerance_grad: stop where no gradient exceeds this (default 1e-7).
        tolerance_change: stop where loss or parameters change less (default 1e-9).
        history_size: how many updates the inverse Hessian remembers (default 100).
        line_search_fn: "strong_wolfe" or None, a fixed step (default None).

    Raises:
        ValueError: more than one parameter group, or a negative `lr`.

    Source: Nocedal, Wright, Numerical Optimization, 2nd edition, 2006.

    Example:
        >>> import rushlight as rl
        >>> x = rl.nn.Parameter(rl.tensor([3.0]))
        >>> optimizer = rl.optim.LBFGS([x], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = ((x - 1) ** 2).sum()
        ...     loss.backward()
        ...     return loss
        >>> loss = optimizer.step(closure)
        >>> bool(abs(x - 1) < 1e-4)
        True
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    # --- parameters as one long vector ---

    def _flat_grad(self) -> Any:
        views = []
        for param in self._params:
            grad = rl.zeros_like(param) if param.grad is None else param.grad
            if grad.dtype.is_complex:
                grad = rl.view_as_real(grad)
            views.append(grad.reshape(-1))
        return rl.cat(views, 0)

    def _move(self, length: Any, direction: Tensor) -> None:
        """Add `length * direction` to the parameters."""
        offset, length = 0, number(length)
        for param in self._params:
            target = rl.view_as_real(param) if param.dtype.is_complex else param
            count = target.numel()
            target.add_(direction[offset : offset + count].view_as(target), alpha=length)
            offset += count

    def _line(self, closure: Callable[[], Any], d: Tensor) -> Callable[[Any], Point]:
        """The function that evaluates the closure along `d` and leaves the parameters alone."""
        start = [param.clone(memory_format=rl.contiguous_format) for param in self._params]

        def evaluate(t: Any) -> Point:
            self._move(t, d)
            loss = float(closure())
            grad = self._flat_grad()
            for param, value in zip(self._params, start, strict=True):
                param.copy_(value)
            return Point(t, loss, grad, grad.dot(d))

        return evaluate

    # --- the direction ---

    @staticmethod
    def _remember(state: dict[str, Any], grad: Tensor, history_size: int) -> None:
        """Add the last change of gradient and parameters to the inverse Hessian's memory."""
        y = grad.sub(state["prev_flat_grad"])
        s = state["d"].mul(state["t"])
        ys = y.dot(s)
        if ys > 1e-10:
            if len(state["old_dirs"]) == history_size:
                for name in ("old_dirs", "old_stps", "ro"):
                    state[name].pop(0)
            state["old_dirs"].append(y)
            state["old_stps"].append(s)
            state["ro"].append(1.0 / ys)
            state["H_diag"] = ys / y.dot(y)

    @staticmethod
    def _direction(state: dict[str, Any], grad: Tensor, history_size: int) -> Any:
        """The inverse Hessian times the negative gradient, by the two-loop recursion."""
        changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        alpha = state.setdefault("al", [None] * history_size)
        q = grad.neg()
        for i in range(len(changes) - 1, -1, -1):
            alpha[i] = steps[i].dot(q) * ro[i]
            q.add_(changes[i], alpha=-number(alpha[i]))
        r = rl.mul(q, state["H_diag"])
        for i in range(len(changes)):
            beta = changes[i].dot(r) * ro[i]
            r.add_(steps[i], alpha=number(alpha[i] - beta))
        return r

    def _next_direction(self, state: dict[str, Any], grad: Tensor, loss: float) -> None:
        """Set the direction of the next inner iteration, and remember where it starts."""
        history_size = self.param_groups[0]["history_size"]
        if state["n_iter"] == 1:
            state["d"] = grad.neg()
            state["old_dirs"], state["old_stps"], state["ro"] = [], [], []
            state["H_diag"] = 1
        else:
            self._remember(state, grad, history_size)
            state["d"] = self._direction(state, grad, history_size)
        if state.get("prev_flat_grad") is None:
            state["prev_flat_grad"] = grad.clone(memory_format=rl.contiguous_format)
        else:
            state["prev_flat_grad"].copy_(grad)
        state["prev_loss"] = loss

    # --- the step ---

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Take up to `max_iter` inner iterations.

        Args:
            closure: evaluates the model again, calls `backward()` and returns the loss.

        Returns:
            the loss of the first evaluation.
        """
        with rl.no_grad():
            return self._step(rl.enable_grad()(closure))

    def _step(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        grad = self._flat_grad()
        optimal = grad.abs().max() <= group["tolerance_grad"]
        if optimal:
            return first_loss
        lr = scalar(group["lr"])
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            self._next_direction(state, grad, loss)
            d = state["d"]
            t = min(1.0, 1.0 / grad.abs().sum()) * lr if state["n_iter"] == 1 else lr
            state["t"] = t
            slope = grad.dot(d)
            if slope > -group["tolerance_change"]:
                break
            used = 0
            last = iteration == group["max_iter"]
            if group["line_search_fn"] is not None:
                search = StrongWolfe(
                    self._line(closure, d),
                    Point(0, loss, grad, slope),
                    d.abs().max(),
                    group["max_eval"] - evaluations,
                )
                point, used = search.search(t)
                t, loss, grad = point.t, point.f, point.g
                state["t"] = t
                self._move(t, d)
            else:
                self._move(t, d)
                if not last:  # the next step evaluates anyway
                    loss = float(closure())
                    grad = self._flat_grad()
                    used = 1
            if used:
                optimal = grad.abs().max() <= group["tolerance_grad"]
            evaluations += used
            state["func_evals"] += used
            if (
                last
                or evaluations >= group["max_eval"]
                or optimal
                or d.mul(t).abs().max() <= group["tolerance_change"]
                or abs(loss - state["prev_loss"]) < group["tolerance_change"]
            ):
                break
        return first_loss
