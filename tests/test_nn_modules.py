"""Modules: the table of `nn_cases` against PyTorch where installed, and Module's own promises."""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings
from collections import OrderedDict

import numpy as np
import pytest
from nn_cases import CASES, Spec

import rushlight as rl
from rushlight import nn


def drawn(value, rng, module):
    """The argument of a case, with arrays as tensors of `module` (rushlight or torch)."""
    return module.from_numpy(value.array(rng)) if isinstance(value, Spec) else value


def flat(value):
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in flat(item)]
    return [] if value is None else [value]


def run_case(module, case):
    """Make, call and differentiate one case; everything that can be compared, as NumPy."""
    name, args, kwargs, inputs = case
    rng = np.random.default_rng(0)
    module.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kwargs = {key: drawn(value, rng, module) for key, value in kwargs.items()}
        layer = getattr(module.nn, name)(*args, **kwargs)
        found = {
            "repr": repr(layer),
            "attributes": sorted(vars(layer)),
            "state keys": list(layer.state_dict()),
            "version": str(dict(layer.state_dict()._metadata)),
            "rng after init": module.get_rng_state().numpy().tobytes(),
        }
        found["state"] = [
            value.detach().numpy().copy()
            for value in layer.state_dict().values()
            if not module.nn.parameter.is_lazy(value)
        ]
        if not inputs:
            return found
        tensors = [drawn(value, rng, module) for value in inputs]
        for spec, tensor in zip(inputs, tensors, strict=True):
            if spec.kind in "fp":
                tensor.requires_grad_()
        module.manual_seed(1)
        outputs = flat(layer(*tensors))
        found["rng after call"] = module.get_rng_state().numpy().tobytes()
        found["outputs"] = [output.detach().numpy() for output in outputs]
        found["repr after call"] = repr(layer)
        scalars = [
            (output * module.arange(output.numel()).reshape(output.shape).cos()).sum()
            for output in outputs
            if output.requires_grad
        ]
        if scalars:
            sum(scalars).backward()
        leaves = [*tensors, *layer.parameters()]
        found["gradients"] = [None if t.grad is None else t.grad.numpy() for t in leaves]
    return found


def case_name(case):
    name, args, kwargs, _ = case
    return "-".join([name, *map(str, args), *kwargs]).replace(" ", "")


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_like_torch(case):
    torch = pytest.importorskip("torch")
    ours, theirs = run_case(rl, case), run_case(torch, case)
    assert ours.keys() == theirs.keys()
    for key, want in theirs.items():
        got = ours[key]
        if not isinstance(want, list) or key in ("attributes", "state keys"):
            assert got == want, key
            continue
        assert len(got) == len(want), key
        for mine, other in zip(got, want, strict=True):
            if other is None:
                assert mine is None, key
                continue
            assert mine.shape == other.shape, key
            assert mine.dtype == other.dtype, key
            # float32 sums in another order: a few ulp of the largest term.
            tolerance = 0 if key == "state" else 2e-5
            np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance, err_msg=key)


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_runs_copies_and_pickles(case):
    """Every class is made and called, and deepcopy and pickle give the same layer."""
    found = run_case(rl, case)
    assert all(np.isfinite(output).all() for output in found.get("outputs", ()))
    name, args, kwargs, _ = case
    if name.startswith("Lazy"):
        return  # uninitialised parameters have no values to compare
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = getattr(nn, name)(*args, **{k: drawn(v, rng, rl) for k, v in kwargs.items()})
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(twin) is type(layer)
        assert repr(twin) == repr(layer)
        assert list(vars(twin)) == list(vars(layer)) or set(vars(twin)) == set(vars(layer))
        for key, value in layer.state_dict().items():
            other = twin.state_dict()[key]
            assert rl.equal(value, other)
            assert other.data_ptr() != value.data_ptr() or value.numel() == 0


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case[0].startswith("Lazy")], ids=case_name
)
def test_whole_modules_travel(case, tmp_path):
    """torch.save of a layer there loads here and computes the same, and back."""
    torch = pytest.importorskip("torch")
    name, args, kwargs, inputs = case
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kwargs = {key: drawn(value, rng, torch) for key, value in kwargs.items()}
        layer = getattr(torch.nn, name)(*args, **kwargs).eval()
        arrays = [spec.array(rng) for spec in inputs]
        torch.save(layer, tmp_path / "there.pth")
        here = rl.load(tmp_path / "there.pth", weights_only=False)
        rl.save(here, tmp_path / "here.pth")
        back = torch.load(tmp_path / "here.pth", weights_only=False)
        assert type(here) is getattr(nn, name) and type(back) is type(layer)
        assert repr(here) == repr(back) == repr(layer)
        if not inputs:
            return
        with torch.no_grad(), rl.no_grad():
            want = flat(layer(*map(torch.from_numpy, arrays)))
            again = flat(back(*map(torch.from_numpy, arrays)))
            got = flat(here(*map(rl.from_numpy, arrays)))
    for first, second, mine in zip(want, again, got, strict=True):
        np.testing.assert_array_equal(first.numpy(), second.numpy())
        np.testing.assert_allclose(mine.numpy(), first.numpy(), rtol=2e-5, atol=2e-5)


