"""rushlight: a deep-learning framework in pure Python with PyTorch's API.

``import rushlight as torch`` runs PyTorch code; ``python -m rushlight script.py`` runs a script as
it stands.  Subpackages (nn, optim, utils, vision, ...) are imported when first used.
"""

from __future__ import annotations

import math as _math
from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

from rushlight import dtypes as _dtypes
from rushlight._tensor import api as _api
from rushlight._tensor.formats import FORMATS as _FORMATS
from rushlight._tensor.formats import STRIDED as strided
from rushlight._tensor.formats import layout as layout
from rushlight._tensor.formats import memory_format as memory_format
from rushlight._tensor.modes import enable_grad as enable_grad
from rushlight._tensor.modes import inference_mode as inference_mode
from rushlight._tensor.modes import no_grad as no_grad
from rushlight._tensor.modes import set_grad_enabled as set_grad_enabled
from rushlight._tensor.random import Generator as Generator
from rushlight._tensor.random import default_generator as default_generator
from rushlight.devices import device as device
from rushlight.dispatch.tensor import Tensor as Tensor
from rushlight.dtypes import dtype as dtype
from rushlight.dtypes import finfo as finfo
from rushlight.dtypes import iinfo as iinfo
from rushlight.errors import OutOfMemoryError as OutOfMemoryError
from rushlight.ir.meta import Size as Size
from rushlight.runtime.storage import Storage as UntypedStorage
from rushlight.version import torch_version as __version__

if not TYPE_CHECKING:
    globals().update(_api.FUNCTIONS)
    globals().update({d.name: d for d in _dtypes.ALL.values()})
    globals().update(_dtypes.ALIASES)
    globals().update(_FORMATS)
del TYPE_CHECKING

bool = _dtypes.bool_
pi, e, inf, nan, newaxis = _math.pi, _math.e, _math.inf, _math.nan, None

_SUBMODULES = frozenset(
    (
        "xpu",
        "accelerator",
        "_C",
        "_utils",
        "amp",
        "autograd",
        "backends",
        "cpu",
        "cuda",
        "distributions",
        "fft",
        "func",
        "functional",
        "hub",
        "linalg",
        "mps",
        "multiprocessing",
        "nn",
        "optim",
        "overrides",
        "profiler",
        "random",
        "return_types",
        "serialization",
        "signal",
        "special",
        "storage",
        "testing",
        "types",
        "utils",
        "version",
        "vision",
    )
)
_ELSEWHERE = {  # names that live in modules imported when first used
    **dict.fromkeys(
        (
            "autocast",
            "autocast_decrement_nesting",
            "autocast_increment_nesting",
            "clear_autocast_cache",
            "get_autocast_cpu_dtype",
            "get_autocast_dtype",
            "get_autocast_gpu_dtype",
            "is_autocast_cache_enabled",
            "is_autocast_cpu_enabled",
            "is_autocast_enabled",
            "set_autocast_cache_enabled",
            "set_autocast_cpu_dtype",
            "set_autocast_cpu_enabled",
            "set_autocast_dtype",
            "set_autocast_enabled",
            "set_autocast_gpu_dtype",
        ),
        "amp.autocast_mode",
    ),
    "Event": "streams",
    "Stream": "streams",
    "get_device_module": "streams",
    "to_dlpack": "utils.dlpack",
    "save": "serialization",
    "vmap": "func",
    "load": "serialization",
    "GradScaler": "amp",
    **dict.fromkeys(
        (
            "adaptive_avg_pool1d",
            "avg_pool1d",
            "bilinear",
            "celu",
            "celu_",
            "channel_shuffle",
            "conv1d",
            "conv2d",
            "conv3d",
            "conv_transpose1d",
            "conv_transpose2d",
            "conv_transpose3d",
            "cosine_similarity",
            "gru",
            "gru_cell",
            "hardshrink",
            "lstm",
            "lstm_cell",
            "max_pool1d_with_indices",
            "native_channel_shuffle",
            "pairwise_distance",
            "pdist",
            "pixel_shuffle",
            "pixel_unshuffle",
            "prelu",
            "relu6",
            "rms_norm",
            "rnn_relu",
            "rnn_relu_cell",
            "rnn_tanh",
            "rnn_tanh_cell",
            "selu",
            "selu_",
            "threshold",
            "threshold_",
        ),
        "nn.functional",
    ),
    **dict.fromkeys(
        (
            "adaptive_max_pool1d",
            "affine_grid_generator",
            "alpha_dropout",
            "alpha_dropout_",
            "batch_norm",
            "binary_cross_entropy_with_logits",
            "conv_tbc",
            "cosine_embedding_loss",
            "ctc_loss",
            "dropout",
            "dropout_",
            "embedding",
            "embedding_bag",
            "embedding_renorm_",
            "feature_alpha_dropout",
            "feature_alpha_dropout_",
            "feature_dropout",
            "feature_dropout_",
            "grid_sampler",
            "grid_sampler_2d",
            "grid_sampler_3d",
            "group_norm",
            "hinge_embedding_loss",
            "instance_norm",
            "kl_div",
            "layer_norm",
            "margin_ranking_loss",
            "max_pool1d",
            "max_pool2d",
            "max_pool3d",
            "poisson_nll_loss",
            "rrelu",
            "rrelu_",
            "triplet_margin_loss",
        ),
        "nn.functional.native",
    ),
}


def __getattr__(name: str) -> _Any:
    if name in _SUBMODULES:
        try:
            return _import_module(f"rushlight.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"rushlight.{name}":
                raise
    elif name in _ELSEWHERE:
        value = getattr(_import_module(f"rushlight.{_ELSEWHERE[name]}"), name)
        globals()[name] = value
        return value
    import sys

    from rushlight.missing import missing_attribute

    raise missing_attribute(sys.modules[__name__], name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_ELSEWHERE})


__all__ = sorted(
    [
        *(n for n in _api.FUNCTIONS if not n.startswith("_")),
        *_dtypes.ALL,
        *_dtypes.ALIASES,
        *_FORMATS,
        *_ELSEWHERE,
        "Generator",
        "OutOfMemoryError",
        "Size",
        "Tensor",
        "UntypedStorage",
        "default_generator",
        "device",
        "dtype",
        "e",
        "enable_grad",
        "finfo",
        "iinfo",
        "inf",
        "inference_mode",
        "layout",
        "memory_format",
        "nan",
        "newaxis",
        "no_grad",
        "pi",
        "set_grad_enabled",
        "strided",
    ]
)
