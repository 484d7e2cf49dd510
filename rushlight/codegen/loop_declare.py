"""Declarations for LLVM IR text: what it calls, found by reading it."""

from __future__ import annotations

import re

from rushlight.codegen import c_library, vecmath

__all__ = ["declarations"]

_NAMES = re.compile(r"call (void|\w+|<\d+ x \w+>) @([\w.]+)\(([^\n]*)\)\n")
_TYPES = re.compile(r"(?:^|, )(<\d+ x \w+>|ptr|i\d+|float|double)(?= )")


def declarations(text: str) -> str:
    """What a module with this text must declare."""
    found: dict[str, str] = {}
    for result, name, operands in _NAMES.findall(text):
        if name not in found:
            kinds = _operand_types(operands)
            if not name.startswith("llvm."):
                c_library.announce(name)
            found[name] = f"declare {result} @{name}({', '.join(kinds)})\n"
    head = "".join(found.values())
    if "@rl_quarter_turns" in text:
        head += vecmath.table_text()
    return head


def _operand_types(operands: str) -> list[str]:
    """The types in a list of operands, whose values may hold lists themselves."""
    plain = re.sub(r" <(?:float|double|i\d+) [^>]*>| splat \([^)]*\)", " number", operands)
    return _TYPES.findall(plain)