def test_signatures_are_torchs():
    torch = pytest.importorskip("torch")
    for name in sorted({case[0] for case in CASES}):
        ours = inspect.signature(getattr(nn, name).__init__).parameters
        theirs = inspect.signature(getattr(torch.nn, name).__init__).parameters
        assert list(ours) == list(theirs), name
        for key, parameter in theirs.items():
            if not callable(parameter.default) or parameter.default is inspect._empty:
                assert ours[key].default == parameter.default, (name, key)
        constants = getattr(getattr(torch.nn, name), "__constants__", None)
        assert getattr(getattr(nn, name), "__constants__", None) == constants, name


def test_case_table_covers_the_layers():
    tested = {case[0] for case in CASES}
    elsewhere = {
        "Buffer",
        "Container",
        "DataParallel",
        "LinearCrossEntropyOptions",
        "Module",
        "ModuleDict",
        "ModuleList",
        "NLLLoss2d",
        "Parameter",
        "ParameterDict",
        "ParameterList",
        "Sequential",
        "TransformerDecoder",
        "TransformerEncoder",
        "UninitializedBuffer",
        "UninitializedParameter",
    }
    classes = {name for name in nn.__all__ if inspect.isclass(getattr(nn, name))}
    assert classes - tested == elsewhere


# Module itself


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(4, 2, bias=False))
        self.register_buffer("scale", rl.ones(2))
        self.register_buffer("scratch", rl.zeros(1), persistent=False)
        self.offset = nn.Parameter(rl.zeros(2))

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale + self.offset


