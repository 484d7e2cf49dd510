"""The compiler: from recorded calls to kernels."""

__all__ = ["kernels"]
