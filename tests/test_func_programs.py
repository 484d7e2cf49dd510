"""Random programs with views and in-place writes inside transforms.

Per-operator tests miss what goes wrong between operators, so: a program inside ``vmap`` gives what
a loop gives, its gradient is the same with ``grad`` inside and around ``vmap``, and forward and
reverse derivatives agree.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

import rushlight as rl
from rushlight.func import grad, hessian, jacfwd, jacrev, vmap

STEPS = (
    "shift scale_rows columns row transposed sine reverse pick join where cumsum product roll "
    "accumulate exp sort diagonal"
).split()


def program(seed):
    """A function of a 3 x 3 matrix; writes go through views of what it works on."""
    rng = random.Random(seed)
    steps = [(rng.choice(STEPS), rng.randrange(3), rng.randrange(3)) for _ in range(8)]

    def run(x):
        a = x.clone()
        views = [a]
        for name, i, j in steps:
            before = a
            if name == "shift":
                a.add_(0.3)
            elif name == "scale_rows":
                views.append(a[i : i + 1])
                views[-1].mul_(1.1)
            elif name == "columns":
                views.append(a[:, i:])
            elif name == "row":
                a[i] = a[j] * 2
            elif name == "transposed":
                views.append(a.t())
            elif name == "sine":
                views[j % len(views)].sin_()
            elif name == "reverse":
                a.copy_(a.flip(0))
            elif name == "pick":
                a = a + a[rl.tensor([i, j, 0])]
            elif name == "join":
                a = rl.cat([a, a], 0)[i : i + 3]
            elif name == "where":
                a = rl.where(a > 0.1 * i, a, a * 0.5)
            elif name == "cumsum":
                a = a.cumsum(i % 2) * 0.5
            elif name == "product":
                a = (a @ a.t()).tanh()
            elif name == "roll":
                a = a.reshape(-1).roll(j).view(3, 3)
            elif name == "accumulate":
                at = (rl.tensor([i]), rl.tensor([j]))
                a.index_put_(at, a[j, i].reshape(1), accumulate=True)
            elif name == "exp":
                a = (a * 0.3).exp()
            elif name == "sort":
                a = a.sort(i % 2)[0]
            else:
                a.diagonal().fill_(0.2)
            if a is not before:
                views = [a]
        return a

    return run


@pytest.mark.parametrize("first", range(0, 80, 8))
def test_programs(first):
    for seed in range(first, first + 8):
        f = program(seed)
        x = rl.tensor(np.random.default_rng(seed).standard_normal((2, 3, 3)))

        def loss(a, f=f):
            return f(a).cos().sum()

        def batch_loss(x, f=f):
            return vmap(f)(x).cos().sum()

        try:
            want = rl.stack([f(row) for row in x])
            slope = rl.stack([grad(loss)(row) for row in x])
        except RuntimeError:
            continue  # a write that spoils what a gradient reads is refused, as it should be
        np.testing.assert_allclose(vmap(f)(x), want, atol=1e-9)
        np.testing.assert_allclose(vmap(grad(loss))(x), slope, atol=1e-8)
        np.testing.assert_allclose(grad(batch_loss)(x), slope, atol=1e-8)
        if seed % 4 == 0:
            np.testing.assert_allclose(jacfwd(f)(x[0]), jacrev(f)(x[0]), atol=1e-8)
            curved = vmap(jacrev(grad(loss)))(x)
            np.testing.assert_allclose(vmap(hessian(loss))(x), curved, atol=1e-7)