def test_registration_and_traversal():
    net = Net()
    names = [name for name, _ in net.named_parameters()]
    assert names == ["offset", "first.weight", "first.bias", "rest.1.weight"]
    assert [name for name, _ in net.named_buffers()] == ["scale", "scratch"]
    assert [name for name, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert [name for name, _ in net.named_children()] == ["first", "rest"]
    assert list(net.state_dict()) == [
        "offset",
        "scale",
        "first.weight",
        "first.bias",
        "rest.1.weight",
    ]
    assert net.get_submodule("rest.1") is net.rest[1]
    assert net.get_parameter("first.bias") is net.first.bias
    assert net.get_buffer("scale") is net.scale
    with pytest.raises(AttributeError, match="Net has no attribute `nope`"):
        net.get_submodule("nope.1")
    with pytest.raises(AttributeError, match="`weight` is not a buffer"):
        net.get_buffer("first.weight")
    net.set_submodule("rest.0", nn.Tanh())
    assert isinstance(net.rest[0], nn.Tanh)
    assert {"first", "offset", "scale", "forward", "training"} <= set(dir(net))


def test_shared_parameters_come_once():
    net = nn.Module()
    net.a = nn.Linear(2, 2)
    net.b = net.a
    assert len(list(net.parameters())) == 2
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert len(list(net.state_dict())) == 4


def test_assignment_rules():
    net = nn.Module()
    with pytest.raises(TypeError, match="cannot assign 'list' as parameter 'w'"):
        net.w = nn.Parameter(rl.zeros(1))
        net.w = []
    net.w = None
    assert net.w is None and "w" in net._parameters
    net.layer = nn.ReLU()
    with pytest.raises(TypeError, match="cannot assign 'int' as child module 'layer'"):
        net.layer = 3
    net.register_buffer("buf", rl.zeros(1))
    with pytest.raises(TypeError, match="cannot assign 'str' as buffer 'buf'"):
        net.buf = "no"
    net.buf = rl.ones(3)
    assert "buf" in net._buffers and net.buf.shape == (3,)
    net.buf = nn.Parameter(rl.zeros(2))  # a new kind replaces the old one
    assert "buf" in net._parameters and "buf" not in net._buffers
    net.plain = 1
    net.plain = nn.Linear(1, 1)
    assert "plain" not in vars(net) and "plain" in net._modules
    del net.plain
    with pytest.raises(AttributeError, match="'Module' object has no attribute 'plain'"):
        _ = net.plain
    with pytest.raises(KeyError, match="attribute 'forward' already exists"):
        net.register_buffer("forward", None)
    with pytest.raises(KeyError, match=r"name can.*contain"):
        net.register_parameter("a.b", None)
    with pytest.raises(ValueError, match="Cannot assign non-leaf Tensor to parameter 'x'"):
        made = nn.Parameter(rl.zeros(1))
        grown = made * 2
        grown._is_param = True
        net.register_parameter("x", grown)
    net.mark = nn.Buffer(rl.zeros(1), persistent=False)
    assert "mark" in net._buffers and "mark" not in net.state_dict()


def test_before_init():
    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.ReLU()

    with pytest.raises(
        AttributeError, match=r"cannot assign module before Module.__init__\(\) call"
    ):
        Early()

    class Lazy(nn.Module):
        def __init__(self):
            pass

    with pytest.raises(AttributeError, match="'Lazy' object has no attribute"):
        Lazy()(1)
    with pytest.raises(TypeError, match=r"Net.__init__\(\) takes 1 positional argument but 2"):
        Net(3)
    with pytest.raises(NotImplementedError, match='missing the required "forward" function'):
        nn.Module()(1)


def test_direct_writes_are_seen():
    layer = nn.Linear(2, 2)
    layer._parameters["weight"] = nn.Parameter(rl.zeros(2, 2))
    layer._parameters["bias"] = None
    assert rl.equal(layer(rl.ones(1, 2)), rl.zeros(1, 2))
    chain = nn.Sequential(nn.ReLU())
    chain._modules["0"] = nn.Identity()
    assert chain(rl.tensor([-1.0])).item() == -1


def test_load_state_dict_errors():
    net = Net()
    state = net.state_dict()
    state.pop("offset")
    state["rest.9.weight"] = rl.zeros(1)
    state["first.weight"] = rl.zeros(4, 5)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "offset". \n'
        '\tUnexpected key(s) in state_dict: "rest.9.weight". \n'
        "\tsize mismatch for first.weight: copying a param with shape torch.Size([4, 5]) from "
        "checkpoint, the shape in current model is torch.Size([4, 3])."
    )
    state["first.weight"] = rl.ones(4, 3)
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["offset"]
    assert result.unexpected_keys == ["rest.9.weight"]
    assert rl.equal(net.first.weight, rl.ones(4, 3))
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like, got <class 'list'>"):
        net.load_state_dict([])
    assert repr(net.load_state_dict(net.state_dict())) == "<All keys matched successfully>"


def test_load_state_dict_assign_and_shared_memory():
    a, b = Net(), Net()
    state = a.state_dict()
    assert state["first.weight"].data_ptr() == a.first.weight.data_ptr()
    before = b.first.weight
    b.load_state_dict(state)
    assert b.first.weight is before
    b.load_state_dict(state, assign=True)
    assert b.first.weight is not before
    assert isinstance(b.first.weight, nn.Parameter)
    assert b.first.weight.data_ptr() == a.first.weight.data_ptr()


def test_state_dict_hooks_and_extra_state():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.count = 3

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    net = nn.Sequential(Counter())
    state = net.state_dict()
    assert state["0._extra_state"] == {"count": 3}
    state["0._extra_state"]["count"] = 7
    net.load_state_dict(state)
    assert net[0].count == 7
    with pytest.raises(RuntimeError, match=r'Missing key.* "0\._extra_state"'):
        net.load_state_dict({})

    seen = []
    layer = nn.Linear(1, 1)
    layer.register_state_dict_pre_hook(lambda module, prefix, keep: seen.append("save"))
    layer.register_state_dict_post_hook(lambda module, state, prefix, meta: seen.append("saved"))
    layer.register_load_state_dict_pre_hook(lambda module, state, *rest: seen.append("load"))
    layer.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
    layer.load_state_dict({"weight": rl.zeros(1, 1)})
    layer.state_dict()
    assert seen == ["load", "save", "saved"]


