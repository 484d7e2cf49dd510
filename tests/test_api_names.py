"""Names of PyTorch that few scripts use: older methods, streams, mapped files, grouped products."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import rushlight as rl
from rushlight.nn import functional as F


def test_memory_and_order():
    x = rl.arange(6.0).reshape(2, 3)
    assert x.const_data_ptr() == x.data_ptr() and rl.get_device(x) == -1
    assert x.dim_order() == (0, 1) and x.t().dim_order() == (1, 0)
    image = rl.ones(2, 3, 4, 5).to(memory_format=rl.channels_last)
    assert image.dim_order() == (0, 2, 3, 1) and rl.ones(()).dim_order() == ()
    both = [rl.contiguous_format, rl.channels_last]
    assert rl.ones(2, 1, 2).dim_order(ambiguity_check=both) == (0, 1, 2)
    for check in (True, both):
        with pytest.raises(RuntimeError, match="The tensor does not have unique dim order"):
            rl.ones(2, 3, 1, 1).dim_order(ambiguity_check=check)
    with pytest.raises(TypeError, match="must be a bool or a list of memory formats"):
        x.dim_order(ambiguity_check=[3])


def test_typed_storage():
    x = rl.tensor([1.0, 2.0, 3.0])
    with pytest.warns(UserWarning, match="TypedStorage is deprecated"):
        storage = x.storage()
    assert storage.tolist() == [1, 2, 3] and storage[1] == 2 and len(storage) == 3
    storage[1] = 5.0
    assert x.tolist() == [1, 5, 3] and list(storage.clone().fill_(2)) == [2, 2, 2]
    assert repr(storage).endswith(
        "[torch.storage.TypedStorage(dtype=torch.float32, device=cpu) of size 3]"
    )
    with pytest.raises(RuntimeError, match="slices are only supported in UntypedStorage"):
        storage[:2]


def test_older_methods():
    x = rl.ones(2, 3, requires_grad=True)
    with pytest.warns(UserWarning, match="non-inplace resize is deprecated"):
        assert x.resize(3, 2).shape == (3, 2)
    with pytest.warns(UserWarning, match="non-inplace resize_as is deprecated"):
        assert x.resize_as(rl.ones(6)).shape == (6,)
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="requested resize to 5 "):
        x.resize(5)
    with pytest.warns(UserWarning, match="volatile was removed"):
        assert x.volatile is False
    with pytest.raises(RuntimeError, match=r"^reinforce\(\) was removed\."):
        x.reinforce(1)
    assert x.name is None and not x.is_distributed() and x.to_dense() is x
    assert x.to_dense(rl.float64).dtype is rl.float64
    assert x.detach().module_load(rl.zeros(2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert rl.arange(6).reshape(2, 3).index((0, 1), (1, rl.tensor([0, 2]))).tolist() == [3, 5]
    y = rl.zeros(2)
    assert rl.addmv_(y, rl.ones(2, 3), rl.ones(3)) is y and y.tolist() == [3, 3]
    for refused in (lambda: x.record_stream(rl.Stream()), lambda: x.to_padded_tensor(0.0)):
        with pytest.raises(NotImplementedError, match=r"^Could not run 'aten::"):
            refused()


def test_streams_of_the_cpu():
    s = rl.Stream()
    assert s.query() and s == rl.Stream("cpu") and s.synchronize() is None
    assert repr(rl.Event()).startswith("torch.Event device_type=cpu")
    with s, pytest.raises(RuntimeError, match="cpu backend doesn't support events"):
        s.record_event()
    with pytest.raises(RuntimeError, match="not linked with support for cuda devices"):
        rl.Stream("cuda")
    assert rl.get_device_module() is rl.cpu and rl.get_device_module("cuda") is rl.cuda
    with pytest.raises(RuntimeError, match="Invalid value of device '3'"):
        rl.get_device_module(3)
    assert rl.cpu.is_available() and rl.cpu.current_device() == "cpu"


def test_from_file(tmp_path):
    path = tmp_path / "data"
    np.arange(6, dtype=np.float32).tofile(path)
    private = rl.from_file(str(path), size=4)
    assert private.tolist() == [0, 1, 2, 3]
    private[0] = 9
    shared = rl.from_file(str(path), shared=True, size=6, dtype=rl.float32)
    assert shared[0] == 0
    shared[0] = 7
    assert np.fromfile(path, np.float32)[0] == 7
    grown = rl.from_file(str(tmp_path / "new"), True, 3, dtype=rl.int32)
    assert grown.tolist() == [0, 0, 0] and (tmp_path / "new").stat().st_size == 12
    assert rl.from_file(str(path)).shape == (0,)
    with pytest.raises(RuntimeError, match="is smaller than the required mapping size <160>"):
        rl.from_file(str(path), size=40)
    with pytest.raises(RuntimeError, match=r"unable to open file .* in read-only mode"):
        rl.from_file(str(tmp_path / "absent"), size=1)
    with pytest.raises(RuntimeError, match="not resizable"):
        shared.resize_(100)


def test_dlpack_of_the_root():
    x = rl.ones(2)
    assert rl.from_dlpack(rl.utils.dlpack._Capsule(rl.to_dlpack(x))).tolist() == [1, 1]


GROUPS = [
    ((2, 3, 8), (2, 8, 4), None),
    ((5, 8), (2, 8, 4), [2, 5]),
    ((2, 4, 8), (8, 8), [4, 8]),
    ((4, 8), (8, 4), [4, 8]),
]


@pytest.mark.parametrize("a, b, ends", GROUPS)
def test_grouped_products(a, b, ends):
    rl.manual_seed(0)
    a, b = rl.randn(*a, requires_grad=True), rl.randn(*b, requires_grad=True)
    offs = None if ends is None else rl.tensor(ends, dtype=rl.int32)
    out = F.grouped_mm(a, b, offs=offs)
    out.backward(rl.ones_like(out))
    torch = pytest.importorskip("torch")
    x, y = (torch.from_numpy(t.detach().numpy()).requires_grad_() for t in (a, b))
    want = torch.nn.functional.grouped_mm(
        x, y, offs=None if ends is None else torch.tensor(ends, dtype=torch.int32)
    )
    want.backward(torch.ones_like(want))
    for got, have in ((out, want), (a.grad, x.grad), (b.grad, y.grad)):
        np.testing.assert_allclose(
            got.detach().numpy(), have.detach().numpy(), rtol=1e-4, atol=1e-5
        )


def test_grouped_products_refuse_as_pytorch():
    x, w = rl.ones(8, 16), rl.ones(2, 16, 8)
    offs = rl.tensor([3, 8], dtype=rl.int32)
    for text, call in (
        ("Have to provide offsets", lambda: F.grouped_mm(x, w)),
        ("Offsets have to be int32", lambda: F.grouped_mm(x, w, offs=offs.long())),
        ("Bias not supported yet", lambda: F.grouped_mm(x, w, offs=offs, bias=x)),
        ("contraction dimension of mat_a", lambda: F.grouped_mm(w, w)),
        (
            "strides should be multiple of 16",
            lambda: F.grouped_mm(rl.ones(2, 4, 15), rl.ones(2, 15, 8)),
        ),
        ("Expected mat_a to be Float32", lambda: F.grouped_mm(w.double(), w.double())),
    ):
        with pytest.raises(RuntimeError, match=text):
            call()
    one, kind = rl.ones(()), F.ScalingType.TensorWise
    with pytest.raises(ValueError, match=r"^Invalid scaling configuration"):
        F.scaled_mm(x, x.t(), one, kind, one, kind)
    with pytest.raises(NotImplementedError, match="_scaled_grouped_mm_v2"):
        F.scaled_grouped_mm(x, x.t(), one, kind, one, kind)


def test_names_for_signatures():
    assert F.BroadcastingList2[int] is None and F.DType is int and F.Tensor is rl.Tensor
    assert F.GRID_SAMPLE_PADDING_MODES["border"] == 1
    choose = F.boolean_dispatch(
        "flag", 1, False, lambda x, flag=True: "yes", lambda x, flag=False: "no", "m", "f"
    )
    assert (choose(1), choose(1, True), choose(1, flag=True)) == ("no", "yes", "yes")
    assert choose.__name__ == "f" and choose.__module__ == "m"


def test_permissions_of_the_engine():
    allowed = rl.autograd.is_multithreading_enabled
    with rl.autograd.set_multithreading_enabled(False):
        assert not allowed()
    assert allowed()
    with rl.autograd.enforce_grad_layout_policy(False):
        x = rl.ones(2, 3, requires_grad=True)
        (x * 2).sum().backward()
    assert x.grad.tolist() == [[2, 2, 2], [2, 2, 2]]
    with pytest.raises(RuntimeError, match=r"use torch.tensor"):
        rl.autograd.variable(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = rl.autograd.NestedIOFunction()
    with pytest.raises(RuntimeError, match=r"^Legacy autograd function with non-static forward"):
        old(x)
    assert rl.random.thread_safe_generator() is None
    assert "sync_note" in rl.linalg.common_notes


def test_functionalize():
    def f(x, pair):
        x.add_(1)
        pair[0].mul_(x)
        return x.view(-1), pair[0]

    x, y = rl.zeros(2), rl.full((2,), 3.0)
    first, second = rl.func.functionalize(f, remove="mutations_and_views")(x, [y])
    assert x.tolist() == [1, 1] and y.tolist() == [3, 3] and second.tolist() == [3, 3]
    assert first.data_ptr() != x.data_ptr()
    a = rl.zeros(2)
    assert rl.func.functionalize(lambda s, t: s.add_(1) + t)(a, a).tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="received invalid argument for remove=foo"):
        rl.func.functionalize(f, remove="foo")


def test_arguments_have_pytorchs_names():
    a, v = rl.eye(3) * 2, rl.ones(3)
    la = rl.linalg
    assert la.lstsq(input=a, b=v)[0].tolist() == [0.5, 0.5, 0.5]
    assert la.tensorsolve(input=a, other=v).tolist() == [0.5, 0.5, 0.5]
    for f in (la.cond, la.eigvalsh, la.matrix_norm, la.matrix_rank, la.norm, la.pinv, la.cholesky):
        assert f(input=a).dtype in (rl.float32, rl.int64)
    assert rl.cholesky_solve(input=a, input2=rl.eye(3)).equal(a)
    assert rl.ormqr(input=rl.eye(3), input2=rl.zeros(3), input3=a).equal(a)
    assert rl.swapaxes(input=rl.ones(2, 3), axis0=0, axis1=1).shape == (3, 2)
    assert rl.isin(element=1, test_elements=v).item() and rl.isin(elements=v, test_element=1).all()
    assert len(rl.split(tensor=a, split_size_or_sections=2)) == len(a.split(split_size=2)) == 2
    with pytest.raises(TypeError, match=r"isin\(\) missing 1 required positional argument"):
        rl.isin(a)
    for name in ("mm", "bmm"):
        x = a if name == "mm" else a[None]
        with pytest.raises(NotImplementedError, match=f"Could not run 'aten::{name}.dtype'"):
            getattr(rl, name)(x, x, out_dtype=rl.float32)


def test_recurrent_layers_take_names():
    x, h = rl.ones(4, 1, 3), rl.zeros(1, 1, 2)
    params = [rl.ones(6, 3), rl.ones(6, 2)]
    flags = {"has_biases": False, "num_layers": 1, "dropout": 0.0, "train": False}
    named = rl.gru(input=x, hx=h, params=params, bidirectional=False, batch_first=False, **flags)
    assert named[0].equal(rl.gru(x, h, params, False, 1, 0.0, False, False, False)[0])
    packed = rl.gru(
        data=x[:, 0],
        batch_sizes=rl.tensor([1] * 4),
        hx=h,
        params=params,
        bidirectional=False,
        **flags,
    )
    assert packed[0].equal(named[0][:, 0])
    with pytest.raises(TypeError, match='missing 1 required positional arguments: "batch_first"'):
        rl.gru(input=x, hx=h, params=params, bidirectional=False, **flags)
    with pytest.raises(TypeError, match="unexpected keyword argument 'depth'"):
        rl.gru(x, h, depth=1)


def test_dtype_of_gradients():
    x = rl.ones(3, requires_grad=True)
    assert x.grad_dtype is rl.float32
    x.grad_dtype = rl.float64
    for _ in range(2):
        (x * 2).sum().backward()
    assert x.grad.dtype is rl.float64 and x.grad.tolist() == [4, 4, 4]
    with pytest.raises(
        RuntimeError, match="because there is already a gradient with dtype 'double'"
    ):
        x.grad_dtype = rl.float16
    x.grad = None
    with pytest.raises(
        RuntimeError, match="with dtype 'float' to a tensor with grad_dtype 'Double'"
    ):
        x.grad = rl.ones(3)
    x.grad_dtype = None
    x.grad = rl.ones(3, dtype=rl.bfloat16)
    assert x.grad.dtype is rl.bfloat16
    with pytest.raises(RuntimeError, match=r"must be a torch.dtype or None, but got int"):
        x.grad_dtype = 3
    with pytest.raises(RuntimeError, match=r"can only be accessed on leaf tensors\."):
        (x * 2).grad_dtype  # noqa: B018


def test_writes_that_autograd_cannot_see():
    x = rl.ones(2, requires_grad=True)
    y = x * 1
    z = y * y
    rl.autograd.graph.increment_version([y])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_einsum_by_name():
    a, b = rl.ones(2, 3), rl.ones(3, 4)
    assert rl.einsum("ij,jk", a, b).equal(a @ b)
    assert rl.einsum(a, [0, 1], b, [1, 2], [0, 2]).equal(a @ b)
    assert rl.einsum("ij,jk", [a, b]).equal(a @ b)
    with pytest.raises(ValueError, match="must specify the equation string"):
        rl.einsum("ij")


def test_numpys_name_of_the_dimension():
    x = rl.arange(6.0).reshape(2, 3)
    for name in ("softmax", "log_softmax", "unsqueeze", "squeeze", "sum", "cumsum", "argmax"):
        f = getattr(rl, name)
        assert f(x, axis=1).equal(f(x, dim=1)) and getattr(x, name)(axis=1).equal(f(x, 1))
    for f in (rl.cat, rl.stack, rl.concatenate):
        assert f([x, x], axis=1).equal(f([x, x], 1))
    assert len(x.chunk(3, axis=1)) == 3
    for name in ("softmax", "unsqueeze"):
        with pytest.raises(
            TypeError, match=f'{name}.. missing 1 required positional arguments: "dim"'
        ):
            getattr(rl, name)(x)
