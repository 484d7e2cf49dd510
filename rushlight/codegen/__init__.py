"""Code generation: LLVM IR as text, compiled for the host's CPU."""

__all__ = ["NATIVE", "engine", "threads"]

# Operators for which `native.find` may have a compiled kernel.
NATIVE = frozenset(("conv", "conv_input", "conv_weight", "max_pool", "plane_scatter"))
