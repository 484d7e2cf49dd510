"""Samples for the records of neural networks: windows, normalisation, losses, tables, grids.

A sample is (inputs, attrs), as `rushlight/ir/samples.py` says.
"""

from __future__ import annotations

import numpy as np

SQUARE = ((2, 2), (2, 2), (0, 0))  # kernel, stride, padding
ONES = (1, 1)


def _distinct_places(make, planes, room, count):
    return np.stack([make.one_of_each(room)[:count] for _ in range(planes)])


def _conv(make):
    how = ((1, 1), (1, 1), (1, 1), 1)
    yield (make(2, 3, 5, 4), make(4, 3, 3, 3), make(4)), how
    yield (make(2, 4, 6, 5), make(6, 2, 3, 2), None), ((2, 1), (1, 0), (1, 2), 2)
    yield (make(1, 3, 4, 4), make(3, 1, 2, 2), None), ((1, 1), (0, 0), (1, 1), 3)
    yield (make(2, 2, 5), make(3, 2, 1), make(3)), ((1,), (0,), (1,), 1)
    yield (make(1, 1, 3, 3, 3), make(2, 1, 2, 2, 2), None), ((1, 1, 1), (0,) * 3, (1, 1, 1), 1)


def _conv_input(make):
    how = ((1, 1), (1, 1), (1, 1), 1)
    yield (make(2, 4, 5, 4), make(4, 3, 3, 3), make(3)), ((5, 4), *how)
    yield (make(2, 6, 2, 3), make(6, 2, 3, 2), None), ((6, 5), (2, 1), (0, 0), (1, 2), 2)
    yield (make(1, 3, 3, 3), make(3, 1, 2, 2), None), ((4, 4), (1, 1), (0, 0), (1, 1), 3)


def _conv_weight(make):
    how = ((1, 1), (1, 1), (1, 1), 1)
    yield (make(2, 4, 5, 4), make(2, 3, 5, 4)), ((3, 3), *how)
    yield (make(2, 4, 5, 4), make(2, 8, 5, 4)), ((3, 3), *how)
    yield (make(2, 6, 2, 3), make(2, 4, 6, 5)), ((3, 2), (2, 1), (0, 0), (1, 2), 2)
    yield (make(1, 3, 3, 3), make(1, 3, 4, 4)), ((2, 2), (1, 1), (0, 0), (1, 1), 3)


def _max_pool(make):
    yield (make(2, 3, 4, 6),), (*SQUARE, ONES, False)
    yield (make(1, 2, 5, 5),), ((3, 3), (2, 2), (1, 1), ONES, True)
    yield (make(1, 2, 7),), ((2,), (1,), (0,), (2,), False)
    yield (make(1, 1, 4, 4, 4),), ((2,) * 3, (2,) * 3, (0,) * 3, (1,) * 3, False)


def _avg_pool(make):
    yield (make(2, 3, 4, 6),), (*SQUARE, False, True, None)
    yield (make(1, 2, 5, 5),), ((3, 3), (2, 2), (1, 1), True, False, None)
    yield (make(1, 2, 5),), ((3,), (2,), (1,), False, True, 2)


def _resample(make):
    yield (make(1, 2, 5),), ((8,), "linear", False, None, False)
    yield (make(1, 2, 5, 4),), ((3, 6), "linear", True, None, False)
    yield (make(1, 1, 5, 6),), ((7, 4), "cubic", False, (1.5, 0.7), False)
    yield (make(1, 1, 9, 6),), ((4, 4), "cubic", False, None, True)
    yield (make(1, 1, 9, 6),), ((4, 8), "lanczos", False, None, True)
    yield (make(2, 1, 5, 6),), ((7, 4), "nearest", False, None, False)
    yield (make(2, 1, 5, 6),), ((7, 4), "nearest-exact", False, None, False)


def _resample_spread(make):
    yield (make(1, 2, 8),), ((5,), (8,), "linear", False, None, False)
    yield (make(1, 1, 4, 4),), ((9, 6), (4, 4), "cubic", False, None, True)
    yield (make(2, 1, 7, 4),), ((5, 6), (7, 4), "nearest", False, None, False)


def _grid_sample(make):
    def grid(*shape):
        return make(*shape, low=-0.9, high=0.9)

    yield (make(2, 2, 5, 4), grid(2, 3, 2, 2)), ("bilinear", "zeros", False)
    yield (make(1, 2, 5, 4), make(1, 3, 3, 2, low=-1.4, high=1.4)), ("bilinear", "border", True)
    yield (make(1, 1, 5, 4), grid(1, 3, 3, 2)), ("bicubic", "reflection", False)
    yield (make(1, 1, 3, 4, 3), grid(1, 2, 2, 2, 3)), ("bilinear", "zeros", True)


def _grid_sample_backward(make):
    for (x, grid), how in _grid_sample(make):
        yield (make(*x.shape[:2], *grid.shape[1:-1]), x, grid), how


def _grid_sample_double_backward(make):
    for (g, x, grid), how in _grid_sample_backward(make):
        yield (make(*x.shape), make(*grid.shape), g, x, grid), how


def _logits(make):
    yield (make(3, 4), make(3, 4, low=0, high=1), None, None), ("mean",)
    yield (make(3, 4), make(3, 4, low=0, high=1), make(4, low=0.5, high=2), make(4)), ("none",)


