"""Data sets, samplers, collating and the loader: seeded orders recorded from PyTorch, and PyTorch.

Worker processes have their own file, `test_data_workers.py`.
"""

from __future__ import annotations

import collections
import pickle
import random
import warnings
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight.utils import data as D
from rushlight.utils.data._utils.pin_memory import accelerator_is_available

Pair = collections.namedtuple("Pair", "first second")


def batches(loader: Any) -> list[Any]:
    return [batch.tolist() if isinstance(batch, rl.Tensor) else batch for batch in loader]


# --- orders, recorded from torch 2.13 ------------------------------------------------------------


def test_shuffled_epochs() -> None:
    rl.manual_seed(0)
    loader = D.DataLoader(range(10), 4, shuffle=True)
    assert batches(loader) == [[6, 7, 1, 4], [2, 0, 9, 8], [3, 5]]
    assert batches(loader) == [[2, 4, 7, 0], [8, 9, 5, 3], [6, 1]]
    assert rl.rand(2).tolist() == [0.455627977848053, 0.6323062777519226]


def test_an_epoch_in_order_draws_the_base_seed() -> None:
    rl.manual_seed(0)
    assert batches(D.DataLoader(range(6), 2)) == [[0, 1], [2, 3], [4, 5]]
    assert rl.rand(1).tolist() == [0.08847743272781372]


def test_own_generator() -> None:
    generator = rl.Generator().manual_seed(3)
    loader = D.DataLoader(range(7), 3, shuffle=True, generator=generator, drop_last=True)
    assert batches(loader) == [[3, 4, 2], [0, 1, 6]]
    assert batches(loader) == [[6, 1, 2], [3, 4, 0]]


def test_random_split() -> None:
    rl.manual_seed(1)
    parts = D.random_split(range(10), [0.5, 0.3, 0.2])
    assert [part.indices for part in parts] == [[5, 6, 1, 2, 0], [8, 9, 3], [7, 4]]
    parts = D.random_split(range(10), [3, 7], generator=rl.Generator().manual_seed(42))
    assert [part.indices for part in parts] == [[2, 6, 1], [8, 4, 5, 0, 9, 3, 7]]
    with pytest.raises(ValueError, match="Sum of input lengths does not equal"):
        D.random_split(range(10), [3, 3])
    with pytest.warns(UserWarning, match="Length of split at index 2 is 0"):
        D.random_split(range(2), [0.5, 0.5, 0.0])


def test_random_sampler_with_replacement() -> None:
    rl.manual_seed(2)
    drawn = list(D.RandomSampler(range(5), replacement=True, num_samples=40))
    assert "".join(map(str, drawn)) == "3444444404442233133444013300434310142242"


def test_random_sampler_beyond_one_permutation() -> None:
    generator = rl.Generator().manual_seed(5)
    drawn = list(D.RandomSampler(range(4), num_samples=10, generator=generator))
    assert drawn == [3, 1, 0, 2, 1, 3, 2, 0, 0, 3]


def test_subset_random_sampler() -> None:
    rl.manual_seed(4)
    assert list(D.SubsetRandomSampler([10, 20, 30, 40, 50])) == [10, 40, 20, 50, 30]


def test_weighted_random_sampler() -> None:
    rl.manual_seed(5)
    weights = [0.1, 0.2, 0.3, 0.4]
    assert list(D.WeightedRandomSampler(weights, 12)) == [3, 1, 2, 2, 1, 3, 2, 3, 3, 2, 2, 2]
    assert list(D.WeightedRandomSampler(weights, 4, replacement=False)) == [2, 3, 1, 0]


def test_distributed_sampler() -> None:
    sampler = D.DistributedSampler(range(11), 3, 1, seed=4)
    assert list(sampler) == [5, 1, 4, 9]
    sampler.set_epoch(1)
    assert list(sampler) == [5, 10, 6, 4]
    dropping = D.DistributedSampler(range(11), 3, 2, shuffle=False, drop_last=True)
    assert list(dropping) == [2, 5, 8]
    assert len(dropping) == 3
    with pytest.raises(ValueError, match=r"rank should be in the interval \[0, 2\]"):
        D.DistributedSampler(range(3), 3, 3)


