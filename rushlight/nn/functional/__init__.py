"""`torch.nn.functional`: layers as functions of their inputs and parameters.

In: tensors.  Out: tensors.  Functions that are one operator call it at the gate; the others are
compositions, in the files of this package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable as Callable  # these names PyTorch's module has too
from typing import TYPE_CHECKING, Any
from typing import Optional as Optional

from rushlight import Tensor as Tensor
from rushlight.dispatch.autocast import float32_under_autocast
from rushlight.overrides import handle_torch_function as handle_torch_function

from .activation import *
from .attention import _canonical_mask as _canonical_mask
from .attention import _none_or_dtype as _none_or_dtype
from .attention import (
    multi_head_attention_forward,
    scaled_dot_product_attention,
)
from .composite import (
    _get_softmax_dim,
    assert_int_or_pair,
    gumbel_softmax,
    local_response_norm,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    softmin,
    softsign,
    tanhshrink,
)
from .conv import *
from .distance import cosine_similarity, normalize, pairwise_distance, pdist
from .dropout import *
from .grouped import *
from .loss import *
from .margin_loss import (
    cosine_embedding_loss,
    gaussian_nll_loss,
    hinge_embedding_loss,
    kl_div,
    linear_cross_entropy,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    poisson_nll_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from .native import conv_tbc
from .norm import *
from .padding import *
from .pooling import *

# `torch.lstm` and its like; torch.nn.functional does not list them.
from .recurrent import gru as gru
from .recurrent import gru_cell as gru_cell
from .recurrent import lstm as lstm
from .recurrent import lstm_cell as lstm_cell
from .recurrent import rnn_relu as rnn_relu
from .recurrent import rnn_relu_cell as rnn_relu_cell
from .recurrent import rnn_tanh as rnn_tanh
from .recurrent import rnn_tanh_cell as rnn_tanh_cell
from .shuffle import (
    channel_shuffle,
    native_channel_shuffle,
    one_hot,
    pixel_shuffle,
    pixel_unshuffle,
)
from .sparse import *
from .typing_names import *
from .vision import *

DType = int

__all__ = [
    "assert_int_or_pair",
    "channel_shuffle",
    "conv_tbc",
    "cosine_embedding_loss",
    "cosine_similarity",
    "gaussian_nll_loss",
    "gumbel_softmax",
    "hinge_embedding_loss",
    "kl_div",
    "linear_cross_entropy",
    "local_response_norm",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "native_channel_shuffle",
    "normalize",
    "one_hot",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "scaled_dot_product_attention",
    "soft_margin_loss",
    "softmin",
    "softsign",
    "tanhshrink",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

for _file in (
    "activation",
    "conv",
    "dropout",
    "grouped",
    "loss",
    "norm",
    "padding",
    "pooling",
    "sparse",
    "vision",
):
    __all__ += sys.modules[f"{__name__}.{_file}"].__all__
_HELPERS = (_canonical_mask, _none_or_dtype, _get_softmax_dim)


def _name_as_public(names: list[str]) -> None:
    """Functions are pickled (as a layer's activation, say) under this package's name."""
    for name in names:
        function: Any = globals()[name]
        if hasattr(function, "__module__"):
            function.__module__ = __name__


# PyTorch's autocast takes these whole in float32; here they are made of several operators.
for _loss in (
    "cosine_embedding_loss",
    "cross_entropy",
    "hinge_embedding_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "poisson_nll_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
):
    globals()[_loss] = float32_under_autocast(globals()[_loss])

_name_as_public(__all__)

if TYPE_CHECKING:  # tensors and functions of tensors are `Any` at this boundary

    def __getattr__(name: str) -> Any: ...
