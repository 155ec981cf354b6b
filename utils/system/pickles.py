"""What a weights file's pickles would build, found out before PyTorch builds it.

`torch.load(weights_only=True)` runs nothing of a stranger, but it allocates what a pickle asks for: a file of 33 bytes
can ask for 2 GiB, and a tensor may be declared larger than what the file holds of it. So the instructions are followed
here with stand-ins, and every size is held against the file.
"""

from __future__ import annotations

import math
import os
import pickletools
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

_ARCHIVE_BEGIN = b"PK\x03\x04"
_MAX_PICKLE_BYTES = 4 << 20  # without tensors, which are stored beside it; more would take long to follow
_MAX_LINE_BYTES = 1000  # of the name of a module or a class
_OLD_PICKLES = 5  # of PyTorch's format before the zip archive: magic number, version, system, content, storages' names
_STORAGE_BYTES = {  # of an element
    **dict.fromkeys(("torch.CharStorage", "torch.ByteStorage", "torch.BoolStorage", "torch.storage.UntypedStorage"), 1),
    **dict.fromkeys(("torch.HalfStorage", "torch.BFloat16Storage", "torch.ShortStorage"), 2),
    **dict.fromkeys(("torch.FloatStorage", "torch.IntStorage"), 4),
    **dict.fromkeys(("torch.DoubleStorage", "torch.LongStorage", "torch.ComplexFloatStorage"), 8),
    "torch.ComplexDoubleStorage": 16,
}
_DTYPE_NAME = re.compile(r"torch\.(?:float|bfloat|int|uint|complex|bool|double|half|long|short)\d*")
_NUMPY_NUMBER = re.compile(r"[fiub][1248]")  # a type's name; 16-byte floats differ between machines
_NUMPY_SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")  # as numpy 1 and 2 call it
_SCALARS = (str, bytes, int, float, bool, type(None))


class UnsafePickle(Exception):
    """A pickle asks for what no weights file needs, or for more than the file holds; the text says what."""


@dataclass(frozen=True)
class _Built:
    """What a call gave: `kind` is what was called."""

    kind: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class _Storage:
    """Elements that tensors are views of."""

    elements: int


@dataclass(frozen=True)
class _Global:
    """A class or function, by its full name."""

    name: str


class _WholeReads:
    """A file from which nothing is read that is not there: else a length of 4 GiB would be allocated to find out."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._done = file, size, 0

    def read(self, size: int) -> bytes:
        left = self._size - self._done
        _require(size <= left, f"a text of {size:,} bytes where {left:,} are left")
        return self._count(self._file.read(size))

    def readline(self) -> bytes:
        return self._count(self._file.readline(_MAX_LINE_BYTES))

    def _count(self, piece: bytes) -> bytes:
        self._done += len(piece)
        _require(self._done <= _MAX_PICKLE_BYTES, f"more than {_MAX_PICKLE_BYTES >> 20} MiB beside the tensors")
        return piece


def require_plain_pickles(path: str | os.PathLike) -> None:
    """Look at what a weights file would build.

    Args:
        path: of a file that `torch.load` is to read, a zip archive or of PyTorch's older format.

    Raises:
        UnsafePickle: it holds other than tensors and plain values, or declares more than it holds.
        zipfile.BadZipFile, ValueError, EOFError, IndexError, KeyError: it is damaged.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        archived = file.read(len(_ARCHIVE_BEGIN)) == _ARCHIVE_BEGIN
        file.seek(0)
        if archived:
            _check_archive(file)
        else:
            _check_old_format(file, os.path.getsize(path))


