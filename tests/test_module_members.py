"""Members of a module looked up as attributes: whatever changes them, the attribute follows."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import weakref

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn.modules._members import plain_dict


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 3)
        self.scale = nn.Parameter(rl.ones(3))
        self.register_buffer("seen", rl.zeros(1))
        self.register_parameter("shift", None)

    def forward(self, x):
        return self.fc(x) * self.scale


NAMES = ("fc", "scale", "seen", "shift")


def looked_up(net):
    """The module after each member was read once, so that all are kept."""
    for name in NAMES:
        getattr(net, name)
        assert name in plain_dict(net)
    return net


@pytest.fixture
def net():
    return looked_up(Net())


def kinds(net):
    return {"scale": net._parameters, "seen": net._buffers, "fc": net._modules}


def a_new(name):
    if name == "fc":
        return nn.Linear(2, 3)
    return nn.Parameter(rl.zeros(3)) if name == "scale" else rl.ones(1)


@pytest.mark.parametrize("name", ["fc", "scale", "seen"])
def test_every_write_is_seen(net, name):
    members = kinds(net)[name]
    writes = [
        lambda new: setattr(net, name, new),
        lambda new: members.__setitem__(name, new),
        lambda new: members.update({name: new}),
        lambda new: members.update([(name, new)]),
        lambda new: members.__ior__({name: new}),
        lambda new: (members.pop(name), members.setdefault(name, new)),
    ]
    for write in writes:
        new = a_new(name)
        write(new)
        assert getattr(net, name) is new
        assert members[name] is new
        assert getattr(net, name) is plain_dict(net)[name]


@pytest.mark.parametrize("name", ["fc", "scale", "seen"])
def test_every_removal_is_seen(name):
    removals = [
        lambda net, members: delattr(net, name),
        lambda net, members: members.__delitem__(name),
        lambda net, members: members.pop(name),
        lambda net, members: members.clear(),
        lambda net, members: [members.popitem() for _ in list(members)],
        lambda net, members: setattr(net, "_" + KIND[name], {}),
        lambda net, members: nn.Module.__init__(net),
    ]
    for remove in removals:
        net = looked_up(Net())
        remove(net, kinds(net)[name])
        with pytest.raises(AttributeError, match=f"'Net' object has no attribute '{name}'"):
            getattr(net, name)
        assert not hasattr(net, name)


KIND = {"fc": "modules", "scale": "parameters", "seen": "buffers"}


def test_a_dictionary_put_in_place_of_one(net):
    net._modules = {"fc": nn.ReLU()}
    assert isinstance(net.fc, nn.ReLU)
    net._modules["fc"] = nn.Tanh()
    assert isinstance(net.fc, nn.Tanh)
    net.__dict__["_parameters"] = {"scale": 5}
    assert net.scale == 5


def test_a_name_changes_its_kind(net):
    del net.scale
    net.scale = nn.ReLU()
    assert isinstance(net.scale, nn.ReLU)
    net.scale = nn.Parameter(rl.ones(1))
    assert "scale" not in net._modules
    assert net.scale is net._parameters["scale"]
    with pytest.raises(TypeError, match="cannot assign 'int' as parameter 'scale'"):
        net.scale = 5
    net.scale = None
    assert net.scale is None
    del net.scale
    net.scale = 5
    assert net.scale == 5
    assert vars(net)["scale"] == 5


def test_parameters_come_before_buffers_and_modules(net):
    net._modules["seen"] = nn.ReLU()
    assert isinstance(net.seen, rl.Tensor)
    weight = nn.Parameter(rl.ones(1))
    net._parameters["seen"] = weight
    assert net.seen is weight
    del net._parameters["seen"]
    assert net.seen is net._buffers["seen"]
    del net._buffers["seen"]
    assert isinstance(net.seen, nn.ReLU)


def test_a_plain_attribute_hides_a_member(net):
    object.__setattr__(net, "scale", "plain")
    net._parameters["scale"] = nn.Parameter(rl.ones(1))
    assert net.scale == "plain"
    assert vars(net)["scale"] == "plain"
    object.__delattr__(net, "scale")
    assert net.scale is net._parameters["scale"]


def test_dictionary_and_state_have_plain_attributes_only():
    fresh, used = Net(), looked_up(Net())
    assert list(vars(used)) == list(vars(fresh))
    fresh, used = Net(), looked_up(Net())
    assert list(used.__getstate__()) == list(fresh.__getstate__())
    assert {type(used.__getstate__()[kind]) for kind in ("_parameters", "_modules")} == {dict}
    assert dir(used) == dir(fresh)
    assert dir(used).count("scale") == 1


def test_after_a_look_at_the_dictionary_nothing_is_kept(net):
    own = net.__dict__
    assert net.fc is net._modules["fc"]
    assert "fc" not in own
    own["_modules"]["fc"] = nn.ReLU()
    assert isinstance(net.fc, nn.ReLU)


def test_pickles_are_those_of_plain_dictionaries():
    fresh = Net()
    used = looked_up(copy.deepcopy(fresh))
    assert pickle.dumps(used) == pickle.dumps(copy.deepcopy(fresh))
    assert b"builtins" not in pickle.dumps(used, protocol=4)
    loaded = looked_up(pickle.loads(pickle.dumps(used)))
    loaded._parameters["scale"] = new = nn.Parameter(rl.zeros(3))
    assert loaded.scale is new
    file = io.BytesIO()
    rl.save(used, file)
    file.seek(0)
    again = rl.load(file, weights_only=False)
    assert list(vars(again)) == list(vars(used))
    assert again.fc.weight.tolist() == used.fc.weight.tolist()


def test_deep_copies_are_independent(net):
    other = looked_up(copy.deepcopy(net))
    assert other.fc is other._modules["fc"] is not net.fc
    other.fc = nn.ReLU()
    assert isinstance(net.fc, nn.Linear)
    net._parameters["scale"] = nn.Parameter(rl.zeros(1))
    assert other.scale.numel() == 3


def test_shallow_copies_share_their_members(net):
    other = copy.copy(net)
    assert other._parameters is net._parameters
    for module, seen_by in ((net, other), (other, net)):
        looked_up_names = [getattr(m, name) for m in (net, other) for name in NAMES]
        assert len(looked_up_names) == 8
        module.fc = new = nn.Linear(1, 1)
        assert seen_by.fc is new
        module.scale = weight = nn.Parameter(rl.zeros(1))
        assert seen_by.scale is weight
    other.extra = 1
    assert not hasattr(net, "extra")


def test_copies_that_user_code_makes_of_the_dictionary(net):
    other = Net.__new__(Net)
    other.__dict__.update(net.__dict__)
    assert other.fc is net.fc
    net._modules["fc"] = new = nn.ReLU()
    assert other.fc is new is net.fc
    third = Net.__new__(Net)
    third.__dict__ = copy.deepcopy(net.__dict__)
    third.scale = nn.Parameter(rl.zeros(2))
    assert third.scale.numel() == 2
    assert net.scale.numel() == 3
    fourth = Net()
    for name, value in net.__dict__.items():
        setattr(fourth, name, copy.deepcopy(value))
    fourth.scale = nn.Parameter(rl.zeros(7))
    assert fourth.scale.numel() == 7


def test_class_attributes_come_before_members():
    class Named(nn.Module):
        fc = "of the class"

        def __init__(self):
            super().__init__()
            self.fc = nn.ReLU()

    assert Named().fc == "of the class"


def test_a_property_that_fails_is_asked_again():
    class Late(nn.Module):
        def __init__(self):
            super().__init__()
            self._modules["part"] = nn.ReLU()

        @property
        def part(self):
            if not self.ready:
                raise AttributeError("not ready")
            return "ready"

    late = Late()
    late.ready = False
    assert isinstance(late.part, nn.ReLU)
    late.ready = True
    assert late.part == "ready"


def test_own_getattr_is_asked_each_time():
    class Counting(nn.Module):
        asked = 0

        def __init__(self):
            super().__init__()
            self.part = nn.ReLU()

        def __getattr__(self, name):
            type(self).asked += 1
            try:
                return super().__getattr__(name)
            except AttributeError:
                return "from elsewhere"

    counting = Counting()
    before = Counting.asked
    assert isinstance(counting.part, nn.ReLU)
    assert isinstance(counting.part, nn.ReLU)
    assert counting.unknown == "from elsewhere"
    assert Counting.asked == before + 3


def test_a_mixin_with_a_dictionary_of_its_own():
    class Mixin:
        def names(self):
            return list(self.__dict__)

    class Both(Mixin, nn.Module):
        def __init__(self):
            super().__init__()
            self.part = nn.ReLU()

    both = Both()
    assert isinstance(both.part, nn.ReLU)
    assert "part" not in both.names()
    both.__dict__["_modules"] = {"part": nn.Tanh()}
    assert isinstance(both.part, nn.Tanh)


def test_functional_call_swaps_and_restores(net):
    own, other = net.scale, rl.full((3,), 2.0)
    x = rl.ones(1, 2)
    once = rl.func.functional_call(net, {"scale": other}, x)
    assert once.tolist() == (net.fc(x) * 2).tolist()
    assert net.scale is own


def test_parametrisation_and_pruning():
    layer = nn.Linear(2, 2)
    before = layer.weight.clone()
    nn.utils.parametrize.register_parametrization(layer, "weight", nn.Identity())
    assert layer.weight.tolist() == before.tolist()
    with rl.no_grad():
        layer.parametrizations.weight.original.zero_()
    assert layer.weight.tolist() == [[0, 0], [0, 0]]
    twin = copy.deepcopy(layer)
    with rl.no_grad():
        twin.parametrizations.weight.original.fill_(1)
    assert twin.weight.tolist() == [[1, 1], [1, 1]]
    assert layer.weight.tolist() == [[0, 0], [0, 0]]
    nn.utils.parametrize.remove_parametrizations(layer, "weight")
    assert layer.weight is layer._parameters["weight"]
    other = nn.Linear(2, 2)
    assert other.weight is not None
    nn.utils.prune.l1_unstructured(other, "weight", 2)
    assert other.weight is not other._parameters["weight_orig"]
    nn.utils.prune.remove(other, "weight")
    assert other.weight is other._parameters["weight"]


def test_conversions_are_seen(net):
    net.to(rl.float64)
    assert net.scale.dtype is net.seen.dtype is net.fc.weight.dtype is rl.float64
    state = {name: value * 0 + 4 for name, value in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    assert net.scale is net._parameters["scale"]
    assert net.seen.item() == 4


def test_lazy_modules_become_ready():
    lazy = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    assert isinstance(lazy[0].weight, nn.UninitializedParameter)
    lazy(rl.randn(4, 5))
    assert lazy[0].weight.shape == (3, 5)
    assert lazy[0].weight is lazy[0]._parameters["weight"]


def test_renumbered_containers():
    chain = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    assert isinstance(getattr(chain, "0"), nn.ReLU)
    del chain[0]
    assert isinstance(getattr(chain, "0"), nn.Tanh)
    assert not hasattr(chain, "2")


def test_what_is_kept_keeps_no_module_alive():
    gc.collect()
    gc.disable()
    try:
        net = looked_up(Net())
        alive = [weakref.ref(net), weakref.ref(net.fc), weakref.ref(net.scale)]
        del net
        assert [ref() for ref in alive] == [None] * 3
    finally:
        gc.enable()


def test_before_init():
    class Hasty(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match="cannot assign module before"):
        Hasty()

    class Bare(nn.Module):
        def __init__(self):
            pass

        def forward(self, x):
            return x

    with pytest.raises(AttributeError, match="'Bare' object has no attribute '_backward_hooks'"):
        Bare()(1)


def test_calls_with_all_kinds_of_arguments():
    class Echo(nn.Module):
        def forward(self, *args, **kwargs):
            return args, kwargs

    echo = Echo()
    for args in ((), (1,), (1, 2), (1, 2, 3), (None, None)):
        assert echo(*args) == (args, {})
        assert echo(*args, input=3, other=4) == (args, {"input": 3, "other": 4})
    handle = echo.register_forward_hook(lambda module, args, out: None)
    assert echo(1, 2, 3, x=4) == ((1, 2, 3), {"x": 4})
    assert echo() == ((), {})
    handle.remove()
