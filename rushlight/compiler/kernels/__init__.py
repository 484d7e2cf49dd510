"""Generators of compiled kernels: each gives LLVM IR as text for a vector type and a tile.

They know nothing of arrays or threads; ``codegen/native.py`` compiles and calls them.
"""

__all__: list[str] = []  # used by its modules' names
