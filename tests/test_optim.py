"""Optimizers: each rule against NumPy in float64 and, where it is installed, against torch."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import rushlight as rl

Array = Any
SHAPES = [(5, 4), (7,), (2, 3, 2)]


def starts(dtype: str) -> list[Array]:
    generator = np.random.default_rng(0)
    return [generator.standard_normal(shape).astype(dtype) for shape in SHAPES]


def gradient(value: Array, number: int, step: int) -> Array:
    """Some smooth gradient, in the parameter's dtype."""
    return ((number + 1) * (value - value.dtype.type(0.3)) + np.cos(step + value) * 0.1).astype(
        value.dtype
    )


def train(lib: Any, name: str, options: dict[str, Any], dtype: str, steps: int = 25) -> Any:
    """Parameters (two groups) and the optimizer after some steps with gradients set by hand."""
    params = [lib.nn.Parameter(lib.tensor(start)) for start in starts(dtype)]
    rest = dict(options)
    groups = [{"params": params[:1], "lr": rest.get("lr", 0.03)}, {"params": params[1:]}]
    optimizer = getattr(lib.optim, name)(groups, **rest)
    for step in range(steps):
        for number, param in enumerate(params):
            value = param.detach().numpy().copy()
            param.grad = lib.tensor(gradient(value, number, step))
        optimizer.step()
    return params, optimizer


# --- references ----------------------------------------------------------------------------------
# Each is a generator: it gets the parameter and a gradient, and yields the new parameter.

Rule = Callable[..., Array]


def sgd(p: Array, g: Array, t: int, s: dict[str, Any], o: dict[str, Any]) -> Array:
    g = g + o.get("weight_decay", 0) * p
    momentum = o.get("momentum", 0)
    if momentum:
        s["b"] = momentum * s["b"] + (1 - o.get("dampening", 0)) * g if t > 1 else g
        g = g + momentum * s["b"] if o.get("nesterov") else s["b"]
    return p - o["lr"] * g


def adam(p: Array, g: Array, t: int, s: dict[str, Any], o: dict[str, Any]) -> Array:
    b1, b2 = o.get("betas", (0.9, 0.999))
    decay = o.get("weight_decay", 0)
    if o.get("decoupled_weight_decay"):
        p = p * (1 - o["lr"] * decay)
    else:
        g = g + decay * p
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    v = s["v"]
    if o.get("amsgrad"):
        v = s["w"] = np.maximum(s.get("w", 0), v)
    m = s["m"] / (1 - b1**t)
    return p - o["lr"] * m / (np.sqrt(v / (1 - b2**t)) + o.get("eps", 1e-8))


def adamw(p: Array, g: Array, t: int, s: dict[str, Any], o: dict[str, Any]) -> Array:
    return adam(p, g, t, s, {"weight_decay": 1e-2, **o, "decoupled_weight_decay": True})


def rmsprop(p: Array, g: Array, t: int, s: dict[str, Any], o: dict[str, Any]) -> Array:
    a = o.get("alpha", 0.99)
    g = g + o.get("weight_decay", 0) * p
    s["v"] = a * s.get("v", 0) + (1 - a) * g * g
    v = s["v"]
    if o.get("centered"):
        s["a"] = a * s.get("a", 0) + (1 - a) * g
        v = v - s["a"] ** 2
    s["b"] = o.get("momentum", 0) * s.get("b", 0) + g / (np.sqrt(v) + 1e-8)
    return p - o["lr"] * s["b"]


def adagrad(p: Array, g: Array, t: int, s: dict[str, Any], o: dict[str, Any]) -> Array:
    g = g + o.get("weight_decay", 0) * p
    s["v"] = s.get("v", o.get("initial_accumulator_value", 0)) + g * g
    lr = o["lr"] / (1 + (t - 1) * o.get("lr_decay", 0))
    return p - lr * g / (np.sqrt(s["v"]) + 1e-10)


def adadelta(p: Array, g: Array, t: int, s: dict[str, Any], o: dict[str, Any]) -> Array:
    rho = o.get("rho", 0.9)
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g * g
    u = g * np.sqrt(s.get("u", 0) + 1e-6) / np.sqrt(s["v"] + 1e-6)
    s["u"] = rho * s.get("u", 0) + (1 - rho) * u * u
    return p - o["lr"] * u


