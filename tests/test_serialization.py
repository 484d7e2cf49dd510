"""torch.save and torch.load: round trips, sharing, restrictions, damage, and atomic writing."""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import os
import pickle
import random
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from serialization_helpers import DTYPES, again, archive, loaded, same, saved

import rushlight as rl
from rushlight import nn
from rushlight.errors import FileFormatError
from rushlight.serialization import safetensors
from rushlight.serialization.zip_writer import ZipWriter

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


def test_tv_tensors() -> None:
    from rushlight.vision import tv_tensors

    boxes = tv_tensors.BoundingBoxes(rl.ones(2, 4), format="XYXY", canvas_size=(5, 6))
    for read in (again(boxes), copy.deepcopy(boxes), pickle.loads(pickle.dumps(boxes))):
        assert type(read) is tv_tensors.BoundingBoxes
        assert read.canvas_size == (5, 6)
        assert read.format is boxes.format


def test_state_cannot_reach_into_a_tensor() -> None:
    for name in ("_offset", "_storage", "_meta", "_array", "__class__"):
        tensor = rl.ones(2)
        tensor.note = 1
        data = pickle.dumps(tensor, 2)
        file = zipfile.ZipFile(io.BytesIO(saved(tensor)))
        old = b"X\x04\x00\x00\x00note"
        new = b"X" + struct.pack("<I", len(name)) + name.encode()
        harmful = archive(file.read("archive/data.pkl").replace(old, new), **{"0": bytes(8)})
        for only in (True, None, False):
            with pytest.raises(FileFormatError, match="may not set its field"):
                loaded(harmful, weights_only=only)
        with pytest.raises(FileFormatError):
            pickle.loads(data.replace(old, new))


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


def test_scrambled_pickles() -> None:
    """Bytes of the pickle itself are changed, the checksums are right."""
    file = zipfile.ZipFile(io.BytesIO(saved(Net())))
    data = file.read("archive/data.pkl")
    contents = {n[13:]: file.read(n) for n in file.namelist() if n.startswith("archive/data/")}
    numbers = random.Random(0)
    for _ in range(400):
        broken = bytearray(data)
        for _ in range(numbers.choice([1, 2, 3])):
            value = numbers.choice([numbers.randrange(256), *b"cR)}(tbQh\x81\x85us."])
            broken[numbers.randrange(len(broken))] = value
        with contextlib.suppress(FileFormatError):
            loaded(archive(bytes(broken), **contents))


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
