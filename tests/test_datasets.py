"""Data sets and downloads: made-up archives and mirrors, whole, damaged and malicious."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight import hub
from rushlight.errors import FileFormatError
from rushlight.vision import datasets
from rushlight.vision.datasets.utils import (
    RECORD_NAME,
    list_dir,
    list_files,
    verify_str_arg,
)

CLASSES = [f"class {index}" for index in range(10)]


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUSHLIGHT_MIRROR", raising=False)


# ------------------------------------------------------------------------------------- making


def cifar_files(seed: int = 0, count: int = 4) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)

    def batch() -> bytes:
        pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = [int(label) for label in rng.integers(0, 10, count)]
        return pickle.dumps({"data": pixels, "labels": labels}, protocol=2)

    names = [f"data_batch_{index}" for index in range(1, 6)] + ["test_batch"]
    files = {name: batch() for name in names}
    files["batches.meta"] = pickle.dumps({"label_names": CLASSES}, protocol=2)
    return files


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def make_tar(path: Path, files: dict[str, bytes], prefix: str = "") -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_sums(mirror: Path) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(mirror).as_posix()}\n"
        for path in sorted(mirror.rglob("*"))
        if path.is_file() and path.name != "SHA256SUMS"
    ]
    (mirror / "SHA256SUMS").write_text("".join(lines))


def idx(values: np.ndarray[Any, Any]) -> bytes:
    return (
        bytes([0, 0, 8, values.ndim])
        + struct.pack(f">{values.ndim}i", *values.shape)
        + (values.tobytes())
    )


def mnist_files(seed: int = 0, count: int = 6) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    files = {}
    for split in ("train", "t10k"):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        files[f"{split}-images-idx3-ubyte"] = idx(images)
        files[f"{split}-labels-idx1-ubyte"] = idx(labels)
    return files


def packed(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}


@pytest.fixture
def cifar_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    make_tar(mirror / "cifar-10-python.tar.gz", cifar_files(), "cifar-10-batches-py/")
    write_sums(mirror)
    monkeypatch.setenv("RUSHLIGHT_MIRROR", str(mirror))
    return mirror


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# -------------------------------------------------------------------------------------- CIFAR


def test_cifar_from_mirror(cifar_mirror: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    data = datasets.CIFAR10(str(root), download=True)
    assert data.data.shape == (20, 32, 32, 3) and data.data.dtype == np.uint8
    assert data.classes == CLASSES and data.class_to_idx["class 3"] == 3
    files = cifar_files()
    first = pickle.loads(files["data_batch_1"])
    assert np.array_equal(data.data[1], first["data"][1].reshape(3, 32, 32).transpose(1, 2, 0))
    assert data.targets[:4] == first["labels"]
    image, label = data[2]
    assert (image.mode, image.size, type(label)) == ("RGB", (32, 32), int)
    assert np.array_equal(np.asarray(image), data.data[2])
    # again, with the mirror gone: what was unpacked is enough
    (cifar_mirror / "cifar-10-python.tar.gz").unlink()
    again = datasets.CIFAR10(root, train=False, download=True, target_transform=str)
    assert len(again) == 4 and isinstance(again[0][1], str)
    assert repr(again) == (
        f"Dataset CIFAR10\n    Number of datapoints: 4\n    Root location: {root}\n"
        "    Split: Test\n    StandardTransform\nTarget transform: <class 'str'>"
    )
    assert not [path for path in root.rglob("*") if ".part" in path.name or ".unpack" in path.name]


def test_cifar_made_by_hand(tmp_path: Path) -> None:
    write_files(tmp_path / "cifar-10-batches-py", cifar_files())
    before = tree(tmp_path)
    assert len(datasets.CIFAR10(tmp_path)) == 20
    assert len(datasets.CIFAR10(tmp_path, train=False, download=True)) == 4
    assert tree(tmp_path) == before


def test_cifar_absent(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"^Dataset not found or corrupted\. You can use downl"):
        datasets.CIFAR10(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_cifar_damage_after_unpacking(cifar_mirror: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    good = datasets.CIFAR10(root, download=True)
    path = root / "cifar-10-batches-py" / "data_batch_2"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # one bit of a pixel
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="changed since it was verified"):
        datasets.CIFAR10(root)
    assert len(datasets.CIFAR10(root, train=False)) == 4  # the other split is whole
    assert np.array_equal(datasets.CIFAR10(root, download=True).data, good.data)


def test_cifar_keeps_other_files_of_the_folder(cifar_mirror: Path, tmp_path: Path) -> None:
    folder = tmp_path / "root" / "cifar-10-batches-py"
    write_files(folder, {"notes.txt": b"mine", "data_batch_1": b"broken"})
    datasets.CIFAR10(tmp_path / "root", download=True)
    assert (folder / "notes.txt").read_bytes() == b"mine"


def bad_batch(**changes: Any) -> bytes:
    batch = {"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1, 2, 3]}
    return pickle.dumps(batch | changes, protocol=2)


class Boom:
    def __reduce__(self) -> Any:
        return os.system, ("touch boom",)


BAD_BATCHES = {
    "truncated": bad_batch()[:-900],
    "not a pickle": b"hello",
    "empty": b"",
    "a list": pickle.dumps([1, 2]),
    "executes": pickle.dumps({"data": Boom(), "labels": []}),
    "wrong dtype": bad_batch(data=np.zeros((4, 3072))),
    "wrong shape": bad_batch(data=np.zeros((4, 3071), np.uint8)),
    "too few labels": bad_batch(labels=[0, 1, 2]),
    "label 10": bad_batch(labels=[0, 1, 2, 10]),
    "label -1": bad_batch(labels=[0, 1, 2, -1]),
    "label 1.0": bad_batch(labels=[0, 1, 2, 1.0]),
    "no labels": pickle.dumps({"data": np.zeros((4, 3072), np.uint8)}),
}


@pytest.mark.parametrize("name", BAD_BATCHES)
def test_cifar_bad_batch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cifar-10-batches-py"
    write_files(folder, cifar_files() | {"data_batch_3": BAD_BATCHES[name]})
    with pytest.raises(FileFormatError, match="data_batch_3"):
        datasets.CIFAR10(tmp_path)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("name", ["truncated", "executes", "label 10"])
def test_cifar_bad_archive_leaves_what_was_there(
    name: str, cifar_mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    archive = cifar_mirror / "cifar-10-python.tar.gz"
    bad = cifar_files() | {"data_batch_3": BAD_BATCHES[name]}
    make_tar(archive, bad, "cifar-10-batches-py/")
    write_sums(cifar_mirror)
    folder = tmp_path / "root" / "cifar-10-batches-py"
    write_files(folder, {"data_batch_1": b"old", "notes": b"mine"})
    with pytest.raises(FileFormatError):
        datasets.CIFAR10(tmp_path / "root", download=True)
    assert tree(folder) == {"data_batch_1": b"old", "notes": b"mine"}
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == [
        "cifar-10-batches-py",
        "cifar-10-python.tar.gz",
    ]
    assert not (tmp_path / "boom").exists()


def test_cifar_mixed_with_published_batches(tmp_path: Path) -> None:
    files = cifar_files()
    published = [list(pair) for pair in datasets.CIFAR10.train_list]
    published[0][1] = hashlib.md5(files["data_batch_1"]).hexdigest()
    known = type("CIFAR10", (datasets.CIFAR10,), {"train_list": published})
    write_files(tmp_path / "cifar-10-batches-py", files)
    with pytest.raises(FileFormatError, match="Dataset not found or corrupted"):
        known(tmp_path)


def test_cifar100(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    batch = {
        "data": rng.integers(0, 256, (5, 3072), dtype=np.uint8),
        "fine_labels": [0, 99, 5, 7, 9],
        "coarse_labels": [0, 1, 2, 3, 4],
    }
    names = [f"name {index}" for index in range(100)]
    content = pickle.dumps(batch, protocol=2)
    meta = pickle.dumps({"fine_label_names": names}, protocol=2)
    folder = tmp_path / "cifar-100-python"
    write_files(folder, {"train": content, "test": content, "meta": meta})
    data = datasets.CIFAR100(tmp_path)
    assert data.targets == batch["fine_labels"] and len(data.classes) == 100


# ------------------------------------------------------------------------------------- mirrors


def test_mirror_without_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setenv("RUSHLIGHT_MIRROR", str(mirror))
    with pytest.raises(hub.MirrorError, match="SHA256SUMS"):
        datasets.CIFAR10(tmp_path, download=True)
    write_sums(mirror)
    with pytest.raises(hub.MirrorError, match=r"cifar-10-python\.tar\.gz"):
        datasets.CIFAR10(tmp_path, download=True)
    (mirror / "cifar-10-python.tar.gz").write_bytes(b"x")
    with pytest.raises(hub.MirrorError, match="not listed"):
        datasets.CIFAR10(tmp_path, download=True)
    write_sums(mirror)
    (mirror / "cifar-10-python.tar.gz").unlink()
    with pytest.raises(hub.MirrorError, match="not there"):
        datasets.CIFAR10(tmp_path, download=True)
    monkeypatch.setenv("RUSHLIGHT_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(hub.MirrorError, match="nowhere"):
        datasets.MNIST(tmp_path, download=True)


def test_mirror_checksum(cifar_mirror: Path, tmp_path: Path) -> None:
    with open(cifar_mirror / "cifar-10-python.tar.gz", "ab") as file:
        file.write(b"\0")
    with pytest.raises(FileFormatError, match="invalid hash"):
        datasets.CIFAR10(tmp_path / "root", download=True)
    assert tree(tmp_path / "root") == {}
    (cifar_mirror / "SHA256SUMS").write_text("rubbish\n")
    with pytest.raises(FileFormatError, match="line 1"):
        datasets.CIFAR10(tmp_path / "root", download=True)


# --------------------------------------------------------------------------------------- MNIST


@pytest.fixture
def mnist_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    mirror = tmp_path / "mirror"
    write_files(mirror, packed(mnist_files()))
    write_files(mirror / "KMNIST", packed(mnist_files(seed=1)))
    write_sums(mirror)
    monkeypatch.setenv("RUSHLIGHT_MIRROR", str(mirror))
    return mirror


def test_mnist_from_mirror(mnist_mirror: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    data = datasets.MNIST(root, download=True)
    images = np.frombuffer(mnist_files()["train-images-idx3-ubyte"], np.uint8, offset=16)
    assert data.data.shape == (6, 28, 28) and data.data.dtype == rl.uint8
    assert np.array_equal(data.data.numpy(), images.reshape(6, 28, 28))
    assert data.targets.dtype == rl.int64 and data.classes[3] == "3 - three"
    image, label = data[4]
    assert (image.mode, image.size, type(label)) == ("L", (28, 28), int)
    assert np.array_equal(np.asarray(image), data.data[4].numpy())
    assert label == int(data.targets[4])
    assert len(datasets.MNIST(root, train=False)) == 6
    with pytest.warns(UserWarning, match="train_labels has been renamed targets"):
        assert data.train_labels is data.targets
    kuzushiji = datasets.KMNIST(root, download=True)  # its own folder of the mirror goes first
    assert not np.array_equal(kuzushiji.data.numpy(), data.data.numpy())
    fashion = datasets.FashionMNIST(root, download=True)  # plain names serve where alone
    assert len(fashion) == 6 and fashion.classes[9] == "Ankle boot"


def test_mnist_damage(mnist_mirror: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    good = datasets.MNIST(root, download=True)
    raw = root / "MNIST" / "raw"
    path = raw / "train-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[100] ^= 255
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="changed since"):
        datasets.MNIST(root)
    (raw / RECORD_NAME).unlink()
    assert len(datasets.MNIST(root)) == 6  # without a record only the structure can be checked
    path.write_bytes(content[:-1])
    with pytest.raises(FileFormatError, match="header says"):
        datasets.MNIST(root)
    assert np.array_equal(datasets.MNIST(root, download=True).data.numpy(), good.data.numpy())


BAD_IDX = {
    "empty": b"",
    "magic": b"\1\0\x08\x03" + struct.pack(">3i", 1, 28, 28) + bytes(784),
    "type": b"\0\0\x0a\x03" + struct.pack(">3i", 1, 28, 28) + bytes(784),
    "header": b"\0\0\x08\x03" + struct.pack(">2i", 1, 28),
    "rank": idx(np.zeros((6, 28), np.uint8)),
    "long": idx(np.zeros((6, 28, 28), np.uint8)) + b"x",
    "huge": b"\0\0\x08\x03" + struct.pack(">3i", 2**31 - 1, 2**31 - 1, 2**31 - 1),
    "count": idx(np.zeros((5, 28, 28), np.uint8)),
}


@pytest.mark.parametrize("name", BAD_IDX)
def test_mnist_bad_file(name: str, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_files(raw, mnist_files() | {"train-images-idx3-ubyte": BAD_IDX[name]})
    with pytest.raises(FileFormatError, match="train-images-idx3-ubyte"):
        datasets.MNIST(tmp_path)


def test_mnist_bad_label(tmp_path: Path) -> None:
    labels = {"train-labels-idx1-ubyte": idx(np.full(6, 10, np.uint8))}
    write_files(tmp_path / "MNIST" / "raw", mnist_files() | labels)
    with pytest.raises(FileFormatError, match="no class 10"):
        datasets.MNIST(tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "not gzip", "not idx"])
def test_mnist_bad_gzip(damage: str, mnist_mirror: Path, tmp_path: Path) -> None:
    path = mnist_mirror / "train-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-6] ^= 1  # in the CRC
    made = {
        "truncated": bytes(content[:-20]),
        "flipped": bytes(content),
        "not gzip": b"hello",
        "not idx": gzip.compress(b"hello"),
    }
    path.write_bytes(made[damage])
    write_sums(mnist_mirror)
    with pytest.raises(FileFormatError):
        datasets.MNIST(tmp_path / "root", download=True)
    raw = tmp_path / "root" / "MNIST" / "raw"
    assert [file.name for file in raw.iterdir()] == ["train-images-idx3-ubyte.gz"]


def test_mnist_not_another_data_set(mnist_mirror: Path, tmp_path: Path) -> None:
    name = "train-images-idx3-ubyte.gz"
    md5 = hashlib.md5((mnist_mirror / name).read_bytes()).hexdigest()
    genuine = datasets.MNIST.resources
    datasets.MNIST.resources = [(name, md5), *genuine[1:]]
    try:
        with pytest.raises(FileFormatError, match="is MNIST's file, not FashionMNIST's"):
            datasets.FashionMNIST(tmp_path / "root", download=True)
    finally:
        datasets.MNIST.resources = genuine


def test_emnist_and_qmnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    rng = np.random.default_rng(0)
    images = idx(rng.integers(0, 256, (6, 28, 28), dtype=np.uint8))
    labels = idx(np.array([1, 26, 3, 4, 5, 6], np.uint8))
    with zipfile.ZipFile(mirror / "gzip.zip", "w") as archive:
        for split in ("train", "test"):
            base = f"gzip/emnist-letters-{split}"
            archive.writestr(f"{base}-images-idx3-ubyte.gz", gzip.compress(images))
            archive.writestr(f"{base}-labels-idx1-ubyte.gz", gzip.compress(labels))
            archive.writestr(f"gzip/emnist-letters-{split}-mapping.txt", "1 65 97")
    table = np.zeros((6, 8), ">i4")
    table[:, 0] = range(6)
    head = bytes([0, 0, 12, 2]) + struct.pack(">2i", 6, 8)
    (mirror / "qmnist-train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    (mirror / "qmnist-train-labels-idx2-int.gz").write_bytes(gzip.compress(head + table.tobytes()))
    write_sums(mirror)
    monkeypatch.setenv("RUSHLIGHT_MIRROR", str(mirror))
    letters = datasets.EMNIST(tmp_path / "root", "letters", download=True)
    assert letters.targets.tolist() == [1, 26, 3, 4, 5, 6] and letters.classes[26] == "z"
    assert len(datasets.EMNIST(tmp_path / "root", split="letters", train=False)) == 6
    with pytest.raises(ValueError, match="Unknown value 'x' for argument split"):
        datasets.EMNIST(tmp_path, "x")
    numbers = datasets.QMNIST(tmp_path / "root", download=True)
    assert numbers[3][1] == 3 and numbers.targets.shape == (6, 8)
    full = datasets.QMNIST(tmp_path / "root", compat=False)
    assert full[2][1].tolist() == [2, 0, 0, 0, 0, 0, 0, 0]


# -------------------------------------------------------------------------------- other classes


def save_images(folder: Path, *names: str) -> None:
    from PIL import Image

    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4 + index, 5), index).save(folder / name)


def test_image_folder(tmp_path: Path) -> None:
    save_images(tmp_path, "dog/b.png", "dog/a.JPG", "cat/deep/c.bmp")
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    data = datasets.ImageFolder(str(tmp_path), transform=lambda image: image.size)
    assert data.classes == ["cat", "dog"] and data.class_to_idx == {"cat": 0, "dog": 1}
    assert [os.path.basename(path) for path, _ in data.imgs] == ["c.bmp", "a.JPG", "b.png"]
    assert data.targets == [0, 1, 1] and data[0] == ((6, 5), 0)
    assert datasets.ImageFolder(tmp_path)[1][0].mode == "RGB"
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"^Found no valid file for the classes empty"):
        datasets.ImageFolder(tmp_path)
    assert len(datasets.ImageFolder(tmp_path, allow_empty=True).classes) == 3
    with pytest.raises(FileNotFoundError, match=r"^Couldn't find any class folder in"):
        datasets.ImageFolder(tmp_path / "empty")
    texts = datasets.DatasetFolder(tmp_path, len, (".txt",), allow_empty=True)
    assert len(texts) == 1
    with pytest.raises(ValueError, match="cannot be None or not None at the same time"):
        datasets.DatasetFolder(tmp_path, len)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_damaged_image(content: bytes | None, tmp_path: Path) -> None:
    save_images(tmp_path, "a/x.png")
    path = tmp_path / "a" / "x.png"
    path.write_bytes(path.read_bytes()[:45] if content is None else content)
    with pytest.raises(FileFormatError, match=r"x\.png"):
        datasets.ImageFolder(tmp_path)[0]


def test_fake_data() -> None:
    data = datasets.FakeData(size=5, image_size=(3, 6, 7), num_classes=4)
    rl.manual_seed(3)
    before = rl.get_rng_state()
    image, label = data[2]
    assert rl.equal(before, rl.get_rng_state())
    assert image.size == (7, 6) and image.mode == "RGB" and 0 <= label < 4
    assert image.tobytes() == data[2][0].tobytes() != data[3][0].tobytes()
    with pytest.raises(IndexError, match="FakeData index out of range"):
        data[5]
    assert repr(data) == "Dataset FakeData\n    Number of datapoints: 5"


def test_coco(tmp_path: Path) -> None:
    save_images(tmp_path, "b.png", "a.png")
    boxes = [(1, 7, 3), (2, 5, 3), (3, 7, 4)]  # id, image, category
    tables = {
        "images": [{"id": 7, "file_name": "b.png"}, {"id": 5, "file_name": "a.png"}],
        "annotations": [
            {
                "id": a,
                "image_id": i,
                "category_id": c,
                "area": 10.0 * a,
                "iscrowd": 0,
                "caption": "x",
            }
            for a, i, c in boxes
        ],
        "categories": [
            {"id": 3, "name": "cat", "supercategory": "animal"},
            {"id": 4, "name": "car", "supercategory": "vehicle"},
        ],
    }
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(tables))
    data = datasets.CocoDetection(tmp_path, path)
    assert data.ids == [5, 7] and len(data) == 2
    image, target = data[1]
    assert image.size == (4, 5) and image.mode == "RGB" and [one["id"] for one in target] == [1, 3]
    coco = data.coco
    assert coco.getAnnIds(imgIds=[7], catIds=4) == [3] and coco.getAnnIds(areaRng=[5, 15]) == [1]
    assert coco.getCatIds(catNms="car") == [4] and coco.getCatIds(supNms=["animal"]) == [3]
    assert coco.getImgIds(catIds=[3, 4]) == [7] and coco.loadCats(3)[0]["name"] == "cat"
    captions = datasets.CocoCaptions(tmp_path, path, transforms=lambda image, text: (1, text))
    assert captions[0] == (1, ["x"])
    with pytest.raises(ValueError, match="Index must be of type integer, got <class 'str'> inst"):
        data["0"]
    for bad in ("{", "[1]", '{"images": [{}]}', '{"annotations": [{"id": 1}]}'):
        path.write_text(bad)
        with pytest.raises(FileFormatError, match="not a COCO annotation file"):
            datasets.CocoDetection(tmp_path, path)


def mat_element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def mat_array(name: str, values: np.ndarray[Any, Any]) -> bytes:
    """A matrix element of MATLAB's level 5 format: flags, sizes, name, numbers."""
    stored, kind = {"uint8": (2, 9), "float64": (9, 6)}[str(values.dtype)]
    head = name.encode() + bytes(4 - len(name))
    small = struct.pack("<I", len(name) << 16 | 1) + head  # up to four bytes lie in the tag itself
    return mat_element(
        14,
        mat_element(6, struct.pack("<II", kind, 0))
        + mat_element(5, struct.pack(f"<{values.ndim}i", *values.shape))
        + small
        + mat_element(stored, values.tobytes("F")),
    )