def adamax(p: Array, g: Array, t: int, s: dict[str, Any], o: dict[str, Any]) -> Array:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["u"] = np.maximum(0.999 * s.get("u", 0), np.abs(g) + 1e-8)
    return p - o["lr"] / (1 - 0.9**t) * s["m"] / s["u"]


def nadam(p: Array, g: Array, t: int, s: dict[str, Any], o: dict[str, Any]) -> Array:
    mu, after = (0.9 * (1 - 0.5 * 0.96 ** (k * 4e-3)) for k in (t, t + 1))
    s["mu"] = s.get("mu", 1) * mu
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g
    m = after * s["m"] / (1 - s["mu"] * after) + (1 - mu) * g / (1 - s["mu"])
    return p - o["lr"] * m / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)


def radam(p: Array, g: Array, t: int, s: dict[str, Any], o: dict[str, Any]) -> Array:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g
    m = s["m"] / (1 - 0.9**t)
    longest = 2 / (1 - 0.999) - 1
    rho = longest - 2 * t * 0.999**t / (1 - 0.999**t)
    if rho <= 5:
        return p - o["lr"] * m
    top = (rho - 4) * (rho - 2) * longest
    r = math.sqrt(top / ((longest - 4) * (longest - 2) * rho))
    return p - o["lr"] * m * r * math.sqrt(1 - 0.999**t) / (np.sqrt(s["v"]) + 1e-8)


def asgd(p: Array, g: Array, t: int, s: dict[str, Any], o: dict[str, Any]) -> Array:
    lambd = o.get("lambd", 1e-4)
    # The rate of a step is the one that the step before has set, kept in float32 by PyTorch.
    eta = s.get("eta", np.float32(o["lr"]))
    p = p * (1 - lambd * float(eta)) - float(eta) * g
    s["eta"] = np.float32(o["lr"] / (1 + lambd * o["lr"] * t) ** 0.75)
    return p


def rprop(p: Array, g: Array, t: int, s: dict[str, Any], o: dict[str, Any]) -> Array:
    sign = np.sign(g * s.get("g", 0))
    factor = np.where(sign > 0, 1.2, np.where(sign < 0, 0.5, 1.0))
    s["d"] = np.clip(s.get("d", o["lr"]) * factor, 1e-6, 50)
    s["g"] = g = np.where(sign < 0, 0, g)
    return p - np.sign(g) * s["d"]


def adafactor(p: Array, g: Array, t: int, s: dict[str, Any], o: dict[str, Any]) -> Array:
    weight, tiny = t**-0.8, np.finfo(p.dtype).eps

    def rms(x: Array) -> float:
        return float(np.sqrt(np.mean(x * x)))

    if g.ndim > 1:
        for key, axis in (("r", -1), ("c", -2)):
            mean = np.mean(g * g, axis=axis, keepdims=True)
            s[key] = (1 - weight) * s.get(key, 0) + weight * mean
        v = s["r"] @ s["c"] / np.maximum(s["r"].mean(-2, keepdims=True), tiny)
    else:
        v = s["v"] = (1 - weight) * s.get("v", 0) + weight * g * g
    u = g / np.sqrt(np.maximum(v, tiny * tiny))
    rate = max(1e-3, rms(p)) * min(o["lr"], 1 / math.sqrt(t))
    return p - rate * u / max(1.0, rms(u))


