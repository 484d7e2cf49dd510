"""Files beside PyTorch: the same bytes, and whole modules that travel both ways."""

from __future__ import annotations

import importlib
import io
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from serialization_helpers import DTYPES, loaded, saved

import rushlight as rl
from rushlight import nn
from rushlight.errors import FileFormatError
from rushlight.serialization import names
from rushlight.serialization.zip_writer import ZipWriter


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


def test_legacy_modules() -> None:
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save(theirs := build(torch), file, _use_new_zipfile_serialization=False)
    for only in (None, False):
        mine = loaded(file.getvalue(), weights_only=only)
        assert str(mine) == str(theirs)
        for name, value in theirs.state_dict().items():
            agree(mine.state_dict()[name], value)


def test_vision_models_travel() -> None:
    torch = pytest.importorskip("torch")
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.resnet18(num_classes=3)
    file = io.BytesIO()
    torch.save(theirs, file)
    mine = loaded(file.getvalue())
    assert str(mine) == str(theirs)
    back = torch.load(io.BytesIO(saved(mine)), weights_only=False)
    assert type(back) is type(theirs)
    state = back.state_dict()
    assert all(torch.equal(state[name], value) for name, value in theirs.state_dict().items())
    file = io.BytesIO()
    torch.save(theirs.state_dict(), file)
    assert saved(mine.state_dict()) == file.getvalue()


def test_pytorch_reads_wide_archives() -> None:
    torch = pytest.importorskip("torch")
    data = pickle.dumps({"a": [1, 2, 3] * 200}, 2)
    file = io.BytesIO()
    writer = ZipWriter(file, "archive", limit32=300)
    writer.add("data.pkl", data)
    writer.add("byteorder", b"little")
    writer.finish()
    assert torch.load(io.BytesIO(file.getvalue())) == pickle.loads(data)