def test_forward_hooks():
    layer = nn.Linear(2, 2)
    seen = []
    handles = [
        layer.register_forward_pre_hook(lambda m, args: (args[0] + 1,)),
        layer.register_forward_pre_hook(
            lambda m, args, kwargs: seen.append(sorted(kwargs)), with_kwargs=True
        ),
        layer.register_forward_hook(lambda m, args, out: out * 0 + 5),
        layer.register_forward_hook(lambda m, args, out: seen.append(out.sum().item())),
        layer.register_forward_hook(lambda m, args, out: seen.append("first"), prepend=True),
    ]
    assert rl.equal(layer(rl.zeros(1, 2)), rl.full((1, 2), 5.0))
    assert seen == [[], "first", 10.0]
    for handle in handles:
        handle.remove()
    assert not layer._forward_hooks and not layer._forward_pre_hooks_with_kwargs
    layer(rl.zeros(1, 2))
    assert len(seen) == 3


def test_hooks_are_counted():
    """`Module.__call__` looks at hooks only while this count is not zero."""
    from rushlight.nn.modules._hooks import hooks_seen

    layer, seen = nn.ReLU(), []
    before = len(hooks_seen)
    hooks = [layer.register_forward_hook(lambda *args: seen.append(1)) for _ in range(6)]
    twin = copy.deepcopy(layer)
    assert len(hooks_seen) == before + 12
    twin(rl.zeros(1))
    assert len(seen) == 6
    hooks[0].remove()
    hooks[0].remove()
    del layer._forward_hooks[hooks[1].id]
    layer._forward_hooks.pop(hooks[2].id)
    layer._forward_hooks.popitem()
    layer._forward_hooks.popitem(last=False)
    assert list(layer._forward_hooks) == [hooks[4].id]
    layer._forward_hooks.clear()
    twin._forward_hooks.clear()
    assert len(hooks_seen) == before
    layer._forward_hooks = OrderedDict({0: lambda *args: seen.append(2)})
    layer(rl.zeros(1))
    assert seen[-1] == 2 and len(hooks_seen) == before + 1
    layer._forward_hooks.clear()
    layer._forward_hooks[7] = lambda *args: seen.append(3)  # written by hand
    layer(rl.zeros(1))
    assert seen[-1] == 3
    layer._forward_hooks.clear()


def test_always_called_hook_runs_on_errors():
    class Broken(nn.Module):
        def forward(self, x):
            raise KeyError("broken")

    seen = []
    module = Broken()
    module.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(KeyError, match="broken"):
        module(1)
    assert seen == [None]


def test_global_hooks():
    from rushlight.nn.modules import module as files

    seen = []
    with files.register_module_forward_hook(lambda m, args, out: seen.append(type(m).__name__)):
        nn.Sequential(nn.ReLU(), nn.Tanh())(rl.zeros(1))
    assert seen == ["ReLU", "Tanh", "Sequential"]
    with files.register_module_parameter_registration_hook(lambda m, name, p: seen.append(name)):
        nn.Linear(1, 1)
    assert seen[3:] == ["weight", "bias"]
    nn.ReLU()(rl.zeros(1))
    assert len(seen) == 5


def test_backward_hooks():
    layer = nn.Linear(2, 1, bias=False)
    seen = {}

    def pre(module, grad_output):
        return (grad_output[0] * 2,)

    def post(module, grad_input, grad_output):
        seen["in"], seen["out"] = grad_input, grad_output
        return (grad_input[0] + 1,)

    layer.register_full_backward_pre_hook(pre)
    layer.register_full_backward_hook(post)
    x = rl.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert seen["out"][0].item() == 2
    np.testing.assert_allclose(seen["in"][0].numpy(), 2 * layer.weight.detach().numpy())
    np.testing.assert_allclose(x.grad.numpy(), 2 * layer.weight.detach().numpy() + 1)
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full"):
        layer.register_backward_hook(post)