CASES: list[tuple[str, Rule, float, dict[str, Any]]] = [
    ("SGD", sgd, 1e-3, {}),
    ("SGD", sgd, 1e-3, dict(momentum=0.9, weight_decay=0.01)),
    ("SGD", sgd, 1e-3, dict(momentum=0.9, nesterov=True, weight_decay=0.01)),
    ("SGD", sgd, 1e-3, dict(momentum=0.5, dampening=0.2)),
    ("Adam", adam, 1e-3, {}),
    ("Adam", adam, 1e-3, dict(weight_decay=0.1, amsgrad=True, betas=(0.8, 0.9))),
    ("Adam", adam, 1e-3, dict(weight_decay=0.1, decoupled_weight_decay=True)),
    ("AdamW", adamw, 1e-3, {}),
    ("AdamW", adamw, 1e-3, dict(weight_decay=0.3, amsgrad=True, eps=1e-3)),
    ("RMSprop", rmsprop, 1e-2, {}),
    ("RMSprop", rmsprop, 1e-2, dict(momentum=0.9, centered=True, weight_decay=0.1, alpha=0.9)),
    ("Adagrad", adagrad, 1e-2, {}),
    ("Adagrad", adagrad, 1e-2, dict(lr_decay=0.1, initial_accumulator_value=0.5)),
    ("Adadelta", adadelta, 1.0, {}),
    ("Adadelta", adadelta, 1.0, dict(rho=0.5)),
    ("Adamax", adamax, 2e-3, {}),
    ("NAdam", nadam, 2e-3, {}),
    ("RAdam", radam, 1e-3, {}),
    ("ASGD", asgd, 1e-2, dict(lambd=0.1)),
    ("Rprop", rprop, 1e-2, {}),
    ("Adafactor", adafactor, 1e-2, {}),
]


def case_ids() -> Iterator[str]:
    for name, _, _, options in CASES:
        yield "-".join([name, *options])


@pytest.mark.parametrize("maximize", [False, True], ids=["minimize", "maximize"])
@pytest.mark.parametrize("name, rule, lr, options", CASES, ids=case_ids())
def test_rule_in_float64(
    name: str, rule: Rule, lr: float, options: dict[str, Any], maximize: bool
) -> None:
    params, optimizer = train(rl, name, dict(options, maximize=maximize), "float64", steps=12)
    # NAdam and ASGD keep numbers of their own in float32, as PyTorch does.
    tolerance = 1e-6 if name in ("NAdam", "ASGD") else 1e-10
    for number, (param, start) in enumerate(zip(params, starts("float64"), strict=True)):
        value, state = start, {}
        for step in range(12):
            g = gradient(value, number, step)
            rate = {"lr": 0.03 if number == 0 else lr}
            value = rule(value, -g if maximize else g, step + 1, state, {**options, **rate})
        np.testing.assert_allclose(param.detach().numpy(), value, rtol=tolerance, atol=1e-12)
    assert optimizer.defaults["maximize"] is maximize


TORCH_ONLY = [
    ("SGD", dict(lr="tensor")),
    ("SGD", dict(fused=True, momentum=0.9)),
    ("Adam", dict(lr="tensor")),
    ("Adam", dict(fused=True)),
    ("Adam", dict(foreach=True, amsgrad=True)),
    ("NAdam", dict(weight_decay=0.1, decoupled_weight_decay=True)),
    ("RAdam", dict(weight_decay=0.1)),
    ("RAdam", dict(weight_decay=0.1, decoupled_weight_decay=True)),
    ("ASGD", dict(t0=3, weight_decay=0.1)),
    ("Rprop", dict(etas=(0.3, 1.5), step_sizes=(1e-3, 0.1))),
    ("Adafactor", dict(weight_decay=0.1, d=2.0, eps=(1e-3, 1e-2))),
    ("Adadelta", dict(weight_decay=0.1)),
    ("Adamax", dict(weight_decay=0.1)),
]


@pytest.mark.parametrize(
    "name, options", [(c[0], c[3]) for c in CASES] + TORCH_ONLY, ids=lambda value: str(value)
)
def test_as_torch(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    results = []
    for lib in (torch, rl):
        own = dict(options)
        if own.get("lr") == "tensor":
            own["lr"] = lib.tensor(0.02)
        results.append(train(lib, name, own, "float32"))
    (theirs, reference), (mine, optimizer) = results
    for a, b in zip(theirs, mine, strict=True):
        # float32 rounding, fed back through 25 steps
        np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=2e-6, atol=2e-7)
    assert repr(optimizer) == repr(reference)
    a, b = reference.state_dict(), optimizer.state_dict()
    assert str(a["param_groups"]) == str(b["param_groups"])
    assert list(a["state"]) == list(b["state"])
    for key, entry in a["state"].items():
        assert list(entry) == list(b["state"][key])
        for part, value in entry.items():
            ours = b["state"][key][part]
            assert str(ours.dtype) == str(value.dtype)
            assert tuple(ours.shape) == tuple(value.shape)
            np.testing.assert_allclose(ours.numpy(), value.numpy(), rtol=2e-5, atol=1e-7)


