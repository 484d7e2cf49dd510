"""Which module of rushlight answers to which module name of PyTorch and torchvision.

In: a module name such as ``torch.nn.functional``. Out: ``rushlight.nn.functional``, or None for
what rushlight keeps for itself. The rule is the same path below ``rushlight`` (below
``rushlight.vision`` for torchvision); the tables hold what differs.
"""

from __future__ import annotations

__all__ = ["HIDDEN", "ROOTS", "SPECIAL", "target"]

ROOTS = {"torch": "rushlight", "torchvision": "rushlight.vision"}

# PyTorch's path -> rushlight's, where they differ; what lies below follows.
SPECIAL = {
    "torch.torch_version": "rushlight.version",
    "torch.cuda.amp": "rushlight.amp.cuda",
}

# rushlight's own parts, which PyTorch has no module for (or another one of that name).
HIDDEN = frozenset(
    "torch." + name
    for name in (
        "alias",
        "cli",
        "codegen",
        "compiler",
        "config",
        "devices",
        "dispatch",
        "dtypes",
        "errors",
        "ir",
        "missing",
        "ops",
        "runtime",
        "tensorboard",
        "vision",
        "__main__",
    )
)


def target(name: str) -> str | None:
    """The module of rushlight that stands for a PyTorch module name.

    Example:
        >>> target("torchvision.transforms.v2"), target("torch.torch_version")
        ('rushlight.vision.transforms.v2', 'rushlight.version')
        >>> target("torch.vision") is None
        True
    """
    root = name.partition(".")[0]
    if root not in ROOTS:
        return None
    prefix = name
    while prefix:
        if prefix in HIDDEN:
            return None
        if prefix in SPECIAL:
            return SPECIAL[prefix] + name[len(prefix) :]
        prefix = prefix.rpartition(".")[0]
    return ROOTS[root] + name[len(root) :]