def svhn_file(packed: bool, **changes: Any) -> bytes:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "X": rng.integers(0, 256, (32, 32, 3, 4), dtype=np.uint8),
        "y": np.array([[10.0], [1.0], [9.0], [3.0]]),
    }
    elements = [mat_array(name, values) for name, values in (arrays | changes).items()]
    if packed:
        elements = [
            struct.pack("<II", 15, len(data)) + data
            for data in (zlib.compress(element) for element in elements)
        ]
    return b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + b"".join(elements)


@pytest.mark.parametrize("is_packed", [False, True])
def test_svhn(is_packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror"
    write_files(mirror, {"test_32x32.mat": svhn_file(is_packed)})
    write_sums(mirror)
    monkeypatch.setenv("RUSHLIGHT_MIRROR", str(mirror))
    data = datasets.SVHN(tmp_path / "root", "test", download=True)
    assert data.data.shape == (4, 3, 32, 32) and data.labels.tolist() == [0, 1, 9, 3]
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)
    image, label = data[2]
    assert label == 9 and np.array_equal(np.asarray(image), pixels[..., 2])
    with pytest.raises(RuntimeError, match="Dataset not found"):
        datasets.SVHN(tmp_path / "root")
    path = tmp_path / "root" / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match="changed since"):
        datasets.SVHN(tmp_path / "root", "test")
    (path.parent / RECORD_NAME).unlink()
    good = svhn_file(is_packed)
    for bad in (
        good[:-9],
        good[:100],
        b"",
        svhn_file(is_packed, y=np.full((4, 1), 11.0)),
        svhn_file(is_packed, y=np.ones((3, 1))),
        svhn_file(is_packed, X=np.ones((2, 2))),
    ):
        path.write_bytes(bad)
        with pytest.raises(FileFormatError, match="test_32x32"):
            datasets.SVHN(tmp_path / "root", "test")


