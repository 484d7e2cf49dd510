"""Subclasses, ``__torch_function__``, parameters, copies, pickles, NumPy's functions, numbers.

The transcript ``transcripts/subclass.txt`` holds what PyTorch shows.
"""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from transcripts import blocks, check

import rushlight as rl
from rushlight import nn

BLOCKS = blocks("subclass")
IDS = [title for title, _ in BLOCKS]


@pytest.mark.parametrize("steps", [s for _, s in BLOCKS], ids=IDS)
def test_transcript(steps):
    check(steps, rl)


@pytest.mark.parametrize("steps", [s for _, s in BLOCKS], ids=IDS)
def test_transcript_is_what_torch_says(steps):
    check(steps, pytest.importorskip("torch"))


class Tagged(rl.Tensor):
    """Carries a tag through every function."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        result = super().__torch_function__(func, types, args, kwargs or {})
        tags = [a.tag for a in args if isinstance(a, Tagged) and hasattr(a, "tag")]
        if isinstance(result, Tagged) and tags:
            result.tag = "+".join(tags)
        return result


def tagged(data, tag):
    t = rl.tensor(data).as_subclass(Tagged)
    t.tag = tag
    return t


def test_attributes_travel_through_functions():
    a, b = tagged([1.0, 2.0], "a"), tagged([3.0, 4.0], "b")
    assert (a + b).tag == "a+b"
    assert a.exp().tag == "a"
    assert a[0].tag == "a"
    assert rl.add(b, a).tag == "b+a"


def test_attributes_survive_copies_and_pickles():
    a = tagged([1.0, 2.0], "a")
    for twin in (copy.deepcopy(a), pickle.loads(pickle.dumps(a)), copy.copy(a)):
        assert type(twin) is Tagged and twin.tag == "a" and twin.tolist() == [1.0, 2.0]


def test_gradients_flow_through_subclasses():
    x = rl.tensor([1.0, 2.0], requires_grad=True)
    y = x.as_subclass(Tagged)
    ((y * y).sum() + x.sum()).backward()
    assert x.grad.tolist() == [3.0, 5.0]


def test_overridden_methods_are_used():
    class Loud(rl.Tensor):
        def sum(self, *args, **kwargs):
            return "loud"

        @property
        def doubled(self):
            return self * 2

    x = rl.ones(2).as_subclass(Loud)
    assert x.sum() == "loud"
    assert type(x.doubled) is Loud and x.doubled.tolist() == [2.0, 2.0]


def test_slots_and_new():
    class Sized(rl.Tensor):
        def __new__(cls, data, unit):
            t = rl.as_tensor(data).as_subclass(cls)
            t.unit = unit
            return t

        def __init__(self, data, unit):
            self.seen = True

    s = Sized([1.0], "cm")
    assert (s.unit, s.seen, type(s + 1)) == ("cm", True, Sized)


def test_parameters_of_modules_are_replaced_by_subclasses():
    class Special(nn.Parameter):
        pass

    p = Special(rl.ones(2))
    layer = nn.Module()
    layer.weight = p
    assert list(layer.parameters()) == [p] and isinstance(p, nn.Parameter)
    assert type(copy.deepcopy(p)) is Special


def test_numpy_round_trips_without_copies():
    t = rl.zeros(3)
    array = np.asarray(t)
    array += 1
    assert t.tolist() == [1.0, 1.0, 1.0]
    out = np.zeros(3, np.float32)
    np.add(t, 1, out=out)
    assert out.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("number", [2, 2.5, np.float32(2.5), np.int64(3)])
def test_numbers_on_both_sides(number):
    t = rl.tensor([1.0, 4.0])
    value = float(number)
    assert (t + number).tolist() == [1 + value, 4 + value]
    assert (number + t).tolist() == [1 + value, 4 + value]
    assert (number - t).tolist() == [value - 1, value - 4]
    assert (number / t).tolist() == [value, value / 4]
    assert (number * t).tolist() == [value, 4 * value]


def test_functions_of_real_torch_find_ours():
    torch = pytest.importorskip("torch")
    x, y = rl.ones(2, 3), rl.zeros(2, 3)
    made = torch.nn.PairwiseDistance()(x, y)
    assert type(made) is rl.Tensor and rl.equal(made, rl.nn.functional.pairwise_distance(x, y))
    with pytest.raises(TypeError, match="returned NotImplemented"):
        torch.ones(2, 3).add(x)
