"""Code generation: LLVM IR as text, compiled for the host's CPU."""

__all__ = ["NATIVE", "NATIVE_LARGE", "NATIVE_PRODUCTS"]

# Operators for which `native.find` may have a compiled kernel.
NATIVE = frozenset(
    ("conv", "conv_input", "conv_weight", "max_pool", "plane_scatter")
    + ("batch_norm", "batch_norm_backward")
)
# Those that have one for large tensors (`runtime/cpu.py: WORTH_COMPILED`).
NATIVE_LARGE = frozenset(
    ("cos", "elu", "erf", "exp", "exp2", "expm1", "gelu", "layer_norm", "log", "log1p", "log2")
    + ("log_sigmoid", "log_softmax", "mish", "sigmoid", "silu", "sin", "softmax", "softplus")
    + ("tanh",)
)
# Those that have one for large products (`runtime/cpu.py: WORTH_PRODUCT`).
NATIVE_PRODUCTS = frozenset(
    ("addbmm", "addmm", "addmv", "baddbmm", "bmm", "dot", "linear", "mm", "mv", "vdot")
)
