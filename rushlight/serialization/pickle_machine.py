"""A pickle reader that does nothing unless it is told that it may.

In: a binary stream holding a pickle of protocol 0 to 5, and a policy. Out: the object. Python's own
unpickler looks up and calls whatever the stream names; this one hands every lookup, call,
construction and state assignment to the policy, which refuses by default. Containers, strings and
numbers need no policy. Damage of any kind raises FileFormatError.

Source: the opcode table of Python's standard library module pickletools.
"""

from __future__ import annotations

import pickle
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, NoReturn

from rushlight.errors import DamagedPickleError, RefusedPickleError

__all__ = ["Machine", "Policy"]

_CHUNK = 1 << 20  # a length that the stream claims is believed a megabyte at a time
_KEY_DEPTH = 200  # hashing a tuple recurses in C, unchecked: deeper keys would end the process
_DICTS = (dict, OrderedDict, Counter, defaultdict)


class Policy:
    """What a pickle may reach. This one allows nothing; subclasses open single doors.

    A lookup returns the object itself; whether it may then be called, instantiated or filled with
    state is asked again, each time, by identity.
    """

    def find(self, module: str, name: str) -> Any:
        """The object that a GLOBAL opcode names."""
        raise RefusedPickleError(f"the global {module}.{name} is not allowed here")

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        """The result of a REDUCE opcode."""
        raise RefusedPickleError(f"calling {_label(function)} is not allowed here")

    def new(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A bare instance, for NEWOBJ."""
        raise RefusedPickleError(f"creating an instance of {_label(cls)} is not allowed here")

    def build(self, instance: Any, state: Any) -> Any:
        """Puts state into an instance, for BUILD; returns the instance or what replaces it."""
        raise RefusedPickleError(f"setting the state of {_label(type(instance))} is not allowed")

    def persistent(self, key: Any) -> Any:
        """The outside object that a persistent id names."""
        raise RefusedPickleError("unsupported persistent id encountered")


def _label(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    if callable(value) and not isinstance(value, type):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    return f"{kind.__module__}.{kind.__qualname__}"


class Machine:
    """Runs one pickle, or several that follow each other in a stream.

    Args:
        file: a binary stream.
        policy: decides on everything but plain data; shared between calls of ``load``.
        encoding: how 8-bit strings of Python 2 become str; ``"bytes"`` leaves them bytes.
        errors: the error handler for that decoding.

    Example:
        >>> import io
        >>> Machine(io.BytesIO(pickle.dumps({"a": [1, 2.5, None]}, 2))).load()
        {'a': [1, 2.5, None]}
    """

    def __init__(
        self,
        file: BinaryIO,
        policy: Policy | None = None,
        encoding: str = "ASCII",
        errors: str = "strict",
    ) -> None:
        self._file = file
        self._policy = policy or Policy()
        self._encoding, self._errors = encoding, errors
        self._version = 0
        self._memo: dict[int, Any] = {}
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []

    def load(self) -> Any:
        """The next object of the stream.

        Raises:
            FileFormatError: the stream is damaged, or asks for what the policy refuses.
        """
        self._memo, self._stack, self._marks = {}, [], []
        self._version = 0
        read = self._file.read
        while True:
            code = read(1)
            if code == b".":
                return self._pop()
            passive = _PASSIVE.get(code)
            if passive is not None:
                try:
                    passive(self)
                except _DAMAGE as error:
                    self._damaged(f"opcode {code!r}: {type(error).__name__}: {error}", error)
            elif code in _ACTIVE:
                _ACTIVE[code](self)
            elif not code:
                self._damaged("pickle data was truncated")
            else:
                self._damaged(f"invalid load key, {chr(code[0])!r}.")

    # reading

    def _damaged(self, text: str, cause: BaseException | None = None) -> NoReturn:
        raise DamagedPickleError(text) from cause

    def _read(self, count: int) -> bytes:
        if count <= _CHUNK:
            data = self._file.read(count)
            if len(data) != count:
                self._damaged("pickle data was truncated")
            return data
        whole = bytearray()
        while len(whole) < count:
            data = self._file.read(min(count - len(whole), 64 * _CHUNK))
            if not data:
                self._damaged("pickle data was truncated")
            whole += data
        return bytes(whole)

    def _line(self) -> bytes:
        line = self._file.readline(1 << 20)
        if not line.endswith(b"\n"):
            self._damaged("pickle data was truncated")
        return line[:-1]

    def _number(self, layout: str) -> int:
        return int(struct.unpack(layout, self._read(struct.calcsize(layout)))[0])

    def _text(self, raw: bytes) -> Any:
        return raw if self._encoding == "bytes" else raw.decode(self._encoding, self._errors)

    # the stack

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack:
            self._damaged("unexpected end of the pickle's stack")
        return self._stack.pop()

    def _mark(self) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _pop_mark(self) -> list[Any]:
        items = self._stack
        if not self._marks:
            self._damaged("could not find MARK")
        self._stack = self._marks.pop()
        return items

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _target(self, kinds: tuple[type, ...], action: str) -> Any:
        if not self._stack:
            self._damaged("unexpected end of the pickle's stack")
        target = self._stack[-1]
        if type(target) not in kinds:
            names = ", ".join(kind.__name__ for kind in kinds)
            raise RefusedPickleError(f"Can only {action} {names}, but got {type(target)}")
        return target

    # containers

    def _extend(self, items: Iterable[Any]) -> None:
        self._target((list, deque), "append to").extend(items)

    def _fill(self, items: list[Any]) -> None:
        target = self._target(_DICTS, "set items of")
        if len(items) % 2:
            self._damaged("odd number of items for SETITEMS")
        for key, value in zip(items[::2], items[1::2], strict=True):
            _check_key(key)
            target[key] = value

    def _add(self, items: list[Any]) -> None:
        target = self._target((set,), "add to")
        for item in items:
            _check_key(item)
            target.add(item)

    def _frozenset(self) -> None:
        items = self._pop_mark()
        for item in items:
            _check_key(item)
        self._push(frozenset(items))

    def _new_dict(self) -> None:
        items = self._pop_mark()
        self._push({})
        self._fill(items)

    # strings and numbers of protocol 0

    def _quoted(self) -> None:
        import codecs

        line = self._line().strip()
        if len(line) < 2 or line[:1] not in b"\"'" or line[:1] != line[-1:]:
            self._damaged("the STRING opcode argument must be quoted")
        self._push(self._text(codecs.escape_decode(line[1:-1])[0]))  # type: ignore[attr-defined]

    def _decimal(self) -> None:
        line = self._line()
        if line in (b"00", b"01"):
            self._push(line == b"01")
        else:
            self._push(_integer(line))

    # what the policy decides

    def _global(self, module: str, name: str) -> None:
        if self._version < 3:  # names of Python 2
            if (module, name) in NAME_MAPPING:
                module, name = NAME_MAPPING[module, name]
            elif module in IMPORT_MAPPING:
                module = IMPORT_MAPPING[module]
        self._push(self._policy.find(module, name))

    def _read_global(self) -> None:
        try:
            module, name = self._line().decode("utf-8"), self._line().decode("utf-8")
        except UnicodeDecodeError as error:
            self._damaged("a global's name is not text", error)
        self._global(module, name)

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            self._damaged("STACK_GLOBAL requires str")
        self._global(module, name)

    def _reduce(self) -> None:
        args, function = self._pop(), self._pop()
        if type(args) is not tuple:
            self._damaged("the arguments of REDUCE are not a tuple")
        self._push(self._policy.call(function, args))

    def _new(self) -> None:
        args, cls = self._pop(), self._pop()
        self._construct(cls, args, {})

    def _new_ex(self) -> None:
        kwargs, args, cls = self._pop(), self._pop(), self._pop()
        self._construct(cls, args, kwargs)

    def _construct(self, cls: Any, args: Any, kwargs: Any) -> None:
        if type(args) is not tuple or type(kwargs) is not dict:
            self._damaged("the arguments of NEWOBJ are not a tuple")
        if not all(type(key) is str for key in kwargs):
            self._damaged("a keyword of NEWOBJ_EX is not a string")
        self._push(self._policy.new(cls, args, kwargs))

    def _build(self) -> None:
        state, instance = self._pop(), self._pop()
        built = self._policy.build(instance, state)
        if built is not instance:
            for index, value in self._memo.items():
                if value is instance:
                    self._memo[index] = built
        self._push(built)

    def _persistent(self) -> None:
        self._push(self._policy.persistent(self._pop()))

    def _persistent_line(self) -> None:
        key = self._line()
        if not key.isascii():
            self._damaged("persistent IDs in protocol 0 must be ASCII strings")
        self._push(self._policy.persistent(key.decode()))

    def _old_object(self) -> None:  # OBJ: protocol 1 for classes of Python 1
        items = self._pop_mark()
        if not items:
            self._damaged("OBJ without a class")
        self._push(self._policy.call(items[0], tuple(items[1:])))

    def _old_instance(self) -> None:  # INST: the same in protocol 0
        try:
            module, name = self._line().decode("ascii"), self._line().decode("ascii")
        except UnicodeDecodeError as error:
            self._damaged("a global's name is not text", error)
        args = tuple(self._pop_mark())
        self._global(module, name)
        self._push(self._policy.call(self._pop(), args))

    def _protocol(self) -> None:
        version = self._read(1)[0]
        if version > pickle.HIGHEST_PROTOCOL:
            self._damaged(f"unsupported pickle protocol: {version}")
        self._version = version


def _check_key(key: Any) -> None:
    """Refuses tuples nested so deep that hashing them would overflow the C stack."""
    level, depth = [key], 0
    while level:
        level = [v for item in level if type(item) in (tuple, frozenset) for v in item]
        depth += 1
        if depth > _KEY_DEPTH or len(level) > 100_000:
            raise DamagedPickleError("a dictionary key is nested too deeply")


def _integer(line: bytes) -> int:
    if len(line) > 4000:  # int() of a longer literal takes quadratic time
        raise ValueError("the literal of an integer is too long")
    return int(line, 0)


def _long_line(line: bytes) -> int:
    return _integer(line[:-1] if line[-1:] == b"L" else line)


def _op(code: bytes, run: Callable[[Machine], Any]) -> None:
    _PASSIVE[code] = run


def _little(m: Machine, raw: bytes) -> None:
    m._push(int.from_bytes(raw, "little", signed=True))


_DAMAGE = (
    IndexError,
    KeyError,
    struct.error,
    ValueError,  # and UnicodeDecodeError
    TypeError,
    OverflowError,
    LookupError,
)
_PASSIVE: dict[bytes, Callable[[Machine], Any]] = {}
_op(b"N", lambda m: m._push(None))
_op(b"\x88", lambda m: m._push(True))
_op(b"\x89", lambda m: m._push(False))
_op(b"I", Machine._decimal)
_op(b"L", lambda m: m._push(_long_line(m._line())))
_op(b"J", lambda m: m._push(m._number("<i")))
_op(b"K", lambda m: m._push(m._number("<B")))
_op(b"M", lambda m: m._push(m._number("<H")))
_op(b"\x8a", lambda m: _little(m, m._read(m._number("<B"))))
_op(b"\x8b", lambda m: _little(m, m._read(m._number("<I"))))
_op(b"F", lambda m: m._push(float(m._line())))
_op(b"G", lambda m: m._push(struct.unpack(">d", m._read(8))[0]))
_op(b"S", Machine._quoted)
_op(b"T", lambda m: m._push(m._text(m._read(m._number("<I")))))
_op(b"U", lambda m: m._push(m._text(m._read(m._number("<B")))))
_op(b"V", lambda m: m._push(m._line().decode("raw-unicode-escape")))
_op(b"X", lambda m: m._push(m._read(m._number("<I")).decode("utf-8", "surrogatepass")))
_op(b"\x8c", lambda m: m._push(m._read(m._number("<B")).decode("utf-8", "surrogatepass")))
_op(b"\x8d", lambda m: m._push(m._read(m._number("<Q")).decode("utf-8", "surrogatepass")))
_op(b"B", lambda m: m._push(m._read(m._number("<I"))))
_op(b"C", lambda m: m._push(m._read(m._number("<B"))))
_op(b"\x8e", lambda m: m._push(m._read(m._number("<Q"))))
_op(b"\x96", lambda m: m._push(bytearray(m._read(m._number("<Q")))))
_op(b")", lambda m: m._push(()))
_op(b"]", lambda m: m._push([]))
_op(b"}", lambda m: m._push({}))
_op(b"\x8f", lambda m: m._push(set()))
_op(b"(", Machine._mark)
_op(b"t", lambda m: m._push(tuple(m._pop_mark())))
_op(b"l", lambda m: m._push(m._pop_mark()))
_op(b"d", Machine._new_dict)
_op(b"\x91", Machine._frozenset)
_op(b"\x85", lambda m: m._push((m._pop(),)))
_op(b"\x86", lambda m: m._push((m._pop(), m._pop())[::-1]))
_op(b"\x87", lambda m: m._push((m._pop(), m._pop(), m._pop())[::-1]))
_op(b"a", lambda m: m._extend([m._pop()]))
_op(b"e", lambda m: m._extend(m._pop_mark()))
_op(b"s", lambda m: m._fill([m._pop(), m._pop()][::-1]))
_op(b"u", lambda m: m._fill(m._pop_mark()))
_op(b"\x90", lambda m: m._add(m._pop_mark()))
_op(b"0", lambda m: m._pop() if m._stack else m._pop_mark())
_op(b"1", lambda m: m._pop_mark())
_op(b"2", lambda m: m._push(m._stack[-1]))
_op(b"p", lambda m: m._put(_integer(m._line())))
_op(b"q", lambda m: m._put(m._number("<B")))
_op(b"r", lambda m: m._put(m._number("<I")))
_op(b"\x94", lambda m: m._put(len(m._memo)))
_op(b"g", lambda m: m._push(m._memo[_integer(m._line())]))
_op(b"h", lambda m: m._push(m._memo[m._number("<B")]))
_op(b"j", lambda m: m._push(m._memo[m._number("<I")]))
_op(b"\x80", Machine._protocol)
_op(b"\x95", lambda m: m._number("<Q"))  # FRAME: a hint for buffering

_ACTIVE: dict[bytes, Callable[[Machine], Any]] = {
    b"c": Machine._read_global,
    b"\x93": Machine._stack_global,
    b"R": Machine._reduce,
    b"\x81": Machine._new,
    b"\x92": Machine._new_ex,
    b"b": Machine._build,
    b"Q": Machine._persistent,
    b"P": Machine._persistent_line,
    b"o": Machine._old_object,
    b"i": Machine._old_instance,
}