def stl10_files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    counts = {"train": 20, "test": 3, "unlabeled": 2}
    files = {
        f"{part}_X.bin": rng.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8).tobytes()
        for part, count in counts.items()
    }
    folds = "".join(f"{fold} {fold + 10} \n" for fold in range(10))
    labels = {
        part: bytes(1 + index % 10 for index in range(counts[part])) for part in ("train", "test")
    }
    return files | {
        "train_y.bin": labels["train"],
        "test_y.bin": labels["test"],
        "fold_indices.txt": folds.encode(),
        "class_names.txt": "\n".join(CLASSES).encode(),
    }


def test_stl10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    make_tar(mirror / "stl10_binary.tar.gz", stl10_files(), "stl10_binary/")
    write_sums(mirror)
    monkeypatch.setenv("RUSHLIGHT_MIRROR", str(mirror))
    root = tmp_path / "root"
    data = datasets.STL10(root, download=True)
    assert len(data) == 20 and data.classes == CLASSES and data.labels[12] == 2
    stored = np.frombuffer(stl10_files()["train_X.bin"], np.uint8).reshape(20, 3, 96, 96)
    assert np.array_equal(np.asarray(data[4][0]), stored[4].transpose(2, 1, 0))
    (mirror / "stl10_binary.tar.gz").unlink()
    both_parts = datasets.STL10(root, "train+unlabeled", folds=3, download=True)
    assert both_parts.labels.tolist() == [3, 3, -1, -1] and both_parts[3][1] == -1
    assert len(datasets.STL10(root, "test")) == 3 and len(datasets.STL10(root, "unlabeled")) == 2
    with pytest.raises(ValueError, match=r"range \[0, 10\), but got 10"):
        datasets.STL10(root, folds=10)
    for name, content in (("test_X.bin", b"x" * 100), ("test_y.bin", b"\x01\x02\x0b")):
        damaged = tmp_path / name
        write_files(damaged / "stl10_binary", stl10_files() | {name: content})
        with pytest.raises(FileFormatError, match=name):
            datasets.STL10(damaged, "test")


