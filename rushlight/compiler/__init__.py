"""The compiler: from recorded calls to kernels."""

__all__: list[str] = []  # used by its modules' names