def test_batch_sampler() -> None:
    assert list(D.BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(D.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert len(D.BatchSampler(range(5), 2, True)) == 2
    for size in (0, 1.5, True):
        with pytest.raises(ValueError, match="batch_size should be a positive integer value"):
            D.BatchSampler(range(5), size, False)  # type: ignore[arg-type]


# --- data sets -----------------------------------------------------------------------------------


def test_tensor_dataset() -> None:
    data = D.TensorDataset(rl.arange(6).reshape(3, 2), rl.arange(3))
    assert len(data) == 3
    x, y = data[-1]
    assert x.tolist() == [4, 5]
    assert y.item() == 2
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        D.TensorDataset(rl.arange(3), rl.arange(4))


def test_datasets_made_of_others() -> None:
    concat = D.TensorDataset(rl.arange(2)) + D.Subset(D.TensorDataset(rl.arange(9)), [7, 5])
    assert isinstance(concat, D.ConcatDataset)
    assert [concat[i][0].item() for i in (0, 1, 2, 3, -1)] == [0, 1, 7, 5, 5]
    with pytest.raises(ValueError, match="absolute value of index should not exceed"):
        concat[-5]
    stack = D.StackDataset(a=[1, 2], b=[3, 4])
    assert stack[1] == {"a": 2, "b": 4}
    assert stack.__getitems__([1, 0]) == [{"a": 2, "b": 4}, {"a": 1, "b": 3}]
    assert D.StackDataset([1, 2], [3, 4]).__getitems__([1]) == [(2, 4)]
    with pytest.raises(ValueError, match="Size mismatch between datasets"):
        D.StackDataset([1], [1, 2])


class Stream(D.IterableDataset):
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Any:
        return iter(range(self.n))

    def __len__(self) -> int:
        return self.n


def test_iterable_datasets() -> None:
    chain = Stream(2) + Stream(3)
    assert list(chain) == [0, 1, 0, 1, 2]
    assert len(chain) == 5
    assert batches(D.DataLoader(chain, 2)) == [[0, 1], [0, 1], [2]]
    assert batches(D.DataLoader(chain, 2, drop_last=True)) == [[0, 1], [0, 1]]
    assert list(D.DataLoader(chain, None)) == [0, 1, 0, 1, 2]
    assert len(D.DataLoader(chain, 2)) == 3
    with pytest.raises(AssertionError, match="ConcatDataset does not support IterableDataset"):
        D.ConcatDataset([Stream(1)])
    with pytest.raises(ValueError, match="expected unspecified shuffle option, but got shuffle=T"):
        D.DataLoader(chain, shuffle=True)


def test_a_stream_longer_than_it_says() -> None:
    class Liar(Stream):
        def __len__(self) -> int:
            return 1

    loader = D.DataLoader(Liar(2), 1)
    len(loader)
    with pytest.warns(UserWarning, match="was reported to be 1"):
        list(loader)


def test_dataset_is_generic_and_abstract() -> None:
    class Typed(D.Dataset[int]):
        pass

    with pytest.raises(NotImplementedError, match="Subclasses of Dataset should implement"):
        Typed()[0]
    assert repr(D.TensorDataset(rl.ones(1))).startswith(
        "<torch.utils.data.dataset.TensorDataset object at 0x"
    )
    assert repr(D.DataLoader([1])).startswith("<torch.utils.data.dataloader.DataLoader object")


def test_batch_access() -> None:
    class Whole(D.Dataset[Any]):
        def __len__(self) -> int:
            return 4

        def __getitems__(self, indices: list[int]) -> list[int]:
            return [index * 10 for index in indices]

    assert batches(D.DataLoader(Whole(), 3)) == [[0, 10, 20], [30]]
    assert batches(D.DataLoader(D.Subset(Whole(), [3, 1]), 2)) == [[30, 10]]

    class Odd(D.Subset[Any]):
        def __getitem__(self, idx: Any) -> Any:
            return 1

    with pytest.raises(NotImplementedError, match="Odd overrides __getitem__ but not __getitems__"):
        Odd([1], [0])


# --- collating -----------------------------------------------------------------------------------


def test_default_collate() -> None:
    batch = D.default_collate(
        [
            (i, i / 2, rl.tensor([i]), np.float32(i), np.arange(2) + i, str(i), i > 0)
            for i in range(2)
        ]
    )
    assert isinstance(batch, list)
    ints, floats, tensors, scalars, arrays, strings, bools = batch
    assert ints.dtype == rl.int64
    assert floats.dtype == rl.float64
    assert tensors.tolist() == [[0], [1]]
    assert scalars.dtype == rl.float32
    assert arrays.tolist() == [[0, 1], [1, 2]]
    assert strings == ("0", "1")
    assert bools.dtype == rl.bool


def test_default_collate_keeps_containers() -> None:
    ordered = collections.OrderedDict(a=1, b=[rl.tensor(1), 2])
    batch = D.default_collate([ordered, ordered])
    assert type(batch) is collections.OrderedDict
    assert batch["b"][0].tolist() == [1, 1]
    pair = D.default_collate([Pair(1, 2), Pair(3, 4)])
    assert type(pair) is Pair
    assert pair.second.tolist() == [2, 4]
    assert D.default_collate([b"a", b"b"]) == [b"a", b"b"]


def test_default_collate_refuses() -> None:
    with pytest.raises(TypeError) as caught:
        D.default_collate([object()])
    assert str(caught.value) == (
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        "found <class 'object'>"
    )
    with pytest.raises(TypeError, match="found <class 'NoneType'>"):
        D.default_collate([(1, None)])
    image = pytest.importorskip("PIL.Image").new("RGB", (2, 2))
    with pytest.raises(TypeError, match=r"found <class 'PIL\.Image\.Image'>") as caught:
        D.default_collate([image])
    assert "ToTensor()" in caught.value.__notes__[0]
    with pytest.raises(TypeError, match=r"found \|?<?U1|found <U1"):
        D.default_collate([np.array(["a"])])
    with pytest.raises(RuntimeError, match="each element in list of batch should be of equal size"):
        D.default_collate([[1, 2], [1]])


def test_default_convert() -> None:
    out = D.default_convert({"x": np.arange(2), "y": (np.float32(1), "s"), "z": [1]})
    assert out["x"].tolist() == [0, 1]
    assert isinstance(out["y"], list)
    assert isinstance(out["y"][0], rl.Tensor)
    assert out["z"] == [1]


def test_tensor_datasets_are_gathered_as_sample_by_sample() -> None:
    x, y = rl.arange(24.0).reshape(6, 2, 2), rl.arange(6)
    data = D.TensorDataset(x, y)
    order = [5, -1, 0, 3]
    (whole,) = D.DataLoader(data, batch_sampler=[order])
    samples = D.default_collate([data[i] for i in order])
    assert isinstance(whole, list)
    for ours, want in zip(whole, samples, strict=True):
        assert ours.tolist() == want.tolist()
        assert ours.dtype == want.dtype
        assert ours.stride() == want.stride()
    part = D.Subset(D.Subset(data, [5, 4, 3, 2]), [3, -1, 0])
    (batch,) = D.DataLoader(part, 4)
    assert batch[1].tolist() == [2, 2, 5]
    whole[0].zero_()
    assert x.sum().item() == 276  # a batch is a copy
    with pytest.raises(IndexError, match="index 6 is out of bounds for dimension 0 with size 6"):
        list(D.DataLoader(data, batch_sampler=[[0, 6]]))


# --- the loader's arguments ----------------------------------------------------------------------

REFUSED = [
    (dict(num_workers=-1), "num_workers option should be non-negative; use num_workers=0"),
    (dict(timeout=-1), "timeout option should be non-negative"),
    (dict(prefetch_factor=2), "prefetch_factor option could only be specified in multiprocessing"),
    (dict(num_workers=1, prefetch_factor=-1), "prefetch_factor option should be non-negative"),
    (dict(persistent_workers=True), "persistent_workers option needs num_workers > 0"),
    (dict(sampler=[0], shuffle=True), "sampler option is mutually exclusive with shuffle"),
    (dict(batch_sampler=[[0]], batch_size=2), "batch_sampler option is mutually exclusive with"),
    (dict(batch_size=None, drop_last=True), "batch_size=None option disables auto-batching"),
    (dict(batch_size=0), "batch_size should be a positive integer value, but got batch_size=0"),
    (dict(multiprocessing_context="fork"), "multiprocessing_context can only be used with"),
    (
        dict(num_workers=1, multiprocessing_context="magic"),
        "multiprocessing_context option should specify a valid start method in",
    ),
]


@pytest.mark.parametrize("arguments, text", REFUSED, ids=lambda value: str(value)[:40])
def test_refused_arguments(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        D.DataLoader([1, 2, 3], **arguments)
    assert str(caught.value).startswith(text)


def test_empty_random_sampler() -> None:
    with pytest.raises(ValueError, match="num_samples should be a positive integer value, but got"):
        D.DataLoader([], shuffle=True)


def test_attributes_are_fixed() -> None:
    loader = D.DataLoader([1])
    with pytest.raises(ValueError, match="batch_size attribute should not be set after DataLoader"):
        loader.batch_size = 2
    assert isinstance(loader.sampler, D.SequentialSampler)
    assert isinstance(loader.batch_sampler, D.BatchSampler)
    assert loader.multiprocessing_context is None


def test_many_workers_warn() -> None:
    with pytest.warns(UserWarning, match="This DataLoader will create 999 worker processes"):
        D.DataLoader([1], num_workers=999)


def test_pin_memory_without_an_accelerator() -> None:
    if accelerator_is_available():
        pytest.skip("there is an accelerator")
    with pytest.warns(UserWarning, match="'pin_memory' argument is set as true but no accelerator"):
        assert batches(D.DataLoader([1, 2], 2, pin_memory=True)) == [[1, 2]]


def test_samples_without_batches() -> None:
    loader = D.DataLoader([np.ones(2), np.zeros(2)], batch_size=None)
    assert [x.tolist() for x in loader] == [[1.0, 1.0], [0.0, 0.0]]


def test_own_collate_fn() -> None:
    assert list(D.DataLoader([1, 2, 3], 2, collate_fn=tuple)) == [(1, 2), (3,)]


def test_datasets_pickle() -> None:
    copy = pickle.loads(pickle.dumps(D.Subset([1, 2, 3], [2, 0])))
    assert [copy[0], copy[1]] == [3, 1]


def test_main_process_is_no_worker() -> None:
    assert D.get_worker_info() is None


# --- against torch -------------------------------------------------------------------------------


class Mixed:
    """Samples of every kind, and of every random stream."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def __len__(self) -> int:
        return 13

    def __getitem__(self, i: int) -> Any:
        noise = self.torch.rand(1)
        return i, {"x": noise, "s": str(i)}, [np.float32(i), random.random()], np.random.rand()


def plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return str(value.dtype).split(".")[-1], value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(item) for item in value]
    return value


@pytest.mark.parametrize(
    "options",
    [
        dict(batch_size=4),
        dict(batch_size=4, shuffle=True),
        dict(batch_size=5, shuffle=True, drop_last=True),
        dict(batch_size=None, shuffle=True),
        dict(batch_sampler=[[1, 2], [3]]),
        dict(batch_size=4, shuffle=True, num_workers=2),
        dict(batch_size=2, shuffle=True, num_workers=2, persistent_workers=True),
    ],
    ids=str,
)
def test_loader_as_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    results = []
    for library in (torch, rl):
        library.manual_seed(7)
        random.seed(1)
        np.random.seed(2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's workers fork with threads
            loader = library.utils.data.DataLoader(Mixed(library), **options)
            found = [plain(batch) for _ in range(2) for batch in loader]
            del loader
        results.append((found, library.rand(2).tolist()))
    assert results[0] == results[1]
