"""Parameters, buffers and children as attributes that cost no more than plain ones.

In: the three dictionaries of a module.  Out: the attribute protocol of Module: a member that was
looked up once is kept beside the plain attributes, where Python finds it ten times as fast, until
it changes.  Whoever looks at the module's `__dict__` finds the plain attributes only: what is kept
goes at that moment, and this module keeps nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

KINDS = ("_parameters", "_buffers", "_modules")  # in the order in which a name is looked up
_NONE = object()


class _WithDict:
    """Its only use is Python's own descriptor of instance dictionaries."""


_DICT: Any = vars(_WithDict)["__dict__"]
plain_dict = _DICT.__get__  # the dictionary of a module as it is, with what is kept there


class Members(dict[str, Any]):
    """Parameters, buffers or children by name; every change reaches what the module keeps.

    It is pickled and copied as the plain dictionary that PyTorch has.
    """

    __slots__ = ("_owner",)

    def __init__(self, owner: Any, items: Any = ()) -> None:
        super().__init__(items)
        self._owner = owner  # a weak reference; None: the module keeps nothing of this

    def _changes(self, name: str, value: Any = _NONE) -> None:
        """Bring what is kept of `name` to its new value, before that is stored; none: drop it."""
        module = None if self._owner is None else self._owner()
        if module is None:
            return
        own = plain_dict(module)
        kept = own.get(name, _NONE)
        if kept is _NONE:
            return
        if name not in self:  # perhaps kept of another kind, which may come later in the order
            if any(own.get(kind, {}).get(name, _NONE) is kept for kind in KINDS):
                del own[name]
        elif kept is self[name]:
            if value is _NONE:
                del own[name]
            else:
                own[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        self._changes(name, value)
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        self._changes(name)
        super().__delitem__(name)

    def pop(self, name: str, *default: Any) -> Any:
        """Remove a member and return it, or `default`."""
        self._changes(name)
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Any]:
        """Remove the last member and return it with its name."""
        if not self:
            raise KeyError("popitem(): dictionary is empty")
        name = next(reversed(self))
        return name, self.pop(name)

    def clear(self) -> None:
        """Remove every member."""
        for name in list(self):
            del self[name]

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The member of this name, which becomes `default` if there is none."""
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *others: Any, **named: Any) -> None:
        """Take over the members of another dictionary."""
        for name, value in dict(*others, **named).items():
            self[name] = value

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        self.update(other)
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (), None, None, iter(list(self.items()))


def _drop(own: dict[str, Any], members: Members, names: Iterable[str]) -> None:
    for name in names:
        if own.get(name, _NONE) is members[name]:
            del own[name]


def _kept_by(module: Any, own: dict[str, Any]) -> list[Members]:
    """The dictionaries of a module of which it keeps members."""
    found = [own.get(kind) for kind in KINDS]
    return [
        m for m in found if type(m) is Members and m._owner is not None and m._owner() is module
    ]


def plain_attributes(module: Any) -> dict[str, Any]:
    """A copy of the module's dictionary without what is kept there."""
    own = plain_dict(module)
    copied: dict[str, Any] = own.copy()
    for members in _kept_by(module, own):
        _drop(copied, members, members)
    return copied


def keep_nothing(module: Any) -> None:
    """Drop what the module keeps; from now on it keeps nothing."""
    own = plain_dict(module)
    for members in _kept_by(module, own):
        _drop(own, members, members)
        members._owner = None


def _may_keep(cls: Any, name: str) -> bool:
    """Whether a member may be kept: nothing else gives the name, and `__dict__` is watched."""
    if cls.__getattr__ is not MemberAttributes.__getattr__ or hasattr(cls, name):
        return False
    home = next(base for base in cls.__mro__ if "__dict__" in vars(base))
    return home is MemberAttributes


class MemberAttributes(_WithDict):
    """Attribute look-up of Module."""

    def __getattr__(self, name: str) -> Any:
        # Python has made an AttributeError before it comes here: most of the time is spent.
        own = plain_dict(self)
        for kind in KINDS:
            members = own.get(kind)
            if members is not None and name in members:
                value = members[name]
                if type(members) is Members and members._owner is not None:
                    if members._owner() is self and _may_keep(type(self), name):
                        own[name] = value
                return value
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _get_dict(self) -> dict[str, Any]:
        keep_nothing(self)
        own: dict[str, Any] = plain_dict(self)
        return own

    def _set_dict(self, value: dict[str, Any]) -> None:
        keep_nothing(self)
        _DICT.__set__(self, value)

    __dict__ = property(_get_dict, _set_dict)  # type: ignore[assignment]
