"""Code generation: LLVM IR as text, compiled for the host's CPU."""

__all__ = ["engine", "threads"]
