"""Handles of registered hooks: what `register_hook` and its kin return.

In: the dictionary that holds the hooks.  Out: a handle whose `remove()` takes the hook away.  Users
know the class as `torch.utils.hooks.RemovableHandle`.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rushlight.naming import PublicType

__all__ = ["RemovableHandle", "hooked"]


class RemovableHandle(metaclass=PublicType):
    """What registering a hook returns: `remove()` takes the hook away again.

    Usable as a context manager, which removes the hook on exit.  Handles hold their dictionaries
    weakly, so they keep no module alive.

    Args:
        hooks_dict: the dictionary that holds the hook, keyed by this handle's `id`.
        extra_dict: one dictionary or a list of them, whose entry under `id` goes at the same time.

    Example:
        >>> from collections import OrderedDict
        >>> hooks = OrderedDict()
        >>> handle = RemovableHandle(hooks)
        >>> hooks[handle.id] = print
        >>> handle.remove()
        >>> len(hooks)
        0
    """

    id: int
    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref: Callable[[], Any] = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extras = [] if extra_dict is None else extra_dict
        if isinstance(extras, dict):
            extras = [extras]
        self.extra_dict_ref: tuple[Callable[[], Any], ...] = tuple(weakref.ref(d) for d in extras)

    def remove(self) -> None:
        """Unregister the hook; a second call does nothing."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = ref()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self) -> tuple[Any, ...]:
        return (self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # A dictionary that did not survive pickling becomes a dead reference: remove() is a no-op.
        self.hooks_dict_ref = weakref.ref(OrderedDict() if state[0] is None else state[0])
        self.id = state[1]
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)
        extras = state[2] if len(state) > 2 and state[2] is not None else ()
        self.extra_dict_ref = tuple(
            weakref.ref(OrderedDict() if extra is None else extra) for extra in extras
        )

    def __repr__(self) -> str:
        return f"<torch.utils.hooks.RemovableHandle object at {id(self):#x}>"

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


RemovableHandle.__module__ = "rushlight.utils.hooks"


def hooked(table: OrderedDict[int, Any], hook: Callable[..., Any]) -> RemovableHandle:
    """Puts a hook into a table and returns its handle."""
    handle = RemovableHandle(table)
    table[handle.id] = hook
    return handle