# --- L-BFGS and Muon -----------------------------------------------------------------------------


def rosenbrock(lib: Any, options: dict[str, Any], steps: int) -> tuple[list[float], Array]:
    x = lib.nn.Parameter(lib.tensor([-1.5, 2.0], dtype=lib.float64))
    y = lib.nn.Parameter(lib.tensor([[0.5]], dtype=lib.float64))
    optimizer = lib.optim.LBFGS([x, y], **options)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2 + (y * x[1]).pow(2).sum()
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(steps)]
    return losses, x.detach().numpy()


LBFGS_OPTIONS: list[dict[str, Any]] = [
    {},
    dict(lr=0.01),
    dict(line_search_fn="strong_wolfe"),
    dict(line_search_fn="strong_wolfe", history_size=3, max_iter=5),
    dict(lr=1e-3, max_iter=4, history_size=2),
]


def test_lbfgs_finds_the_minimum() -> None:
    _, x = rosenbrock(rl, dict(line_search_fn="strong_wolfe"), 6)
    np.testing.assert_allclose(x, [1.0, 1.0], rtol=1e-4)


@pytest.mark.parametrize("options", LBFGS_OPTIONS, ids=str)
def test_lbfgs_as_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    theirs, x = rosenbrock(torch, options, 4)
    ours, y = rosenbrock(rl, options, 4)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(y, x, rtol=1e-6)


def test_lbfgs_refuses() -> None:
    weight = rl.nn.Parameter(rl.ones(1))
    other = rl.nn.Parameter(rl.ones(1))
    with pytest.raises(ValueError, match="LBFGS doesn't support per-parameter options"):
        rl.optim.LBFGS([{"params": [weight]}, {"params": [other]}])
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        rl.optim.LBFGS([weight], line_search_fn="x").step(lambda: weight)


def test_muon() -> None:
    with pytest.raises(ValueError, match="Muon only supports 2D parameters whereas we found"):
        rl.optim.Muon([rl.nn.Parameter(rl.ones(2))])
    torch = pytest.importorskip("torch")
    start = starts("float32")[0]
    results = []
    for lib in (torch, rl):
        params = [lib.nn.Parameter(lib.tensor(a.copy())) for a in (start, start.T)]
        optimizer = lib.optim.Muon(params, lr=0.02)
        for _ in range(3):
            for param in params:
                param.grad = lib.tensor(gradient(param.detach().numpy().copy(), 0, 1))
            optimizer.step()
        results.append([param.detach().numpy() for param in params])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, atol=2e-3)  # bfloat16 inside


# --- the base ------------------------------------------------------------------------------------


def small(name: str = "SGD", **options: Any) -> Any:
    weight = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
    options.setdefault("lr", 0.1)
    return weight, getattr(rl.optim, name)([weight], **options)


def test_missing_gradients_are_passed_over() -> None:
    for name in ("SGD", "Adam", "RMSprop"):
        weight, optimizer = small(name)
        optimizer.step()
        assert weight.tolist() == [1.0, 2.0]
        assert optimizer.state_dict()["state"] == {}


def test_zero_grad() -> None:
    weight, optimizer = small()
    weight.grad = rl.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert weight.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert weight.grad is None


def test_closure_runs_with_gradients() -> None:
    weight, optimizer = small()

    def closure() -> Any:
        assert rl.is_grad_enabled()
        optimizer.zero_grad()
        loss = (weight * weight).sum()
        loss.backward()
        return loss

    with rl.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 5.0
    np.testing.assert_allclose(weight.tolist(), [0.8, 1.6], rtol=1e-6)
    assert rl.is_grad_enabled()