def test_small_helpers(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": b"", "b.png": b""})
    (tmp_path / "d").mkdir()
    assert list_dir(tmp_path) == ["d"] and list_files(tmp_path, ".png") == ["b.png"]
    assert list_files(tmp_path, ".png", prefix=True) == [str(tmp_path / "b.png")]
    with pytest.raises(ValueError, match=r"^Expected type str for argument what, but got type"):
        verify_str_arg(3, "what", ("a",))
    assert verify_str_arg("a", "what", ("a",)) == "a"


def test_record_is_plain_json(cifar_mirror: Path, tmp_path: Path) -> None:
    datasets.CIFAR10(tmp_path / "root", download=True)
    path = tmp_path / "root" / "cifar-10-batches-py" / RECORD_NAME
    record = json.loads(path.read_text())
    assert set(record) == set(cifar_files())
    path.write_text("[1]")
    with pytest.raises(FileFormatError, match="damaged"):
        datasets.CIFAR10(tmp_path / "root")


# --------------------------------------------------------------------------- against torchvision


def both(make: Callable[[Any], Any]) -> tuple[Any, Any]:
    theirs = pytest.importorskip("torchvision.datasets")
    return make(datasets), make(theirs)


def test_like_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision = pytest.importorskip("torchvision")
    cifar = torchvision.datasets.cifar
    monkeypatch.setattr(cifar.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(cifar, "check_integrity", lambda *args: True)
    stl10 = torchvision.datasets.stl10.STL10
    monkeypatch.setattr(stl10, "_check_integrity", lambda self: True)
    write_files(tmp_path / "cifar-10-batches-py", cifar_files())
    write_files(tmp_path / "MNIST" / "raw", mnist_files())
    write_files(tmp_path / "stl10_binary", stl10_files())
    save_images(tmp_path / "folder", "a/x.png", "b/y.png", "b/z/w.png")
    makers: list[Callable[[Any], Any]] = [
        lambda d: d.CIFAR10(tmp_path),
        lambda d: d.CIFAR10(str(tmp_path), train=False, transform=np.asarray),
        lambda d: d.MNIST(tmp_path, target_transform=abs),
        lambda d: d.ImageFolder(tmp_path / "folder"),
        lambda d: d.STL10(tmp_path, "train+unlabeled"),
        lambda d: d.FakeData(4, (3, 5, 6), random_offset=2),
    ]
    for make in makers:
        mine, theirs = both(make)
        assert repr(mine) == repr(theirs) and len(mine) == len(theirs)
        for (image, label), (image2, label2) in zip(mine, theirs, strict=True):
            assert np.array_equal(np.asarray(image), np.asarray(image2)) and label == label2
            assert type(label) is type(label2)
        names = ("classes", "class_to_idx")
        assert all(getattr(mine, n, None) == getattr(theirs, n, None) for n in names)