def holds_program(path: str | os.PathLike) -> bool:
    """Whether a file is a TorchScript program, code and weights together."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _check_archive(file: BinaryIO) -> None:
    with zipfile.ZipFile(file) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        _require(len(sizes) == len(archive.infolist()), "two entries of one name")
        pickles = [name for name in sizes if re.fullmatch(r"[^/]+/data\.pkl", name)]
        _require(len(pickles) == 1, f"{len(pickles)} entries named data.pkl instead of one")
        root = pickles[0].partition("/")[0]

        def bytes_of(key: str) -> int:
            return sizes[f"{root}/data/{key}"]

        with archive.open(pickles[0]) as pickle:
            _follow(_WholeReads(pickle, sizes[pickles[0]]), bytes_of)


def _check_old_format(file: BinaryIO, size: int) -> None:
    left = size

    def bytes_of(key: str) -> int:
        return left

    whole = _WholeReads(file, size)
    for _ in range(_OLD_PICKLES):
        left -= sum(_follow(whole, bytes_of).values())
        _require(left >= 0, f"tensors of {size - left:,} bytes in a file of {size:,}")


def _follow(file: _WholeReads, bytes_of: Callable[[str], int]) -> dict[str, int]:
    """Follow one pickle to its end.

    Args:
        file: at its beginning; its end afterwards.
        bytes_of: how many bytes the file has for the storage of a name.

    Returns:
        Bytes of each storage that it names.
    """
    machine = _Machine(bytes_of)
    for code, argument, _ in pickletools.genops(file):
        machine.step(code.name, argument)
    return machine.storages


class _Machine:
    """The instructions that PyTorch's own unpickler knows, on stand-ins.

    Args:
        bytes_of: as of `_follow`.
    """

    def __init__(self, bytes_of: Callable[[str], int]) -> None:
        self.bytes_of = bytes_of
        self.storages: dict[str, int] = {}
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # stacks beneath open marks
        self._memo: dict[int, Any] = {}
        self._steps: dict[str, Callable[[Any], None]] = {
            **dict.fromkeys(("BININT", "BININT1", "BININT2", "BINFLOAT", "LONG1"), self._push),
            **dict.fromkeys(("BINUNICODE", "SHORT_BINSTRING"), self._push),
            **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda place: self._push(self._memo[place])),
            **dict.fromkeys(("BINPUT", "LONG_BINPUT"), self._remember),
            **dict.fromkeys(("SETITEM", "SETITEMS"), self._set_items),
            **dict.fromkeys(("APPEND", "APPENDS"), self._append),
            **dict.fromkeys(("PROTO", "STOP"), lambda _: None),
            "NONE": lambda _: self._push(None),
            "NEWTRUE": lambda _: self._push(True),
            "NEWFALSE": lambda _: self._push(False),
            "EMPTY_TUPLE": lambda _: self._push(()),
            "EMPTY_LIST": lambda _: self._push([]),
            "EMPTY_DICT": lambda _: self._push({}),
            "EMPTY_SET": lambda _: self._push(_Built("builtins.set", ())),
            "MARK": lambda _: self._open(),
            "TUPLE": lambda _: self._push(tuple(self._close())),
            "TUPLE1": lambda _: self._join(1),
            "TUPLE2": lambda _: self._join(2),
            "TUPLE3": lambda _: self._join(3),
            "GLOBAL": self._name,
            "BINPERSID": lambda _: self._push(self._storage(self._stack.pop())),
            "REDUCE": lambda _: self._call(),
            "BUILD": lambda _: self._build(),
        }

    def step(self, code: str, argument: Any) -> None:
        """One instruction."""
        _require(code in self._steps, f"the instruction {code}, which PyTorch does not write")
        self._several = code.endswith("S")
        self._steps[code](argument)

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _remember(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _open(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _close(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _join(self, count: int) -> None:
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _append(self, _: Any) -> None:
        items = self._close() if self._several else [self._stack.pop()]
        _require(isinstance(self._stack[-1], list), "items for what is no list")
        self._stack[-1].extend(items)

    def _set_items(self, _: Any) -> None:
        items = self._close() if self._several else [self._stack.pop() for _ in range(2)][::-1]
        target = self._stack[-1]
        _require(all(map(_is_key, items[::2])), "a key that is no plain value")
        fits = isinstance(target, dict) or (isinstance(target, _Built) and target.kind in _MAPPINGS)
        _require(fits, "entries for what is no dict")

    def _name(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        full = f"{'builtins' if module == '__builtin__' else module}.{name}"
        if full not in _CALLS and full not in _STORAGE_BYTES and not _DTYPE_NAME.fullmatch(full):
            raise UnsafePickle(f"a pickled {full}")
        self._push(_Global(full))

    def _storage(self, about: Any) -> _Storage:
        """The elements that a persistent id names: `("storage", kind, key, device, elements)`."""
        if not isinstance(about, tuple) or len(about) not in (5, 6) or _as_text(about[0]) != "storage":
            raise UnsafePickle("a reference to other than a tensor's elements")
        kind, key, _, elements = about[1:5]
        known = isinstance(kind, _Global) and kind.name in _STORAGE_BYTES and about[5:] in ((), (None,))
        _require(known and type(elements) is int and elements >= 0, "elements of an unknown kind or number")
        size, found = elements * _STORAGE_BYTES[kind.name], self.bytes_of(_as_text(key))
        _require(size <= found, f"a tensor of {size:,} bytes for which the file has {found:,}")
        self.storages[_as_text(key)] = max(size, self.storages.get(_as_text(key), 0))  # the first one is what counts
        return _Storage(size if kind.name.endswith("UntypedStorage") else elements)

    def _call(self) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        if not isinstance(called, _Global) or called.name not in _CALLS or not isinstance(arguments, tuple):
            raise UnsafePickle("a call of what is no function of PyTorch's")
        _CALLS[called.name](arguments)
        self._push(_Built(called.name, arguments))

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        kind = target.kind if isinstance(target, _Built) else ""
        if kind == "collections.OrderedDict" and isinstance(state, dict):
            return  # a state dict's `_metadata`
        if kind == "numpy.dtype" and isinstance(state, tuple) and not any(state[2:5]):
            return  # its byte order; no fields, names and shape of a structured type
        raise UnsafePickle("attributes of what has none")


def _as_text(value: Any) -> str:
    _require(isinstance(value, str), "a name that is no text")
    return value


def _is_key(value: Any) -> bool:
    """Whether it is a plain value, or a tuple of such: hashing tuples in tuples may take for ever."""
    parts = value if isinstance(value, tuple) else (value,)
    return all(isinstance(part, _SCALARS) for part in parts)


def _require(holds: bool, what: str) -> None:
    """Raise `UnsafePickle`, which says `what` was found, where something does not hold."""
    if not holds:
        raise UnsafePickle(what)


def _check_tensor(arguments: tuple[Any, ...]) -> None:
    """A view `(storage, offset, size, stride, …)` that lies in its storage, and has no more elements than that."""
    _require(len(arguments) >= 4 and isinstance(arguments[0], _Storage), "a tensor without elements")
    storage, offset, size, stride = arguments[:4]
    size, stride = (part.arguments[0] if isinstance(part, _Built) else part for part in (size, stride))
    numbers = (offset, *size, *stride) if isinstance(size, tuple) and isinstance(stride, tuple) else (None,)
    _require(all(type(number) is int and number >= 0 for number in numbers), "a tensor whose shape is no numbers")
    _require(len(size) == len(stride), "a tensor with another number of strides than of sides")
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True)) + 1 if all(size) else offset
    most = max(last, math.prod(size))
    _require(most <= storage.elements, f"a tensor of shape {size[:8]} in {storage.elements:,} elements")


def _accept(*kinds: type | tuple[type, ...], least: int | None = None) -> Callable[[tuple[Any, ...]], None]:
    """A check that the arguments of a call are of these kinds; the last ones may be missing down to `least`."""

    def check(arguments: tuple[Any, ...]) -> None:
        few = len(kinds) if least is None else least
        fits = few <= len(arguments) <= len(kinds) and all(map(isinstance, arguments, kinds))
        _require(fits, "a call with other arguments than PyTorch writes")

    return check


def _check_set(arguments: tuple[Any, ...]) -> None:
    items = arguments[0] if len(arguments) == 1 else ()
    _require(isinstance(items, (list, tuple)) and all(map(_is_key, items)), "a set of other than plain values")


def _check_ordered(arguments: tuple[Any, ...]) -> None:
    """Nothing, or pairs, as Python 2 wrote them."""
    pairs = arguments[0] if len(arguments) == 1 else list(arguments)
    fits = isinstance(pairs, list) and all(
        isinstance(pair, list) and len(pair) == 2 and _is_key(pair[0]) for pair in pairs
    )
    _require(fits, "a dict of other than pairs")


def _check_numpy_type(arguments: tuple[Any, ...]) -> None:
    name = arguments[0] if arguments and isinstance(arguments[0], str) else ""
    _require(bool(_NUMPY_NUMBER.fullmatch(name)), "a numpy type that is no number")


def _check_numpy_scalar(arguments: tuple[Any, ...]) -> None:
    kinds = [part.kind if isinstance(part, _Built) else "" for part in arguments]
    _require(kinds == ["numpy.dtype", "_codecs.encode"], "a numpy value that is no number")


_MAPPINGS = ("collections.OrderedDict", "collections.Counter")
# What may be called, and with which arguments; nothing among it takes a size that the file does not bear out.
_CALLS: dict[str, Callable[[tuple[Any, ...]], None]] = {
    "collections.OrderedDict": _check_ordered,
    "collections.Counter": _accept(dict, least=0),
    "torch._utils._rebuild_tensor": _check_tensor,
    "torch._utils._rebuild_tensor_v2": _check_tensor,
    "torch._utils._rebuild_tensor_v3": _check_tensor,
    "torch._utils._rebuild_parameter": _accept(_Built, bool, _Built),
    "torch.Size": _accept(tuple),
    "torch.device": _accept(str, int, least=1),
    "torch.serialization._get_layout": _accept(str),
    "_codecs.encode": _accept(str, str),
    "builtins.bytearray": _accept((str, _Built), str, least=0),
    "builtins.set": _check_set,
    "builtins.complex": _accept((int, float), (int, float)),
    "numpy.dtype": _check_numpy_type,
    **dict.fromkeys(_NUMPY_SCALARS, _check_numpy_scalar),
}