def test_modes_and_gradients():
    net = Net()
    assert net.eval() is net and not net.rest[1].training
    net.train()
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        net.train("yes")
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    net.requires_grad_()
    net(rl.ones(1, 3)).sum().backward()
    assert net.offset.grad is not None
    net.zero_grad(set_to_none=False)
    assert rl.equal(net.offset.grad, rl.zeros(2))
    net.zero_grad()
    assert net.offset.grad is None


def test_conversions_keep_identity():
    net = Net()
    weight, count = net.first.weight, nn.BatchNorm1d(2)
    net(rl.ones(1, 3)).sum().backward()
    assert net.double() is net
    assert net.first.weight is weight
    assert weight.dtype is rl.float64 and weight.grad.dtype is rl.float64
    assert net.scale.dtype is rl.float64
    assert net.to(rl.float16).first.weight.dtype is rl.float16
    assert net.float().to("cpu", rl.float64).offset.dtype is rl.float64
    assert net.to(rl.zeros(1)).offset.dtype is rl.float32
    count.half()
    assert count.num_batches_tracked.dtype is rl.int64
    with pytest.raises(TypeError, match="only accepts floating point or complex dtypes"):
        net.to(rl.int64)
    conv = nn.Conv2d(4, 4, 3).to(memory_format=rl.channels_last)
    assert conv.weight.is_contiguous(memory_format=rl.channels_last)
    meta = nn.Linear(3, 2, device="meta")
    assert meta.weight.is_meta
    assert not meta.to_empty(device="cpu").weight.is_meta


def test_apply_and_compile():
    order = []
    net = Net()
    net.apply(lambda module: order.append(type(module).__name__))
    assert order == ["Linear", "ReLU", "Linear", "Sequential", "Net"]


def test_printing():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(1, 2), nn.Dropout(0.1))

        def extra_repr(self):
            return "one=1,\ntwo=2"

    assert repr(Noisy()) == (
        "Noisy(\n"
        "  one=1,\n"
        "  two=2\n"
        "  (body): Sequential(\n"
        "    (0): Linear(in_features=1, out_features=2, bias=True)\n"
        "    (1): Dropout(p=0.1, inplace=False)\n"
        "  )\n"
        ")"
    )


def test_errors_say_where():
    net = Net()
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied") as caught:
        net(rl.zeros(1, 9))
    place = "in Net.first: Linear(in_features=3, out_features=4, bias=True)"
    assert [note for note in caught.value.__notes__ if note.startswith("in ")] == [place]
    deep = nn.Sequential(nn.ModuleDict({"a": net}).a.rest)
    with pytest.raises(RuntimeError) as caught:
        deep(rl.zeros(1, 9))
    place = "in Sequential.0.1: Linear(in_features=4, out_features=2, bias=False)"
    assert place in caught.value.__notes__

    class Own(nn.Module):
        def forward(self, x):
            raise KeyError("mine")

    with pytest.raises(KeyError) as caught:
        Own()(1)
    assert not getattr(caught.value, "__notes__", [])
    with pytest.raises(KeyError) as caught:
        nn.Sequential(Own())(1)
    assert caught.value.__notes__ == ["in Sequential.0: Own()"]


# Containers


def test_sequential():
    chain = nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.ReLU(), c=nn.Linear(3, 1)))
    assert isinstance(chain[1], nn.ReLU) and chain[-1] is chain.c
    part = chain[:2]
    assert isinstance(part, nn.Sequential) and list(part._modules) == ["a", "b"]
    with pytest.raises(IndexError, match="index 5 is out of range"):
        chain[5]
    del chain[1]
    assert list(chain._modules) == ["0", "1"]
    chain.append(nn.Tanh()).insert(0, nn.Identity()).extend([nn.ReLU()])
    kinds = [type(module).__name__ for module in chain]
    assert kinds == ["Identity", "Linear", "Linear", "Tanh", "ReLU"]
    assert len(chain * 2) == 10 and len(chain + chain) == 10
    with pytest.raises(TypeError, match="list is not a Module subclass"):
        chain.append([])
    with pytest.raises(ValueError, match="add operator supports only objects of Sequential"):
        chain + [nn.ReLU()]
    assert isinstance(chain.pop(-1), nn.ReLU) and len(chain) == 4


