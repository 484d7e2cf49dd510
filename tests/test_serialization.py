"""torch.save and torch.load: round trips, sharing, restrictions, damage, and atomic writing."""

from __future__ import annotations

import copy
import functools
import importlib
import io
import os
import pickle
import random
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.errors import FileFormatError
from rushlight.serialization import names, safetensors
from rushlight.serialization.zip_writer import ZipWriter

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


def saved(obj: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    rl.save(obj, file, **options)
    return file.getvalue()


def loaded(data: bytes, **options: Any) -> Any:
    return rl.load(io.BytesIO(data), **options)


def again(obj: Any, **options: Any) -> Any:
    return loaded(saved(obj), **options)


def archive(data: bytes, **storages: bytes) -> bytes:
    """An archive with this pickle, whatever it is."""
    file = io.BytesIO()
    writer = ZipWriter(file, "archive")
    writer.add("data.pkl", data)
    for name, content in storages.items():
        writer.add(f"data/{name}", content)
    writer.finish()
    return file.getvalue()


def same(a: Any, b: Any) -> None:
    assert a.dtype is b.dtype
    assert a.shape == b.shape
    assert a.stride() == b.stride()
    assert a.storage_offset() == b.storage_offset()
    assert a.requires_grad == b.requires_grad
    assert a.untyped_storage().nbytes == b.untyped_storage().nbytes
    assert bool((a == b).all())


# Round trips


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype(name: str) -> None:
    tensor = rl.tensor([0, 1, 1, 0]).to(getattr(rl, name))
    for options in ({}, {"weights_only": True}, {"weights_only": False}):
        same(again(tensor, **options), tensor)


def test_plain_things() -> None:
    things = {
        "size": rl.Size([2, 3]),
        "device": rl.device("cpu"),
        "dtype": rl.bfloat16,
        "layout": rl.strided,
        "ordered": OrderedDict(a=1),
        "nested": [1, 2.5, "é", None, (True,), {1, 2}, 10**30, 1 + 2j, b"x", bytearray(b"y")],
    }
    for only in (True, False, None):
        read = again(things, weights_only=only)
        assert read == things
        assert type(read["size"]) is rl.Size
        assert read["dtype"] is rl.bfloat16


def test_views_share_their_storage_again() -> None:
    base = rl.arange(12.0).reshape(3, 4)
    things = [base, base[1:], base.T, base[:, 1::2], base.as_strided((2, 2), (5, 1), 2)]
    read = again(things, weights_only=True)
    for before, after in zip(things, read, strict=True):
        same(before, after)
    read[0].zero_()
    assert all(float(t.abs().sum()) == 0 for t in read)
    assert zipfile.ZipFile(io.BytesIO(saved(things))).namelist().count("archive/data/0") == 1


def test_leaves_and_parameters() -> None:
    parameter = nn.Parameter(rl.ones(2), requires_grad=False)
    leaf = rl.ones(2, requires_grad=True)
    read = again([parameter, leaf, leaf * 2], weights_only=True)
    assert type(read[0]) is nn.Parameter
    assert [t.requires_grad for t in read] == [False, True, True]
    parameter.note = "kept"
    assert again(parameter).note == "kept"
    leaf.note = "kept"
    assert again(leaf).note == "kept"


def test_conjugates_and_meta() -> None:
    view = rl.tensor([1 + 2j, 3 - 1j]).conj()
    read = again(view)
    assert read.is_conj()
    assert bool((read == view).all())
    shapes = again(rl.empty(2, 3, device="meta"))
    assert shapes.device.type == "meta"
    assert shapes.shape == (2, 3)


class Net(nn.Module):
    """A module of a user's."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
        self.head = nn.Linear(2, 2)
        self.head2 = self.head
        self.act = nn.functional.relu
        self.other = rl.tanh
        self.make = functools.partial(nn.LayerNorm, eps=1e-3)


def test_whole_modules() -> None:
    net = Net()
    for only in (None, False):
        read = again(net, weights_only=only)
        assert type(read) is Net
        assert read.head is read.head2
        assert read.act is nn.functional.relu
        assert read.other is rl.tanh
        assert read.make.keywords == {"eps": 1e-3}
        for (name, a), (other, b) in zip(
            net.state_dict().items(), read.state_dict().items(), strict=True
        ):
            assert name == other
            same(a, b)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        again(net, weights_only=True)


def test_optimizer_state() -> None:
    net = nn.Linear(2, 2)
    optimizer = rl.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(rl.ones(1, 2)).sum().backward()
    optimizer.step()
    state = again(optimizer.state_dict(), weights_only=True)
    optimizer.load_state_dict(state)
    buffer = state["state"][0]["momentum_buffer"]
    assert buffer.shape == (2, 2)


class Tagged(rl.Tensor):
    """A tensor subclass of a user's."""


def test_tensor_subclasses() -> None:
    tagged = rl.ones(2).as_subclass(Tagged)
    assert type(again(tagged, weights_only=False)) is Tagged
    with pytest.raises(pickle.UnpicklingError, match="Tagged"):
        again(tagged)
    with rl.serialization.safe_globals([Tagged]):
        assert type(again(tagged)) is Tagged


def test_generators() -> None:
    generator = rl.Generator().manual_seed(5)
    rl.rand(3, generator=generator)
    copies = [again(generator), again(generator, weights_only=False), copy.deepcopy(generator)]
    copies.append(pickle.loads(pickle.dumps(generator)))
    want = rl.rand(3, generator=generator)
    assert all(bool((rl.rand(3, generator=g) == want).all()) for g in copies)


def test_pickle_and_deepcopy() -> None:
    base = rl.arange(6.0)
    parameter = nn.Parameter(base.clone())
    things = [base, base[2:], parameter, rl.float16, rl.device("cpu"), rl.Size([1]), Net()]
    for copied in (copy.deepcopy(things), pickle.loads(pickle.dumps(things))):
        same(copied[1], base[2:])
        copied[0].zero_()
        assert float(copied[1].sum()) == 0  # still one storage
        assert float(base.sum()) == 15  # another one
        assert type(copied[2]) is nn.Parameter
        assert copied[3] is rl.float16
        assert copied[4:6] == things[4:6]
        assert type(copied[6]) is Net
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(parameter * 2)
    leaf = rl.ones(6, requires_grad=True)
    leaf.grad = rl.ones(6)
    assert float(copy.deepcopy(leaf).grad.sum()) == 6


# Where things go


def test_map_location() -> None:
    data = saved([rl.ones(2)])
    for place in ("meta", rl.device("meta"), {"cpu": "meta"}):
        (read,) = loaded(data, map_location=place)
        assert read.device.type == "meta"
    seen = []
    (read,) = loaded(data, map_location=lambda storage, tag: seen.append(tag))
    assert seen == ["cpu"]
    assert read.device.type == "cpu"
    with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
        loaded(data, map_location="cuda:0")
    with pytest.raises(RuntimeError, match="don't know how to restore data location"):
        loaded(data, map_location="nowhere")


def test_mmap(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    rl.save({"a": rl.arange(1000.0)}, path)
    before = path.read_bytes()
    read = rl.load(path, mmap=True)["a"]
    assert float(read.sum()) == 499500
    read.zero_()
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="must be a file path"):
        loaded(before, mmap=True)


# Files


def test_writing_is_atomic(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    rl.save([1], path)
    before = path.read_bytes()
    with pytest.raises((pickle.PicklingError, AttributeError)):
        rl.save([rl.ones(2), lambda: 0], path)

    class Full:
        def __reduce__(self) -> Any:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        rl.save(Full(), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.pth"]
    os.chmod(path, 0o640)
    rl.save([2], path)
    assert rl.load(path) == [2]
    assert path.stat().st_mode & 0o777 == 0o640


def test_bad_places(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"Parent directory .* does not exist"):
        rl.save([1], tmp_path / "none" / "a.pth")
    with pytest.raises(RuntimeError, match="Is a directory"):
        rl.save([1], tmp_path)
    with pytest.raises(AttributeError, match="expected 'f' to be string, path"):
        rl.save([1], 3)
    with pytest.raises(FileNotFoundError):
        rl.load(tmp_path / "none.pth")
    with pytest.raises(AttributeError, match="that is seekable"):
        rl.load(3)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        saved([rl.ones(2), rl.ones(2)][:1] * 2 + [(x := rl.ones(2)), x.view(rl.int32)])


def test_layout_of_the_archive() -> None:
    data = saved({"a": rl.ones(3), "e": rl.empty(0)})
    file = zipfile.ZipFile(io.BytesIO(data))
    assert file.testzip() is None
    assert [name.partition("/")[2] for name in file.namelist()] == [
        "data.pkl",
        ".format_version",
        ".storage_alignment",
        "byteorder",
        "data/0",
        "data/1",
        "version",
        ".data/serialization_id",
    ]
    for info in file.infolist():
        name, extra = struct.unpack("<2H", data[info.header_offset + 26 :][:4])
        assert (info.header_offset + 30 + name + extra) % 64 == 0


def test_zip64_records() -> None:
    file = io.BytesIO()
    writer = ZipWriter(file, "archive", limit32=100)
    writer.add("data.pkl", pickle.dumps("x" * 300, 2))
    writer.add("byteorder", b"little")
    writer.finish()
    assert zipfile.ZipFile(file).testzip() is None
    assert loaded(file.getvalue()) == "x" * 300


# Damage and malice


def test_truncated_and_flipped() -> None:
    state = {"a": rl.arange(5.0), "b": rl.ones(2, dtype=rl.int8)}
    data = saved(state)
    for end in range(0, len(data), 3):
        with pytest.raises(FileFormatError):
            loaded(data[:end])
    numbers = random.Random(0)
    for _ in range(600):
        broken = bytearray(data)
        broken[numbers.randrange(len(data))] ^= 1 << numbers.randrange(8)
        try:
            read = loaded(bytes(broken))
        except FileFormatError:
            continue
        for name in state:  # a flip in padding or an unused field
            same(read[name], state[name])


def test_empty_and_other_files() -> None:
    with pytest.raises(EOFError, match="Ran out of input") as caught:
        loaded(b"")
    assert isinstance(caught.value, FileFormatError)
    for data in (b"hello", b"PK\x03\x04abc", b"\x80\x02K", b"\x89PNG\r\n", bytes(1000)):
        with pytest.raises(FileFormatError):
            loaded(data)
    with pytest.raises(FileFormatError, match="Invalid magic number"):
        loaded(pickle.dumps([1], 2))


def test_bounds_are_checked() -> None:
    def tensor(offset: int, size: Any, stride: Any, count: int = 4) -> bytes:
        def code(value: Any) -> bytes:
            return pickle.dumps(value, 2)[2:-1]

        kind, name, place = code("storage"), code("0"), code("cpu")
        storage = b"(" + kind + b"ctorch\nFloatStorage\n" + name + place + code(count) + b"tQ"
        geometry = code(offset) + code(size) + code(stride)
        data = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + geometry
        return archive(data + b"\x89ccollections\nOrderedDict\n)RtR.", **{"0": bytes(16)})

    assert loaded(tensor(0, (4,), (1,))).shape == (4,)
    for wrong in (
        tensor(1, (4,), (1,)),
        tensor(0, (5,), (1,)),
        tensor(0, (2, 2), (3, 1)),
        tensor(0, (2, 2), (-1, 1)),
        tensor(-1, (1,), (1,)),
        tensor(0, (4,), (1, 1)),
        tensor(0, (4,), (1,), count=5),
        tensor(0, (4,), (1,), count=3),
    ):
        for only in (True, None, False):
            with pytest.raises(FileFormatError):
                loaded(wrong, weights_only=only)


class Bomb:
    """Runs a function when it is unpickled by a reader that executes."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("only", [True, None])
def test_nothing_is_executed(protocol: int, only: bool | None, tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    harmful = [
        Bomb(os.mkdir, mark),
        Bomb(eval, f"__import__('os').mkdir({mark!r})"),
        Bomb(exec, f"__import__('os').mkdir({mark!r})"),
        Bomb(getattr, os, "mkdir"),
        Bomb(getattr, Bomb(__import__, "os"), "mkdir"),
        Bomb(functools.partial, Bomb(getattr, os.path, "join")),
        Bomb(functools.partial, os.mkdir, mark),
        Bomb(rl.save, [1], mark),
        Bomb(rl.load, mark),
        Bomb(nn.Linear, 2, 2),
        Bomb(bytearray, 10**12),
        Bomb(open, mark, "w"),
        Bomb(Net),
        io.StringIO("x"),
        Path(mark),
        rl.serialization.safe_globals([Bomb]),
        Bomb(nn.functional.relu, 1),
        Bomb(rl._utils._rebuild_tensor_v2, None, 0, (1,), (1,), False, None),
        Bomb(rl._utils._rebuild_from_type_v2, os.mkdir, rl.Tensor, (mark,), None),
    ]
    for value in harmful:
        try:
            data = pickle.dumps([1, value], protocol)
        except TypeError:  # modules cannot be pickled
            continue
        with pytest.raises(FileFormatError) as caught:
            loaded(archive(data), weights_only=only)
        assert isinstance(caught.value, pickle.UnpicklingError)
    assert not os.path.exists(mark)


def test_state_of_allowed_classes_only() -> None:
    """BUILD on what is not the file's own object: a class, a function, a type's attributes."""
    for path in (b"ctorch.nn.modules.linear\nLinear\n", b"ctorch\nTensor\n", b"ctorch\nfloat32\n"):
        data = b"\x80\x02" + path + b"}X\x01\x00\x00\x00aK\x01sb."
        with pytest.raises(FileFormatError):
            loaded(archive(data))


def test_own_names_are_no_way_in() -> None:
    for name in (
        "torch.serialization save",
        "torch.serialization.reader os",
        "torch.hub download_url_to_file",
        "torch.utils.data DataLoader",
        "torchvision.datasets CIFAR10",
        "torch.utils.tensorboard SummaryWriter",
        "torch.nn.modules.module OrderedDict.fromkeys",
        "torch.nn.functional os",
        "torch.cli main",
        "torch.__main__ main",
        "torch.nn.__builtins__ eval",
    ):
        module, name = name.split()
        with pytest.raises(FileFormatError):
            loaded(archive(f"\x80\x02c{module}\n{name}\n.".encode("latin-1")))


def test_missing_classes() -> None:
    data = saved(Net())
    content = zipfile.ZipFile(io.BytesIO(data)).read("archive/data.pkl")
    module = __name__.encode()
    gone = archive(content.replace(b"c" + module + b"\nNet", b"c" + module + b"\nTudui"))
    for only in (None, False):
        with pytest.raises(
            AttributeError, match="Can't get attribute 'Tudui' on <module"
        ) as caught:
            loaded(gone, weights_only=only)
        assert "define or import class Tudui" in caught.value.__notes__[0]
    away = archive(content.replace(b"c" + module, b"cnot_imported_yet"))
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed") as refused:
        loaded(away)
    assert "import not_imported_yet" in refused.value.__notes__[0]
    with pytest.raises(ModuleNotFoundError):
        loaded(away, weights_only=False)


def test_safe_globals() -> None:
    bomb = Bomb(len, [1, 2])
    with pytest.raises(pickle.UnpicklingError, match="add_safe_globals"):
        again(bomb, weights_only=True)
    with rl.serialization.safe_globals([len]):
        assert rl.serialization.get_safe_globals() == [len]
        assert again(bomb, weights_only=True) == 2
    rl.serialization.add_safe_globals([(len, "builtins.len")])
    assert again(bomb) == 2
    rl.serialization.clear_safe_globals()
    assert rl.serialization.get_safe_globals() == []


def rezip(data: bytes, change: Any, method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", method) as new:
        for info in old.infolist():
            new.writestr(change(info.filename), old.read(info))
    return file.getvalue()


def test_harmful_archives() -> None:
    data = saved([rl.arange(4.0)])
    assert float(loaded(rezip(data, str))[0].sum()) == 6
    assert float(loaded(rezip(data, str, zipfile.ZIP_DEFLATED))[0].sum()) == 6
    for name in (
        "../evil",
        "/etc/passwd",
        "archive/../../x",
        "archive/a\\b",
        "other/x",
        "archive//x",
    ):
        with pytest.raises(FileFormatError):
            loaded(rezip(data, lambda old, name=name: name if "byteorder" in old else old))
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = rezip(data, lambda old: "archive/data.pkl" if "byteorder" in old else old)
    with pytest.raises(FileFormatError, match="twice"):
        loaded(twice)


def test_zip_bombs() -> None:
    packed = rezip(saved([rl.arange(4.0)]), str, zipfile.ZIP_DEFLATED)
    where = zipfile.ZipFile(io.BytesIO(packed)).getinfo("archive/data/0")
    entry = packed.rindex(b"archive/data/0") - 46
    assert packed[entry : entry + 4] == b"PK\x01\x02"
    for claim in (1 << 31, 17, 15, 100_000):  # unpacked sizes that are not true
        lie = packed[: entry + 24] + struct.pack("<I", claim) + packed[entry + 28 :]
        with pytest.raises(FileFormatError):
            loaded(lie)
    two = packed[: entry + 42] + struct.pack("<I", where.header_offset + 1) + packed[entry + 46 :]
    with pytest.raises(FileFormatError):
        loaded(two)
    zeros = io.BytesIO()
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("archive/data.pkl", bytes(100_000_000))
    with pytest.raises(FileFormatError, match="claims to unpack"):
        loaded(zeros.getvalue())


# safetensors


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {
        name: rl.tensor([[0, 1], [1, 0]]).to(getattr(rl, name))
        for name in DTYPES
        if name != "complex128"
    }
    tensors["empty"], tensors["number"] = rl.empty(0, 3), rl.tensor(2.5)
    safetensors.save_file(tensors, path, {"format": "pt"})
    for read in (safetensors.load_file(path), rl.load(path)):
        assert set(read) == set(tensors)
        for name, tensor in tensors.items():
            same(read[name], tensor)
    base = rl.ones(2, 3)
    with pytest.raises(ValueError, match="non contiguous"):
        safetensors.save({"a": base.T})
    with pytest.raises(RuntimeError, match="share memory"):
        safetensors.save({"a": base, "b": base[:1]})


def test_damaged_safetensors() -> None:
    data = safetensors.save({"a": rl.arange(4.0), "b": rl.ones(2)})
    for end in range(len(data)):
        with pytest.raises(FileFormatError):
            safetensors.load(data[:end])
    length = struct.unpack("<Q", data[:8])[0]
    header = data[8 : 8 + length]
    for old, new in (
        (b"[0,16]", b"[0,17]"),
        (b"[0,16]", b"[4,20]"),
        (b"[16,24]", b"[8,16]"),
        (b"F32", b"F99"),
        (b'"b"', b'"a"'),
        (b"[4]", b"[-4]"),
        (b"[4]", b"[1e9]"),
        (b"{", b"["),
    ):
        changed = header.replace(old, new, 1)
        with pytest.raises(FileFormatError):
            safetensors.load(struct.pack("<Q", len(changed)) + changed + data[8 + length :])
    with pytest.raises(FileFormatError, match="too large"):
        safetensors.load(struct.pack("<Q", 1 << 60) + b"{}")


# Beside PyTorch


def twin(torch: Any, tensor: Any) -> Any:
    """PyTorch's tensor of the same bytes."""
    raw = torch.frombuffer(bytearray(tensor.contiguous().numpy().tobytes()), dtype=torch.uint8)
    return raw.view(getattr(torch, str(tensor.dtype)[6:])).reshape(tuple(tensor.shape))


def mixed(torch: Any) -> dict[str, Any]:
    """The same objects, made by either package."""
    base = torch.arange(12.0).reshape(3, 4)
    return {
        "base": base,
        "rows": base[1:],
        "turned": base.T,
        "odd": base.as_strided((2, 2), (5, 1), 2),
        "leaf": torch.ones(2, requires_grad=True),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "frozen": torch.nn.Parameter(torch.ones(2), requires_grad=False),
        "turned-over": torch.tensor([1 + 2j]).conj(),
        "meta": torch.empty(2, 3, device="meta"),
        "scalar": torch.tensor(3),
        "empty": torch.empty(0, 2),
        "size": base.shape,
        "dtype": torch.bfloat16,
        "ordered": OrderedDict(a=1),
        "list": [1, 2.5, "é", None, (True,), {1, 2}, 10**30, 1 + 2j],
        **{f"t-{n}": torch.tensor([0, 1, 1]).to(getattr(torch, n)) for n in DTYPES},
    }


def agree(mine: Any, theirs: Any) -> None:
    if not hasattr(theirs, "untyped_storage"):
        assert str(mine) == str(theirs)
        return
    assert str(mine.dtype) == str(theirs.dtype)
    assert tuple(mine.shape) == tuple(theirs.shape)
    assert mine.stride() == theirs.stride()
    assert mine.storage_offset() == theirs.storage_offset()
    assert mine.requires_grad == theirs.requires_grad
    assert mine.is_conj() == theirs.is_conj()
    assert str(mine.device) == str(theirs.device)
    assert type(mine).__name__ == type(theirs).__name__
    if str(theirs.device) == "cpu":
        from rushlight.runtime import host_memory

        raw = host_memory.readable(mine.untyped_storage())
        assert bytes(raw) == bytes(theirs.untyped_storage())


def test_files_equal_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save(mixed(torch), file)
    theirs = file.getvalue()
    assert saved(mixed(rl)) == theirs
    for only in (True, False, None):
        read = loaded(theirs, weights_only=only)
        for name, value in torch.load(io.BytesIO(theirs)).items():
            agree(read[name], value)
    many = [rl.full((3,), float(i)) for i in range(300)]
    file = io.BytesIO()
    torch.save([torch.full((3,), float(i)) for i in range(300)], file)
    assert saved(many) == file.getvalue()


def test_pytorch_reads_ours() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.load(io.BytesIO(saved(mixed(rl))), weights_only=True)
    for name, value in mixed(rl).items():
        agree(value, theirs[name])
    assert (
        theirs["rows"].untyped_storage().data_ptr() == theirs["base"].untyped_storage().data_ptr()
    )


def test_legacy_files() -> None:
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save(mixed(torch), file, _use_new_zipfile_serialization=False)
    data = file.getvalue()
    for only in (True, False, None):
        read = loaded(data, weights_only=only)
        for name, value in mixed(torch).items():
            agree(read[name], value)
        read["base"].zero_()
        assert float(read["rows"].sum()) == 0
    for end in range(0, len(data), 7):
        with pytest.raises(FileFormatError):
            loaded(data[:end])
    file = io.BytesIO(data + data)
    rl.load(file)
    assert rl.load(file)["list"] == mixed(torch)["list"]


def build(torch: Any) -> Any:
    n = torch.nn
    return n.Sequential(
        OrderedDict(
            conv=n.Conv2d(3, 4, 3, padding=1),
            norm=n.BatchNorm2d(4),
            act=n.ReLU(inplace=True),
            pool=n.MaxPool2d(2),
            flat=n.Flatten(),
            drop=n.Dropout(0.3),
            fc=n.Linear(64, 5),
        )
    )


def test_whole_modules_travel() -> None:
    torch = pytest.importorskip("torch")
    mine, theirs = build(rl).eval(), build(torch).eval()
    mine.load_state_dict({k: rl.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    x = np.linspace(-1, 1, 2 * 3 * 64, dtype=np.float32).reshape(2, 3, 8, 8)
    want = theirs(torch.tensor(x)).detach().numpy()
    there = torch.load(io.BytesIO(saved(mine)), weights_only=False)
    assert str(there) == str(theirs)
    np.testing.assert_array_equal(there(torch.tensor(x)).detach().numpy(), want)
    file = io.BytesIO()
    torch.save(theirs, file)
    here = loaded(file.getvalue())
    assert str(here) == str(theirs)
    np.testing.assert_allclose(here(rl.tensor(x)).detach().numpy(), want, rtol=1e-4, atol=1e-5)
    for name, value in here.state_dict().items():
        agree(value, theirs.state_dict()[name])


def test_generators_travel() -> None:
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save(theirs := torch.Generator().manual_seed(3), file)
    data = file.getvalue()
    mine = loaded(data)
    want = torch.rand(5, generator=theirs).numpy()
    back = torch.load(io.BytesIO(saved(mine)), weights_only=False)
    np.testing.assert_array_equal(rl.rand(5, generator=mine).numpy(), want)
    np.testing.assert_array_equal(torch.rand(5, generator=back).numpy(), want)


def test_functions_in_attributes() -> None:
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save([torch.relu, torch.nn.functional.gelu, torch.nn.functional.relu], file)
    wanted = [rl.relu, nn.functional.gelu, nn.functional.relu]
    assert loaded(file.getvalue()) == wanted
    assert loaded(file.getvalue(), weights_only=False) == wanted
    back = torch.load(io.BytesIO(saved(wanted)), weights_only=False)
    assert back[1:] == [torch.nn.functional.gelu, torch.nn.functional.relu]


@pytest.mark.parametrize(
    "place", ["nn", "optim", "optim.lr_scheduler", "vision.models", "vision.transforms"]
)
def test_class_names_travel(place: str) -> None:
    """Every class is found in the other package under the name that files give it."""
    torch = pytest.importorskip("torch")
    if place.startswith("vision"):
        pytest.importorskip("torchvision")
    path = "torch" + place if place.startswith("vision") else f"torch.{place}"
    theirs = importlib.import_module(path)
    mine = importlib.import_module(f"rushlight.{place}")
    assert torch
    wrong = []
    for name, there in vars(theirs).items():
        here = getattr(mine, name, None)
        if not isinstance(there, type) or not isinstance(here, type) or name.startswith("_"):
            continue
        module, other = names.theirs(here.__module__, here.__name__)
        if getattr(importlib.import_module(module), other, None) is not there:
            wrong.append(f"{name} is saved as {module}.{other}")
        module, other = names.ours(there.__module__, there.__name__)
        if vars(importlib.import_module(module)).get(other) is not here:
            wrong.append(f"{there.__module__}.{name} is looked for in {module}")
    assert not wrong