def test_repr() -> None:
    _, optimizer = small(momentum=0.9)
    assert repr(optimizer) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    differentiable: False\n"
        "    foreach: None\n    fused: None\n    lr: 0.1\n    maximize: False\n"
        "    momentum: 0.9\n    nesterov: False\n    weight_decay: 0\n)"
    )


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"])
def test_resume_is_exact(name: str) -> None:
    options = dict(momentum=0.9) if name in ("SGD", "RMSprop") else {}
    weight, optimizer = small(name, **options)
    weight.grad = rl.tensor([0.3, -0.4])
    for _ in range(3):
        optimizer.step()
    saved = pickle.loads(pickle.dumps(optimizer.state_dict()))
    other, resumed = small(name, **dict(options, lr=9.0))
    with rl.no_grad():
        other.copy_(weight)
    resumed.load_state_dict(saved)
    assert resumed.param_groups[0]["lr"] == 0.1
    other.grad = rl.tensor([0.3, -0.4])
    for _ in range(3):
        optimizer.step()
        resumed.step()
    assert weight.tolist() == other.tolist()


def test_state_dict_layout() -> None:
    first, second = (rl.nn.Parameter(rl.ones(1)) for _ in range(2))
    optimizer = rl.optim.Adam([{"params": [first]}, {"params": [second], "lr": 0.5}])
    for weight in (first, second):
        weight.grad = rl.ones(1)
    optimizer.step()
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0], [1]]
    assert list(state["param_groups"][1]) == [
        "lr",
        "betas",
        "eps",
        "weight_decay",
        "amsgrad",
        "maximize",
        "foreach",
        "capturable",
        "differentiable",
        "fused",
        "decoupled_weight_decay",
        "params",
    ]
    assert list(state["state"][1]) == ["step", "exp_avg", "exp_avg_sq"]
    assert state["state"][1]["step"].dtype == rl.float32
    assert state["state"][1]["step"].item() == 1.0


def test_loading_adapts_dtypes_but_not_counters() -> None:
    weight, optimizer = small("Adam")
    weight.grad = rl.ones(2)
    optimizer.step()
    double = rl.nn.Parameter(rl.ones(2, dtype=rl.float64))
    other = rl.optim.Adam([double])
    other.load_state_dict(optimizer.state_dict())
    assert other.state[double]["exp_avg"].dtype == rl.float64
    assert other.state[double]["step"].dtype == rl.float32


def test_loading_older_counters() -> None:
    weight, optimizer = small("Adam")
    weight.grad = rl.ones(2)
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][0]["step"] = 1
    del state["param_groups"][0]["fused"]
    optimizer.load_state_dict(state)
    optimizer.step()
    assert optimizer.state[weight]["step"].item() == 2.0


def test_loading_refuses_other_groups() -> None:
    _, optimizer = small()
    two = rl.optim.SGD([rl.nn.Parameter(rl.ones(1)) for _ in range(2)])
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        optimizer.load_state_dict(two.state_dict())
    two.add_param_group({"params": [rl.nn.Parameter(rl.ones(1))]})
    with pytest.raises(ValueError, match="has a different number of parameter groups"):
        optimizer.load_state_dict(two.state_dict())


def test_optimizers_pickle_and_copy() -> None:
    weight, optimizer = small("Adam")
    weight.grad = rl.ones(2)
    optimizer.step()
    twin = copy.deepcopy(optimizer)
    assert twin.state_dict()["state"][0]["step"].item() == 1.0
    file = io.BytesIO()
    pickle.dump(optimizer, file)
    back = pickle.loads(file.getvalue())
    param = back.param_groups[0]["params"][0]
    assert back.state[param]["exp_avg"].tolist() == optimizer.state[weight]["exp_avg"].tolist()
    back.step()