def test_module_list_and_dict():
    layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1), nn.ReLU()])
    layers += [nn.ReLU()]
    layers.insert(0, nn.Tanh())
    assert repr(layers) == (
        "ModuleList(\n"
        "  (0): Tanh()\n"
        "  (1-2): 2 x Linear(in_features=1, out_features=1, bias=True)\n"
        "  (3-4): 2 x ReLU()\n"
        ")"
    )
    assert len(layers[1:3]) == 2
    del layers[0]
    assert isinstance(layers[0], nn.Linear)
    assert len(list(layers.parameters())) == 4
    acts = nn.ModuleDict([["relu", nn.ReLU()]])
    acts.update({"tanh": nn.Tanh()})
    acts["selu"] = nn.SELU()
    assert list(acts) == ["relu", "tanh", "selu"] and "tanh" in acts
    assert isinstance(acts.pop("tanh"), nn.Tanh) and len(acts) == 2
    with pytest.raises(KeyError, match="attribute 'keys' already exists"):
        acts["keys"] = nn.ReLU()
    with pytest.raises(ValueError, match="has length 3; 2 is required"):
        acts.update([("a", 1, 2)])


def test_parameter_containers():
    params = nn.ParameterList([rl.zeros(2), nn.Parameter(rl.ones(2, 3))])
    params.append(rl.zeros(1))
    assert all(isinstance(p, nn.Parameter) for p in params)
    assert len(list(params.parameters())) == len(params) == 3
    assert repr(params) == (
        "ParameterList(\n"
        "    (0): Parameter containing: [torch.float32 of size 2]\n"
        "    (1): Parameter containing: [torch.float32 of size 2x3]\n"
        "    (2): Parameter containing: [torch.float32 of size 1]\n"
        ")"
    )
    with pytest.raises(RuntimeError, match="ParameterList should not be called"):
        params()
    named = nn.ParameterDict({"b": rl.zeros(1), "a": rl.ones(2)})
    assert list(named) == ["a", "b"]  # plain mappings are taken in sorted order
    assert named.popitem()[0] == "b" and list(named.keys()) == ["a"]
    assert list((named | nn.ParameterDict({"z": rl.zeros(1)})).keys()) == ["a", "z"]
    with pytest.raises(TypeError, match="cannot be used as a key as it is not a string"):
        named[3] = rl.zeros(1)


def test_parameter():
    base = rl.ones(2)
    param = nn.Parameter(base)
    assert param.data_ptr() == base.data_ptr() and param.requires_grad and param.is_leaf
    assert type(param * 1) is rl.Tensor and type(param.data) is rl.Tensor
    assert not isinstance(base, nn.Parameter) and isinstance(param, rl.Tensor)
    assert not isinstance(param, nn.UninitializedParameter)
    assert repr(param) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    twin = copy.deepcopy(param)
    assert isinstance(twin, nn.Parameter) and twin.data_ptr() != param.data_ptr()
    again = pickle.loads(pickle.dumps(nn.Parameter(base, requires_grad=False)))
    assert isinstance(again, nn.Parameter) and not again.requires_grad
    with pytest.raises(RuntimeError, match="can require gradients"):
        nn.Parameter(rl.zeros(1, dtype=rl.int64))


def test_lazy_modules():
    layer = nn.LazyLinear(3)
    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized"):
        _ = layer.weight.shape
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
        layer.weight + 1
    fresh = nn.LazyLinear(3)
    fresh.load_state_dict(nn.Linear(4, 3).state_dict())
    assert fresh.weight.shape == (3, 4)
    assert type(layer) is nn.LazyLinear
    layer(rl.zeros(2, 5))
    assert type(layer) is nn.Linear and not layer._forward_pre_hooks
    with pytest.raises(RuntimeError, match=r"Expected 3D \(unbatched\) or 4D \(batched\) input"):
        nn.LazyConv2d(1, 1)(rl.zeros(3))


def test_attributes_are_torchs():
    """What a pickled network carries is what PyTorch's does."""
    torch = pytest.importorskip("torch")
    ours, theirs = Net().rest, torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(4, 2, False))
    for mine, other in zip(ours.modules(), theirs.modules(), strict=True):
        assert vars(mine).keys() == vars(other).keys()
        for key, value in vars(other).items():
            assert isinstance(vars(mine)[key], OrderedDict) == isinstance(value, OrderedDict), key
    twin = pickle.loads(pickle.dumps(ours))
    assert type(twin[0]._forward_hooks) is OrderedDict  # the watched dictionaries stay here
