"""Views and in-place writes: aliasing, versions, gradients and errors are PyTorch's."""

from __future__ import annotations

import check_views
import numpy as np
import pytest
import view_programs as programs
from hypothesis import given, settings

import rushlight as rl


@settings(max_examples=150, deadline=None, derandomize=True)
@given(programs.programs)
def test_random_programs_like_torch(program):
    """Values, strides, versions, gradients and errors of random programs equal real torch's."""
    torch = pytest.importorskip("torch")
    assert programs.run(rl, program) == programs.run(torch, program)


def test_random_programs_print_like_torch():
    """A sample of what ``python tests/check_views.py`` does by the thousand."""
    torch = pytest.importorskip("torch")
    assert not [text for seed in range(300) if (text := check_views.difference(torch, seed))]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(programs.programs)
@pytest.mark.filterwarnings("ignore:Use of index_put_ on expanded")
def test_random_programs_like_numpy(program):
    """Views alias as NumPy's do: a write shows in all of them."""
    for ours, model in programs.run_both(rl, program):
        for t, a in zip(ours, model, strict=True):
            assert tuple(t.shape) == a.shape
            np.testing.assert_allclose(t.numpy(), a, rtol=1e-6)


def leaf():
    return rl.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)


def test_version_is_shared_by_views_and_detach():
    x = rl.zeros(3)
    v, d, fresh = x[1:], x.detach(), x.data
    v.add_(1)
    assert (x._version, v._version, d._version, fresh._version) == (1, 1, 1, 0)
    assert x.tolist() == [0, 1, 1] and d.tolist() == [0, 1, 1]


def test_write_through_a_view_changes_the_gradient_of_the_base():
    x = leaf()
    y = x * 1
    y[1:3].mul_(10)
    y.sum().backward()
    assert x.grad.tolist() == [1, 10, 10, 1]


def test_a_view_made_before_a_write_to_its_base_sees_it():
    x = leaf()
    y = x * 1
    v = y[:2]
    y.mul_(3)
    (v * 2).sum().backward()
    assert x.grad.tolist() == [6, 6, 0, 0]


def test_a_tensor_becomes_differentiable_by_a_write():
    x, y = leaf(), rl.zeros(2, 4)
    y[0] = x * 2
    assert y.requires_grad and not y.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [2, 2, 2, 2]


def test_refused_writes():
    x = leaf()
    with pytest.raises(RuntimeError, match=r"^a leaf Variable that requires grad is being used"):
        x.add_(1)
    with pytest.raises(RuntimeError, match=r"^a view of a leaf Variable that requires grad"):
        x[0].add_(1)
    y = x * 1
    with pytest.raises(RuntimeError, match=r"^Output 0 of Split is a view and is being modified"):
        y.split(2)[0].add_(1)
    with rl.no_grad():
        v = y[1:]
    with pytest.raises(RuntimeError, match=r"^A view was created in no_grad mode and is being"):
        v.mul_(2)
    y.mul_(2)
    with pytest.raises(RuntimeError, match=r"^A view was created in no_grad mode and its base"):
        _ = v.grad_fn


def test_overlapping_targets_are_refused():
    wide = rl.zeros(1).expand(3)
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        wide.add_(1)
    assert wide.zero_().tolist() == [0, 0, 0]
    with pytest.warns(UserWarning, match="Use of index_put_ on expanded tensors is deprecated"):
        wide[rl.tensor([0])] = 2.0
    x = rl.arange(4.0)
    with pytest.raises(RuntimeError, match="some elements of the input tensor and the written-to"):
        x[1:].mul_(x[:-1])
    x[2:].mul_(x[:2])
    assert x.tolist() == [0, 1, 0, 3]


def test_a_saved_tensor_that_was_changed_is_noticed():
    x = leaf()
    y = x * 1
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_no_grad_writes_pass_the_leaf_check():
    x = leaf()
    with rl.no_grad():
        x.mul_(2)
        x[0] = 5
    assert x.tolist() == [5, 4, 6, 8] and x.is_leaf and x.requires_grad


def test_names_of_fills_and_pieces():
    y = leaf() * 1
    assert y.clone().fill_(2.0).grad_fn.name() == "FillBackward2"
    z = y.clone()
    z[:] = 2.0
    assert z.grad_fn.name() == "FillBackward3"
    assert rl.fill(y, 2.0).grad_fn.name() == "FillBackward0"
    assert y.split(2)[0].grad_fn.name() == "SplitBackward0"
    assert y.split([1, 3])[0].grad_fn.name() == "SplitWithSizesBackward0"


def test_a_number_written_as_a_tensor_asks_for_memory_of_its_own():
    wide = rl.zeros(2, 1).expand(2, 3)
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        wide[:] = 1.0


def test_a_stale_view_is_refused_in_backward_too():
    x = leaf()
    part = x.unbind()[0]
    y = part * part
    with rl.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match=r"^Output 0 of Unbind is a view and its base"):
        y.backward()


def test_unsafe_pieces_may_be_written():
    x = leaf()
    a, b = rl.unsafe_split(x * 1, 2)
    a.mul_(3)
    (a.sum() + b.sum()).backward()
    assert x.grad.tolist() == [3, 3, 1, 1]


@pytest.mark.parametrize("name", ["squeeze", "diagonal", "permute", "unfold", "select", "expand"])
def test_copies_do_not_alias(name):
    x = rl.arange(6.0).reshape(1, 2, 3)
    args = {
        "permute": ((2, 0, 1),),
        "unfold": (2, 2, 1),
        "select": (1, 0),
        "expand": ((2, 2, 3),),
        "diagonal": (0, 1, 2),
    }.get(name, ())
    made = getattr(rl, name + "_copy")(x, *args)
    shown = rl.Tensor.__dict__[name](x, *args)
    assert rl.equal(made, shown) and made.is_contiguous()
    made.zero_()
    assert x.sum() == 15


def test_memory_of_an_array_is_not_replaced():
    a = np.zeros(2, np.float32)
    t = rl.from_numpy(a)
    assert not t.untyped_storage().resizable() and rl.ones(2).untyped_storage().resizable()
    with pytest.raises(RuntimeError, match=r"^Trying to resize storage that is not resizable"):
        t.resize_(100)
    with pytest.raises(RuntimeError, match=r"^Trying to resize storage that is not resizable"):
        rl.cat([rl.ones(1), rl.ones(3)], out=rl.from_numpy(a[:0]))


def test_reflected_operators_are_methods_of_tensors():
    with pytest.raises(TypeError, match=r"descriptor '__radd__' for 'torch._C.TensorBase' objects"):
        rl.Tensor.__radd__(2, 3)
    with pytest.raises(AttributeError, match="'int' object has no attribute 'reciprocal'"):
        rl.Tensor.__rdiv__(2, rl.ones(3))


def test_what_a_lost_gradient_would_have_needed_is_checked():
    x = leaf()
    with rl.no_grad():
        v = x[:2]
    y = v.sin()
    assert y.requires_grad and y.grad_fn.next_functions == ((None, 0),)
    with rl.no_grad():
        x.mul_(2)
    with pytest.raises(RuntimeError, match=r"^A view was created in no_grad mode and its base"):
        y.sum().backward()
    assert (v.detach().requires_grad_() * 2).grad_fn is not None


def test_views_follow_their_storage():
    t = rl.arange(4.0)
    view = t[1:]
    assert view.tolist() == [1.0, 2.0, 3.0]
    t.untyped_storage().resize_(64)
    t.fill_(3.0)
    assert view.tolist() == [3.0] * 3
    t.resize_(20).fill_(5.0)
    assert view.tolist() == [5.0] * 3