def _bce(make):
    def part(*shape):
        return make(*shape, low=0.05, high=0.95)

    yield (part(3, 4), part(3, 4), None), ("mean",)
    yield (part(3, 4), part(3, 4), None), ("sum",)


def _nll(make):
    yield (make(4, 3), make.integers(3, 4), None), ("mean", -100)
    yield (make(2, 3, 2), make.integers(3, 2, 2), make(3, low=0.5, high=2)), ("none", 1)


def _batch_norm(make):
    up = make(3, low=0.5, high=2)
    yield (make(4, 3), up, make(3), None, None), (True, 1e-5)
    yield (make(2, 3, 2, 2), None, None, None, None), (True, 1e-5)


def _bags(make):
    index, bag = np.array([0, 2, 4, 4, 1]), np.array([0, 0, 2, 2, 2])
    yield (make(5, 3), index, bag, None), (3, "mean", -1, False)
    yield (make(5, 3), index, bag, make(5)), (3, "sum", 4, False)
    yield (make(5, 3), index, bag, None), (3, "max", -1, False)


NN_SAMPLES = {
    "gelu_backward": lambda make: [((make(3, 4), make(3, 4)), (a,)) for a in ("none", "tanh")],
    "softmax_backward": lambda make: [((make(2, 3), make(2, 3)), (d,)) for d in (0, -1)],
    "log_softmax_backward": lambda make: [((make(2, 3), make(2, 3)), (d,)) for d in (0, -1)],
    "glu": lambda make: [((make(3, 4),), (1,)), ((make(4, 3),), (0,))],
    "conv": _conv,
    "conv_input": _conv_input,
    "conv_weight": _conv_weight,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "avg_spread": lambda make: [
        ((make(2, 3, 2, 3),), ((2, 3, 4, 6), *SQUARE, True, None, False)),
        ((make(1, 2, 3, 3),), ((1, 2, 5, 5), (3, 3), (2, 2), (1, 1), False, None, False)),
    ],
    "adaptive_avg_pool": lambda make: [
        ((make(2, 3, 5, 4),), ((3, 2),)),
        ((make(1, 2, 5),), ((3,),)),
    ],
    "adaptive_avg_spread": lambda make: [((make(2, 3, 3, 2),), ((2, 3, 5, 4),))],
    "adaptive_max_pool": lambda make: [((make(2, 3, 5, 4),), ((3, 2),))],
    "fractional_max_pool": lambda make: [
        ((make(2, 2, 6, 7), make(2, 2, 2, low=0.1, high=0.9)), ((2, 2), (3, 4)))
    ],
    "im2col": lambda make: [((make(2, 3, 4, 5),), ((2, 2), (1, 2), (1, 0), (1, 1)))],
    "col2im": lambda make: [((make(2, 8, 9),), ((4, 4), (2, 2), (1, 1), (0, 0), (1, 1)))],
    "constant_pad": lambda make: [((make(3, 4),), ((1, -1, 2, 0), 1.5))],
    "max_unpool": lambda make: [
        ((make(1, 2, 2, 2), _distinct_places(make, 2, 9, 4).reshape(1, 2, 2, 2)), ((3, 3),))
    ],
    "plane_scatter": lambda make: [
        ((make(1, 2, 2, 2), make.integers(9, 1, 2, 2, 2)), ((1, 2, 3, 3), False)),
        ((make(1, 2, 4), _distinct_places(make, 2, 9, 4)[None]), ((1, 2, 9), True)),
    ],
    "plane_gather": lambda make: [((make(1, 2, 3, 3), make.integers(9, 1, 2, 2, 2)), ())],
    "resample": _resample,
    "resample_spread": _resample_spread,
    "grid_sample": _grid_sample,
    "grid_sample_backward": _grid_sample_backward,
    "grid_sample_double_backward": _grid_sample_double_backward,
    "embedding_spread": lambda make: [
        ((make(4, 3), np.array([0, 2, 2, 1])), (5, -1, False)),
        ((make(2, 2, 3), np.array([[0, 2], [2, 1]])), (5, 1, True)),
        ((make(200, 2), make.integers(2, 200)), (3, -1, False)),
    ],
    "embedding_bag": _bags,
    "mse_loss": lambda make: [((make(3, 4), make(3, 4)), (r,)) for r in ("mean", "sum", "none")],
    "smooth_l1_loss": lambda make: [((make(3, 4), make(4)), ("mean", 0.7))],
    "huber_loss": lambda make: [((make(3, 4), make(3, 4)), ("sum", 0.7))],
    "binary_cross_entropy": _bce,
    "binary_cross_entropy_with_logits": _logits,
    "nll_loss": _nll,
    "batch_norm": _batch_norm,
    "batch_norm_backward": lambda make: [
        (
            (make(2, 3, 4), make(2, 3, 4), make(3), make(3), make(3, low=0.5, high=2)),
            (training,),
        )
        for training in (True, False)
    ],
    "layer_norm_backward": lambda make: [
        ((make(2, 3), make(2, 3), make(3), make(2, 1), make(2, 1, low=0.5, high=2)), ((3,),))
    ],
    "ctc_gradient": lambda make: [
        (
            (
                make(1),
                make(3, 1, 3, low=-3, high=-0.5),
                np.array([[1, 2]]),
                make(1),
                make(1, 3, 5, low=-5, high=-1),
            ),
            ((3,), (2,), 0, False),
        )
    ],
}
