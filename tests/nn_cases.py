"""The table of module cases that the nn tests run: class, arguments, inputs.

An input is `f(*shape)` (normal floats), `p(*shape)` (floats in (0, 1)) or `i(high, *shape)`
(integers below `high`); arguments that are tensors are given the same way.
"""

from __future__ import annotations

import numpy as np


class Spec:
    """An array to be drawn: its kind, shape and, for integers, bound."""

    def __init__(self, kind, shape, high=None):
        self.kind, self.shape, self.high = kind, shape, high

    def array(self, rng):
        if self.kind == "f":
            return rng.standard_normal(self.shape).astype(np.float32)
        if self.kind == "p":
            return rng.uniform(0.05, 0.95, self.shape).astype(np.float32)
        if self.kind == "s":
            return (rng.integers(0, 2, self.shape) * 2 - 1).astype(np.float32)
        return rng.integers(0, self.high, self.shape).astype(np.int64)


def f(*shape):
    return Spec("f", shape)


def p(*shape):
    return Spec("p", shape)


def s(*shape):
    return Spec("s", shape)


def i(high, *shape):
    return Spec("i", shape, high)


X = f(3, 4, 6)
# name, positional arguments, keyword arguments, inputs
CASES = [
    ("Identity", (), {}, [X]),
    ("Linear", (5, 3), {}, [f(4, 5)]),
    ("Linear", (5, 3), {"bias": False}, [f(2, 4, 5)]),
    ("Bilinear", (4, 5, 3), {}, [f(6, 4), f(6, 5)]),
    ("LazyLinear", (3,), {}, [f(4, 5)]),
    ("Conv1d", (3, 4, 3), {"stride": 2, "padding": 1}, [f(2, 3, 9)]),
    ("Conv1d", (3, 4, 3), {"padding": "same", "padding_mode": "circular"}, [f(2, 3, 9)]),
    ("Conv2d", (3, 6, 5), {}, [f(2, 3, 9, 9)]),
    ("Conv2d", (3, 6, 3), {"padding": 1, "padding_mode": "reflect"}, [f(2, 3, 6, 6)]),
    ("Conv2d", (4, 6, (3, 2)), {"groups": 2, "dilation": 2, "bias": False}, [f(2, 4, 9, 9)]),
    ("Conv2d", (3, 6, 4), {"padding": "same"}, [f(2, 3, 6, 6)]),
    ("Conv3d", (2, 3, 2), {}, [f(1, 2, 4, 4, 4)]),
    ("ConvTranspose1d", (3, 4, 3), {"stride": 2}, [f(2, 3, 5)]),
    ("ConvTranspose2d", (3, 4, 3), {"stride": 2, "output_padding": 1}, [f(2, 3, 5, 5)]),
    ("ConvTranspose3d", (2, 4, 2), {"groups": 2}, [f(1, 2, 3, 3, 3)]),
    ("LazyConv1d", (4, 3), {}, [f(2, 3, 9)]),
    ("LazyConv2d", (4, 3), {"groups": 1}, [f(2, 3, 9, 9)]),
    ("LazyConv3d", (4, 3), {}, [f(2, 3, 4, 4, 4)]),
    ("LazyConvTranspose1d", (4, 3), {}, [f(2, 3, 5)]),
    ("LazyConvTranspose2d", (4, 3), {}, [f(2, 3, 5, 5)]),
    ("LazyConvTranspose3d", (4, 3), {}, [f(2, 3, 3, 3, 3)]),
    ("Threshold", (0.1, 20.0), {}, [X]),
    ("ReLU", (), {}, [X]),
    ("ReLU", (), {"inplace": True}, []),
    ("RReLU", (), {}, []),
    ("Hardtanh", (-0.5, 0.5), {}, [X]),
    ("ReLU6", (), {}, [X]),
    ("Sigmoid", (), {}, [X]),
    ("Hardsigmoid", (), {}, [X]),
    ("Tanh", (), {}, [X]),
    ("SiLU", (), {}, [X]),
    ("Mish", (), {}, [X]),
    ("Hardswish", (), {}, [X]),
    ("ELU", (), {}, [X]),
    ("CELU", (1.5,), {}, [X]),
    ("SELU", (), {}, [X]),
    ("GLU", (1,), {}, [X]),
    ("GELU", (), {}, [X]),
    ("GELU", ("tanh",), {}, [X]),
    ("Hardshrink", (), {}, [X]),
    ("LeakyReLU", (0.2,), {}, [X]),
    ("LogSigmoid", (), {}, [X]),
    ("Softplus", (), {}, [X]),
    ("Softshrink", (), {}, [X]),
    ("PReLU", (), {}, [X]),
    ("PReLU", (4, 0.1), {}, [X]),
    ("Softsign", (), {}, [X]),
    ("Tanhshrink", (), {}, [X]),
    ("Softmin", (1,), {}, [X]),
    ("Softmax", (), {"dim": -1}, [X]),
    ("Softmax2d", (), {}, [X]),
    ("LogSoftmax", (1,), {}, [X]),
    ("MultiheadAttention", (8, 2), {}, [f(5, 3, 8), f(6, 3, 8), f(6, 3, 8)]),
    (
        "MultiheadAttention",
        (8, 2),
        {"kdim": 4, "vdim": 6, "add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
        [f(3, 5, 8), f(3, 7, 4), f(3, 7, 6)],
    ),
    ("MultiheadAttention", (8, 4), {"bias": False}, [f(5, 8), f(5, 8), f(5, 8)]),
    ("AdaptiveLogSoftmaxWithLoss", (8, 20, [4, 10]), {}, [f(6, 8), i(20, 6)]),
    ("BatchNorm1d", (4,), {}, [X]),
    ("BatchNorm1d", (4,), {"affine": False, "momentum": None}, [f(5, 4)]),
    ("BatchNorm2d", (3,), {"bias": False}, [f(2, 3, 4, 4)]),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, [f(2, 3, 4, 4)]),
    ("BatchNorm3d", (3,), {}, [f(2, 3, 2, 4, 4)]),
    ("LazyBatchNorm1d", (), {}, [X]),
    ("LazyBatchNorm2d", (), {}, [f(2, 3, 4, 4)]),
    ("LazyBatchNorm3d", (), {}, [f(2, 3, 2, 4, 4)]),
    ("SyncBatchNorm", (4,), {}, [X]),
    ("InstanceNorm1d", (4,), {}, [X]),
    ("InstanceNorm2d", (3,), {"affine": True}, [f(3, 4, 4)]),
    ("InstanceNorm3d", (3,), {"track_running_stats": True}, [f(2, 3, 2, 4, 4)]),
    ("LazyInstanceNorm1d", (), {}, [X]),
    ("LazyInstanceNorm2d", (), {}, [f(2, 3, 4, 4)]),
    ("LazyInstanceNorm3d", (), {}, [f(2, 3, 2, 4, 4)]),
    ("LayerNorm", (6,), {}, [X]),
    ("LayerNorm", ([4, 6],), {"bias": False}, [X]),
    ("LayerNorm", (6,), {"elementwise_affine": False}, [X]),
    ("GroupNorm", (2, 4), {}, [X]),
    ("GroupNorm", (2, 4), {"affine": False}, [X]),
    ("RMSNorm", (6,), {}, [X]),
    ("LocalResponseNorm", (2,), {}, [X]),
    ("LocalResponseNorm", (3,), {"alpha": 0.1}, [f(2, 5, 3, 4)]),
    ("CrossMapLRN2d", (3,), {"alpha": 0.1}, [f(2, 5, 3, 4)]),
    ("Dropout", (0.3,), {}, [X]),
    ("Dropout1d", (0.3,), {}, [X]),
    ("Dropout2d", (0.3,), {}, [f(2, 3, 4, 4)]),
    ("Dropout3d", (0.3,), {}, [f(2, 3, 2, 4, 4)]),
    ("AlphaDropout", (0.3,), {}, [X]),
    ("FeatureAlphaDropout", (0.3,), {}, [X]),
    ("Flatten", (), {}, [X]),
    ("Flatten", (0, 1), {}, [X]),
    ("Unflatten", (1, (2, 2)), {}, [X]),
    ("Fold", ((4, 5), (2, 2)), {}, [f(1, 12, 12)]),
    ("Unfold", ((2, 3),), {"padding": 1}, [f(2, 5, 3, 4)]),
    ("PixelShuffle", (2,), {}, [f(1, 8, 3, 3)]),
    ("PixelUnshuffle", (2,), {}, [f(1, 2, 4, 6)]),
    ("ChannelShuffle", (2,), {}, [X]),
    ("MaxPool1d", (2,), {}, [X]),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, [f(2, 3, 7, 7)]),
    ("MaxPool2d", (2,), {"return_indices": True}, [f(2, 3, 6, 6)]),
    ("MaxPool3d", (2,), {"dilation": 2}, [f(1, 2, 5, 5, 5)]),
    ("MaxUnpool1d", (2,), {}, []),
    ("MaxUnpool2d", (2,), {"stride": 2}, []),
    ("MaxUnpool3d", (2,), {}, []),
    ("AvgPool1d", (2,), {}, [X]),
    ("AvgPool2d", (3,), {"padding": 1, "count_include_pad": False}, [f(2, 3, 7, 7)]),
    ("AvgPool2d", (2,), {"divisor_override": 3}, [f(2, 3, 7, 7)]),
    ("AvgPool3d", (2,), {}, [f(1, 2, 5, 5, 5)]),
    ("FractionalMaxPool2d", (2,), {"output_size": 3}, []),
    ("FractionalMaxPool3d", (2,), {"output_ratio": 0.5}, []),
    ("LPPool1d", (2, 3), {}, [X]),
    ("LPPool2d", (1.5, 2), {"stride": 1}, [p(2, 3, 6, 6)]),
    ("LPPool3d", (2, 2), {}, [f(1, 2, 4, 4, 4)]),
    ("AdaptiveMaxPool1d", (3,), {}, [X]),
    ("AdaptiveMaxPool2d", ((3, None),), {}, [f(2, 3, 7, 5)]),
    ("AdaptiveMaxPool3d", (2,), {}, [f(1, 2, 5, 5, 5)]),
    ("AdaptiveAvgPool1d", (4,), {}, [X]),
    ("AdaptiveAvgPool2d", ((3, None),), {}, [f(2, 3, 7, 5)]),
    ("AdaptiveAvgPool3d", (2,), {}, [f(1, 2, 5, 5, 5)]),
    ("CircularPad1d", (1,), {}, [X]),
    ("CircularPad2d", ((1, 0, 2, 1),), {}, [X]),
    ("CircularPad3d", (1,), {}, [f(1, 2, 3, 3, 3)]),
    ("ConstantPad1d", (2, 3.5), {}, [X]),
    ("ConstantPad2d", ((1, -1, 2, 0), 1.0), {}, [X]),
    ("ConstantPad3d", (1, 0.5), {}, [f(1, 2, 3, 3, 3)]),
    ("ReflectionPad1d", (2,), {}, [X]),
    ("ReflectionPad2d", (1,), {}, [X]),
    ("ReflectionPad3d", (1,), {}, [f(1, 2, 3, 3, 3)]),
    ("ReplicationPad1d", (2,), {}, [X]),
    ("ReplicationPad2d", (1,), {}, [X]),
    ("ReplicationPad3d", (1,), {}, [f(1, 2, 3, 3, 3)]),
    ("ZeroPad1d", (2,), {}, [X]),
    ("ZeroPad2d", (1,), {}, [X]),
    ("ZeroPad3d", (1,), {}, [f(1, 2, 3, 3, 3)]),
    ("Embedding", (10, 4), {}, [i(10, 3, 5)]),
    ("Embedding", (10, 4), {"padding_idx": -2, "scale_grad_by_freq": True}, [i(10, 3, 5)]),
    ("EmbeddingBag", (10, 4), {}, [i(10, 3, 5)]),
    ("EmbeddingBag", (10, 4), {"mode": "sum", "padding_idx": 1}, [i(10, 3, 5)]),
    ("Upsample", (), {"scale_factor": 2}, [f(1, 2, 3, 3)]),
    ("Upsample", ((5, 7),), {"mode": "bilinear"}, [f(1, 2, 3, 3)]),
    ("UpsamplingNearest2d", (), {"scale_factor": 2}, [f(1, 2, 3, 3)]),
    ("UpsamplingBilinear2d", (), {"size": 5}, [f(1, 2, 3, 3)]),
    ("PairwiseDistance", (), {}, [f(4, 5), f(4, 5)]),
    ("PairwiseDistance", (1.0,), {"keepdim": True}, [f(4, 5), f(4, 5)]),
    ("CosineSimilarity", (), {}, [f(4, 5), f(4, 5)]),
    ("CosineSimilarity", (-1,), {}, [f(2, 4, 5), f(4, 5)]),
    ("RNN", (4, 5), {}, [f(6, 3, 4)]),
    (
        "RNN",
        (4, 5, 2),
        {"nonlinearity": "relu", "bidirectional": True, "batch_first": True},
        [f(3, 6, 4)],
    ),
    ("LSTM", (4, 5), {}, [f(6, 3, 4)]),
    ("LSTM", (4, 5, 2), {"bidirectional": True, "proj_size": 3}, [f(6, 3, 4)]),
    ("LSTM", (4, 5, 2), {"bias": False, "batch_first": True}, [f(6, 4)]),
    ("GRU", (4, 5, 2), {"bidirectional": True}, [f(6, 3, 4)]),
    ("RNNBase", ("GRU", 4, 5), {}, []),
    ("RNNCellBase", (4, 5, True, 3), {}, []),
    ("RNNCell", (4, 5), {}, [f(3, 4), f(3, 5)]),
    ("RNNCell", (4, 5), {"nonlinearity": "relu", "bias": False}, [f(4)]),
    ("LSTMCell", (4, 5), {}, [f(3, 4)]),
    ("GRUCell", (4, 5), {}, [f(3, 4), f(3, 5)]),
    ("Transformer", (8, 2, 1, 1, 16, 0.0), {}, [f(5, 3, 8), f(4, 3, 8)]),
    (
        "TransformerEncoderLayer",
        (8, 2, 16, 0.0, "gelu"),
        {"batch_first": True, "norm_first": True},
        [f(3, 5, 8)],
    ),
    ("TransformerDecoderLayer", (8, 2, 16, 0.0), {}, [f(5, 3, 8), f(4, 3, 8)]),
    ("L1Loss", (), {}, [f(3, 4), f(3, 4)]),
    ("MSELoss", (), {"reduction": "sum"}, [f(3, 4), f(3, 4)]),
    ("NLLLoss", (), {}, [f(3, 4), i(4, 3)]),
    ("NLLLoss", (), {"weight": p(4), "ignore_index": 1}, [f(3, 4), i(4, 3)]),
    ("PoissonNLLLoss", (), {"full": True}, [f(3, 4), i(5, 3, 4)]),
    ("PoissonNLLLoss", (), {"log_input": False, "reduction": "none"}, [p(3, 4), p(3, 4)]),
    ("GaussianNLLLoss", (), {"full": True}, [f(3, 4), f(3, 4), p(3, 4)]),
    ("KLDivLoss", (), {"reduction": "batchmean"}, [f(3, 4), p(3, 4)]),
    ("KLDivLoss", (), {"reduction": "sum", "log_target": True}, [f(3, 4), f(3, 4)]),
    ("BCELoss", (), {}, [p(3, 4), p(3, 4)]),
    ("BCEWithLogitsLoss", (), {"pos_weight": p(4)}, [f(3, 4), p(3, 4)]),
    ("HingeEmbeddingLoss", (0.5,), {}, [f(3, 4), s(3, 4)]),
    ("MultiLabelMarginLoss", (), {}, []),
    ("SmoothL1Loss", (), {"beta": 0.5}, [f(3, 4), f(3, 4)]),
    ("HuberLoss", (), {"delta": 0.5}, [f(3, 4), f(3, 4)]),
    ("SoftMarginLoss", (), {}, [f(3, 4), s(3, 4)]),
    ("CrossEntropyLoss", (), {}, [f(3, 4), i(4, 3)]),
    (
        "CrossEntropyLoss",
        (),
        {"weight": p(4), "label_smoothing": 0.1, "reduction": "none"},
        [f(3, 4, 5), i(4, 3, 5)],
    ),
    ("LinearCrossEntropyLoss", (5, 4), {"bias": True}, [f(3, 5), i(4, 3)]),
    ("MultiLabelSoftMarginLoss", (), {"weight": p(4)}, [f(3, 4), p(3, 4)]),
    ("CosineEmbeddingLoss", (0.1,), {}, [f(3, 4), f(3, 4), s(3)]),
    ("MarginRankingLoss", (0.1,), {}, [f(3), f(3), s(3)]),
    ("MultiMarginLoss", (), {}, [f(3, 4), i(4, 3)]),
    ("MultiMarginLoss", (2,), {"weight": p(4), "reduction": "none"}, [f(3, 4), i(4, 3)]),
    ("TripletMarginLoss", (), {"swap": True}, [f(3, 4), f(3, 4), f(3, 4)]),
    ("TripletMarginWithDistanceLoss", (), {}, [f(3, 4), f(3, 4), f(3, 4)]),
    ("CTCLoss", (), {}, []),
]