def test_hooks() -> None:
    weight, optimizer = small()
    weight.grad = rl.ones(2)
    seen: list[str] = []
    handles = [
        optimizer.register_step_pre_hook(lambda opt, args, kwargs: seen.append("pre")),
        optimizer.register_step_post_hook(lambda opt, args, kwargs: seen.append("post")),
        rl.optim.optimizer.register_optimizer_step_pre_hook(lambda *a: seen.append("global pre")),
        rl.optim.optimizer.register_optimizer_step_post_hook(lambda *a: seen.append("global post")),
    ]
    optimizer.step()
    assert seen == ["global pre", "pre", "post", "global post"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(seen) == 4

    bad = optimizer.register_step_pre_hook(lambda *a: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple of"):
        optimizer.step()
    bad.remove()


def test_state_dict_hooks() -> None:
    _, optimizer = small()
    seen: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda opt: seen.append("second"))
    optimizer.register_state_dict_pre_hook(lambda opt: seen.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda opt, state: {**state, "more": 1})
    state = optimizer.state_dict()
    assert seen == ["first", "second"]
    assert state["more"] == 1
    optimizer.register_load_state_dict_pre_hook(
        lambda opt, state: {k: v for k, v in state.items() if k != "more"}
    )
    optimizer.register_load_state_dict_post_hook(lambda opt: seen.append("loaded"))
    optimizer.load_state_dict(state)
    assert seen[-1] == "loaded"


def test_own_optimizers() -> None:
    class Half(rl.optim.Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {})

        def step(self, closure: Any = None) -> Any:
            with rl.no_grad():
                for group in self.param_groups:
                    for param in group["params"]:
                        param.mul_(0.5)

    weight = rl.nn.Parameter(rl.ones(1))
    optimizer = Half([weight])
    calls: list[int] = []
    optimizer.register_step_post_hook(lambda *a: calls.append(1))
    optimizer.step()
    assert weight.item() == 0.5
    assert calls == [1]
    with pytest.raises(NotImplementedError):
        rl.optim.Optimizer([weight], {}).step()


def test_names() -> None:
    named = [("a", rl.nn.Parameter(rl.ones(1))), ("b", rl.nn.Parameter(rl.ones(1)))]
    optimizer = rl.optim.SGD(named)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["a", "b"]
    with pytest.raises(ValueError, match="cannot add param group without names"):
        optimizer.add_param_group({"params": [rl.nn.Parameter(rl.ones(1))]})
    with pytest.raises(ValueError, match="Some param names are missing"):
        rl.optim.SGD([named[0], named[1][1]])


def test_refused_parameters() -> None:
    weight = rl.nn.Parameter(rl.ones(1))
    cases: list[tuple[Any, type[Exception], str]] = [
        (weight, TypeError, "params argument given to the optimizer should be an iterable of"),
        ([], ValueError, "optimizer got an empty parameter list"),
        ([1], TypeError, "optimizer can only optimize Tensors, but one of the params is int"),
        ([weight * 2], ValueError, "can't optimize a non-leaf Tensor"),
        ([{"params": {weight}}], TypeError, "optimizer parameters need to be organized in ordered"),
        (
            [{"params": [weight]}, {"params": [weight]}],
            ValueError,
            "some parameters appear in more than one parameter group",
        ),
    ]
    for params, kind, text in cases:
        with pytest.raises(kind) as caught:
            rl.optim.SGD(params)
        assert str(caught.value).startswith(text)
    with pytest.warns(UserWarning, match="contains a parameter group with duplicate parameters"):
        rl.optim.SGD([weight, weight])
    with pytest.raises(TypeError, match="param_group must be a dict, but got <class 'list'>"):
        rl.optim.SGD([weight]).add_param_group([])


REFUSED = [
    ("SGD", dict(lr=-1), "Invalid learning rate: -1"),
    ("SGD", dict(momentum=-1), "Invalid momentum value: -1"),
    ("SGD", dict(nesterov=True), "Nesterov momentum requires a momentum and zero dampening"),
    ("Adam", dict(betas=(1.0, 0.9)), "Invalid beta parameter at index 0: 1.0"),
    ("Adam", dict(betas=(0.9, -0.1)), "Invalid beta parameter at index 1: -0.1"),
    ("Adam", dict(eps=-1), "Invalid epsilon value: -1"),
    ("AdamW", dict(weight_decay=-1), "Invalid weight_decay value: -1"),
    ("RMSprop", dict(alpha=-1), "Invalid alpha value: -1"),
    ("Adadelta", dict(rho=2), "Invalid rho value: 2"),
    ("Rprop", dict(etas=(2.0, 3.0)), "Invalid eta values: 2.0, 3.0"),
    ("NAdam", dict(momentum_decay=-1), "Invalid momentum_decay value: -1"),
    ("Adafactor", dict(d=0.5), "Clipping threshold d should be >= 1 but is: 0.5"),
]


@pytest.mark.parametrize("name, options, text", REFUSED)
def test_refused_options(name: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        getattr(rl.optim, name)([rl.nn.Parameter(rl.ones(1))], **options)
    assert str(caught.value) == text


def test_refused_combinations() -> None:
    weight = rl.nn.Parameter(rl.ones(1))
    with pytest.raises(RuntimeError, match="`fused` does not support `differentiable`"):
        rl.optim.Adam([weight], fused=True, differentiable=True)
    with pytest.raises(RuntimeError, match="`fused` and `foreach` cannot be `True` together"):
        rl.optim.SGD([weight], fused=True, foreach=True)
    optimizer = rl.optim.Adam([weight], capturable=True)
    weight.grad = rl.ones(1)
    with pytest.raises(AssertionError, match="If capturable=True, params and state_steps must be"):
        optimizer.step()


def test_tensor_learning_rate_follows_its_tensor() -> None:
    lr = rl.tensor(0.1)
    weight, optimizer = small(lr=lr)
    weight.grad = rl.ones(2)
    lr.fill_(0.5)
    optimizer.step()
    assert weight.tolist() == [0.5, 1.5]


def test_complex_parameters() -> None:
    for name in ("SGD", "Adam", "RMSprop", "Adagrad", "Adadelta"):
        pair = rl.nn.Parameter(rl.tensor([1.0, 2.0]))
        single = rl.nn.Parameter(rl.tensor([1.0 + 2.0j]))
        one, other = (
            getattr(rl.optim, name)([pair], lr=0.1),
            getattr(rl.optim, name)([single], lr=0.1),
        )
        for _ in range(3):
            pair.grad, single.grad = rl.tensor([0.5, -1.0]), rl.tensor([0.5 - 1.0j])
            one.step()
            other.step()
        np.testing.assert_allclose(
            [single.detach().real.item(), single.detach().imag.item()], pair.tolist(), rtol=1e-6
        )


def test_differentiable_step() -> None:
    start = rl.tensor([1.0, 2.0], dtype=rl.float64, requires_grad=True)
    grad = rl.tensor([0.5, -0.5], dtype=rl.float64, requires_grad=True)
    weight = start.clone()
    weight.grad = grad
    optimizer = rl.optim.SGD([weight], lr=0.1, momentum=0.9, differentiable=True)
    optimizer.step()
    optimizer.step()
    weight.sum().backward()
    assert start.grad.tolist() == [1.0, 1.0]
    # the first buffer is detached, the second step adds the gradient once
    np.testing.assert_allclose(grad.grad.tolist(), [-0.1, -0.1])


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "NAdam", "ASGD"])
def test_files_travel_both_ways(name: str) -> None:
    torch = pytest.importorskip("torch")
    options = dict(momentum=0.9) if name in ("SGD", "RMSprop") else {}
    params, optimizers = {}, {}
    for lib in (torch, rl):
        params[lib], optimizers[lib] = train(lib, name, options, "float32", steps=3)
    for source, target in ((torch, rl), (rl, torch)):
        file = io.BytesIO()
        source.save(optimizers[source].state_dict(), file)
        file.seek(0)
        loaded = target.load(file, weights_only=True)
        fresh = [target.nn.Parameter(target.tensor(p.detach().numpy())) for p in params[source]]
        groups = [{"params": fresh[:1]}, {"params": fresh[1:]}]
        resumed = getattr(target.optim, name)(groups, lr=9.0)
        resumed.load_state_dict(loaded)
        for number, (old, new) in enumerate(zip(params[source], fresh, strict=True)):
            g = gradient(old.detach().numpy().copy(), number, 7)
            old.grad, new.grad = source.tensor(g), target.tensor(g)
        optimizers[source].step()
        resumed.step()
        for old, new in zip(params[source], fresh, strict=True):
            np.testing.assert_allclose(
                new.detach().numpy(), old.detach().numpy(), rtol=1e-6, atol=1e-7
            )
