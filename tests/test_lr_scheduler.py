"""Learning-rate schedules and weight averages: recorded from torch, and against torch."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as rl

# (name, how to make it); every optimizer has two groups with rates 0.5 and 0.1 and momentum 0.9
Make = Callable[[Any, Any], Any]


class Power:
    """A callable with state."""

    def __init__(self) -> None:
        self.base = 0.9

    def __call__(self, epoch: float) -> float:
        return float(self.base**epoch)


CASES: dict[str, Make] = {
    "LambdaLR": lambda L, o: L.LambdaLR(o, lambda e: 0.95**e),
    "LambdaLR-list": lambda L, o: L.LambdaLR(o, [Power(), lambda e: 1 / (e + 1)]),
    "MultiplicativeLR": lambda L, o: L.MultiplicativeLR(o, lambda e: 0.95),
    "StepLR": lambda L, o: L.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda L, o: L.MultiStepLR(o, [2, 5, 5, 9], 0.3),
    "ConstantLR": lambda L, o: L.ConstantLR(o, 0.25, 4),
    "LinearLR": lambda L, o: L.LinearLR(o, 0.2, 0.9, 7),
    "ExponentialLR": lambda L, o: L.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda L, o: L.PolynomialLR(o, 8, 2.0),
    "CosineAnnealingLR": lambda L, o: L.CosineAnnealingLR(o, 6, 0.01),
    "CosineAnnealingWarmRestarts": lambda L, o: L.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "CyclicLR": lambda L, o: L.CyclicLR(o, 0.01, 0.2, 3, 5),
    "CyclicLR-2": lambda L, o: L.CyclicLR(o, [0.01, 0.02], [0.2, 0.3], 3, mode="triangular2"),
    "CyclicLR-exp": lambda L, o: L.CyclicLR(o, 0.01, 0.2, 3, mode="exp_range", gamma=0.9),
    "CyclicLR-own": lambda L, o: L.CyclicLR(
        o, 0.01, 0.2, 3, scale_fn=Power(), scale_mode="iterations"
    ),
    "OneCycleLR": lambda L, o: L.OneCycleLR(o, 0.5, total_steps=20),
    "OneCycleLR-3": lambda L, o: L.OneCycleLR(
        o, [0.5, 0.3], epochs=4, steps_per_epoch=5, three_phase=True, anneal_strategy="linear"
    ),
    "SequentialLR": lambda L, o: L.SequentialLR(
        o, [L.ConstantLR(o, 0.1, 3), L.ExponentialLR(o, 0.9), L.CosineAnnealingLR(o, 5)], [4, 9]
    ),
    "ChainedScheduler": lambda L, o: L.ChainedScheduler(
        [L.ConstantLR(o, 0.1, 3), L.ExponentialLR(o, 0.9)]
    ),
}
WITH_EPOCHS = [name for name in CASES if not name.startswith(("Seq", "Chain", "One", "Cyc"))]

# Rates of the first group at epochs 0, 1, 5 and 12, recorded from torch 2.13.
RECORDED: dict[str, list[float]] = {
    "LambdaLR": [0.5, 0.475, 0.3868904687499999, 0.27018004383131833],
    "LambdaLR-list": [0.5, 0.45, 0.29524500000000004, 0.14121476824050005],
    "MultiplicativeLR": [0.5, 0.475, 0.38689046874999994, 0.2701800438313183],
    "StepLR": [0.5, 0.5, 0.25, 0.03125],
    "MultiStepLR": [0.5, 0.5, 0.0135, 0.00405],
    "ConstantLR": [0.125, 0.125, 0.5, 0.5],
    "LinearLR": [0.1, 0.15000000000000002, 0.35000000000000003, 0.45],
    "ExponentialLR": [0.5, 0.45, 0.2952450000000001, 0.14121476824050008],
    "PolynomialLR": [0.5, 0.3828125, 0.07031250000000003, 0.0],
    "CosineAnnealingLR": [0.5, 0.4671762239271875, 0.04282377607281252, 0.5000000000000004],
    "CosineAnnealingWarmRestarts": [0.5, 0.3775, 0.3775, 0.4282411613907041],
    "CyclicLR": [0.01, 0.07333333333333332, 0.12399999999999999, 0.16200000000000003],
    "CyclicLR-2": [0.01, 0.07333333333333336, 0.07333333333333328, 0.01],
    "CyclicLR-exp": [0.01, 0.06700000000000003, 0.04739769999999998, 0.01],
    "CyclicLR-own": [0.01, 0.06700000000000003, 0.04739769999999998, 0.01],
    "OneCycleLR": [0.020000000000000018, 0.06583592135001265, 0.5, 0.250001],
    "OneCycleLR-3": [0.02, 0.116, 0.5, 0.015556],
    "SequentialLR": [0.05, 0.05, 0.45, 0.17274575140626314],
    "ChainedScheduler": [0.05, 0.045000000000000005, 0.2952450000000001, 0.14121476824050008],
}


def make_optimizer(lib: Any, momentum: float = 0.9) -> Any:
    params = [lib.nn.Parameter(lib.ones(1)) for _ in range(2)]
    groups = [{"params": params[:1], "lr": 0.5}, {"params": params[1:]}]
    return lib.optim.SGD(groups, lr=0.1, momentum=momentum)


def schedule(lib: Any, name: str, epochs: int) -> list[Any]:
    """Rates and momenta of every epoch, with a save and a load on the way."""
    L = lib.optim.lr_scheduler
    optimizer = make_optimizer(lib)
    scheduler = CASES[name](L, optimizer)
    found = []
    for epoch in range(epochs):
        momenta = [group["momentum"] for group in optimizer.param_groups]
        found.append([*scheduler.get_last_lr(), *momenta])
        optimizer.step()
        scheduler.step()
        if epoch == epochs // 2:
            saved = scheduler.state_dict()
            other = make_optimizer(lib)
            scheduler = CASES[name](L, other)
            scheduler.load_state_dict(saved)
            other.load_state_dict(optimizer.state_dict())
            optimizer = other
            optimizer.step()
    return found


def values(state: Any) -> Any:
    """A state dict as plain values, without what differs by name only."""
    if isinstance(state, dict):
        return {k: values(v) for k, v in state.items() if k not in ("anneal_func", "_anneal_func")}
    if isinstance(state, (list, tuple)):
        return [values(item) for item in state]
    return state


@pytest.mark.parametrize("name", CASES)
def test_recorded_rates(name: str) -> None:
    found = schedule(rl, name, 13)
    rates = [found[epoch][0] for epoch in (0, 1, 5, 12)]
    np.testing.assert_allclose(rates, RECORDED[name], rtol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_as_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    assert schedule(rl, name, 19) == schedule(torch, name, 19)
    states = []
    for lib in (torch, rl):
        optimizer = make_optimizer(lib)
        scheduler = CASES[name](lib.optim.lr_scheduler, optimizer)
        optimizer.step()
        scheduler.step()
        states.append(values(scheduler.state_dict()))
    assert states[0] == states[1]


@pytest.mark.parametrize("name", WITH_EPOCHS)
def test_given_epochs_as_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (torch, rl):
        optimizer = make_optimizer(lib)
        scheduler = CASES[name](lib.optim.lr_scheduler, optimizer)
        optimizer.step()
        for epoch in (3, 7, 2, 11):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scheduler.step(epoch)
            found.append(scheduler.get_last_lr())
    assert found[:4] == found[4:]


@pytest.mark.parametrize(
    "options",
    [
        dict(mode="min", patience=1),
        dict(mode="min", threshold_mode="abs", threshold=0.05, patience=0),
        dict(mode="max", threshold_mode="abs", cooldown=2, patience=0, min_lr=[0.01, 0.02]),
        dict(mode="max", patience=2, factor=0.5, eps=0.01),
    ],
    ids=str,
)
def test_plateau_as_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    found: list[Any] = []
    for lib in (torch, rl):
        optimizer = make_optimizer(lib)
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        rates = []
        for epoch in range(20):
            scheduler.step(lib.tensor(math.sin(epoch * 0.7) * 0.1 + 1, dtype=lib.float64))
            rates.append(scheduler.get_last_lr())
        found.append((rates, scheduler.state_dict()))
    assert found[0] == found[1]


def test_plateau() -> None:
    optimizer = make_optimizer(rl)
    scheduler = rl.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    rates = []
    for loss in (1.0, 0.9, 0.9, 0.9, 0.9, 0.9):
        scheduler.step(loss)
        rates.append(scheduler.get_last_lr()[1])
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.1, 0.01, 0.01, 0.001])
    with pytest.raises(ValueError, match=r"Factor should be < 1\.0\."):
        rl.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=1.0)
    with pytest.raises(ValueError, match="mode x is unknown!"):
        rl.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="x")  # type: ignore[arg-type]


def test_order_of_calls_is_watched() -> None:
    optimizer = make_optimizer(rl)
    scheduler = rl.optim.lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match=r"Detected call of `lr_scheduler\.step\(\)` before"):
        scheduler.step()
    optimizer.step()
    scheduler.step()
    with pytest.warns(UserWarning, match="The epoch parameter in"):
        scheduler.step(3)
    with pytest.warns(UserWarning, match="To get the last learning rate computed"):
        scheduler.get_lr()


def test_overridden_step_warns() -> None:
    optimizer = make_optimizer(rl)
    scheduler = rl.optim.lr_scheduler.StepLR(optimizer, 1)
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="Seems like `optimizer.step\\(\\)` has been overridden"):
        scheduler.step()


def test_resume_needs_initial_rates() -> None:
    with pytest.raises(KeyError, match="param 'initial_lr' is not specified in param_groups"):
        rl.optim.lr_scheduler.StepLR(make_optimizer(rl), 1, last_epoch=3)
    with pytest.raises(TypeError, match="int is not an Optimizer"):
        rl.optim.lr_scheduler.StepLR(3, 1)  # type: ignore[arg-type]


def test_refused() -> None:
    L = rl.optim.lr_scheduler
    optimizer = make_optimizer(rl)
    with pytest.raises(ValueError, match="Expected 2 lr_lambdas, but got 1"):
        L.LambdaLR(optimizer, [lambda e: 1.0])
    with pytest.raises(ValueError, match="Constant multiplicative factor expected to be between"):
        L.ConstantLR(optimizer, 2.0)
    with pytest.raises(ValueError, match="You must define either total_steps OR"):
        L.OneCycleLR(optimizer, 0.1)
    with pytest.raises(ValueError, match="Expected positive integer T_0, but got 0"):
        L.CosineAnnealingWarmRestarts(optimizer, 0)
    with pytest.raises(ValueError, match="optimizer must support momentum or beta1"):
        L.CyclicLR(rl.optim.Adagrad([rl.nn.Parameter(rl.ones(1))]), 0.1, 0.2)
    with pytest.raises(ValueError, match="SequentialLR expects at least one scheduler"):
        L.SequentialLR(optimizer, [], [])
    with pytest.raises(ValueError, match="expects all schedulers to belong to the same optimizer"):
        L.ChainedScheduler([L.StepLR(optimizer, 1)], make_optimizer(rl))
    cycle = L.OneCycleLR(optimizer, 0.1, total_steps=2)
    optimizer.step()
    cycle.step()
    cycle.step()
    with pytest.raises(ValueError, match=r"Tried to step 3 times\. The specified number of"):
        cycle.step()


def test_tensor_rates_keep_their_tensor() -> None:
    lr = rl.tensor(0.5)
    optimizer = rl.optim.SGD([rl.nn.Parameter(rl.ones(1))], lr=lr)
    scheduler = rl.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == 0.25
    assert scheduler.get_last_lr()[0].item() == 0.25


def test_momentum_of_adam_is_cycled() -> None:
    optimizer = rl.optim.Adam([rl.nn.Parameter(rl.ones(1))])
    rl.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)


def test_optimizers_with_schedulers_pickle() -> None:
    optimizer = make_optimizer(rl)
    scheduler = rl.optim.lr_scheduler.StepLR(optimizer, 1)
    assert pickle.loads(pickle.dumps(scheduler.state_dict()))["step_size"] == 1
    back = pickle.loads(pickle.dumps(optimizer))
    assert back.param_groups[0]["initial_lr"] == 0.5


# --- averages ------------------------------------------------------------------------------------


def averaged(lib: Any, kind: str) -> Any:
    """An averaged model after four updates, as a dictionary of arrays."""
    utils = lib.optim.swa_utils
    options: dict[str, Any] = {
        "swa": {},
        "buffers": dict(use_buffers=True),
        "ema": dict(multi_avg_fn=utils.get_ema_multi_avg_fn(0.9)),
        "ema-one": dict(avg_fn=utils.get_ema_avg_fn(0.9), use_buffers=True),
        "swa-one": dict(avg_fn=utils.get_swa_avg_fn()),
    }[kind]
    model = lib.nn.Sequential(lib.nn.Linear(3, 3), lib.nn.BatchNorm1d(3))
    average = utils.AveragedModel(model, **options)
    generator = np.random.default_rng(0)
    for _ in range(4):
        with lib.no_grad():
            for param in model.parameters():
                noise = generator.standard_normal(tuple(param.shape)).astype("float32")
                param.copy_(lib.tensor(noise))
        model(lib.tensor(generator.standard_normal((4, 3)).astype("float32")))
        average.update_parameters(model)
    if kind == "swa":
        batches = [lib.tensor(generator.standard_normal((4, 3)).astype("float32"))] * 3
        utils.update_bn(batches, average)
    return {key: value.numpy() for key, value in average.state_dict().items()}


def test_running_mean() -> None:
    generator = np.random.default_rng(0)
    weights = []
    for _ in range(4):
        weights.append(generator.standard_normal((3, 3)).astype("float32"))
        for shape in ((3,), (3,), (3,), (4, 3)):
            generator.standard_normal(shape)
    state = averaged(rl, "buffers")
    np.testing.assert_allclose(state["module.0.weight"], np.mean(weights, 0), rtol=1e-5, atol=1e-6)
    assert state["n_averaged"] == 4


@pytest.mark.parametrize("kind", ["swa", "buffers", "ema", "ema-one", "swa-one"])
def test_averages_as_torch(kind: str) -> None:
    torch = pytest.importorskip("torch")
    theirs, ours = averaged(torch, kind), averaged(rl, kind)
    assert list(theirs) == list(ours)
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value, rtol=1e-5, atol=1e-6)


def test_swalr_as_torch() -> None:
    torch = pytest.importorskip("torch")
    for options in ({}, dict(anneal_epochs=3, anneal_strategy="linear"), dict(anneal_epochs=0)):
        found = []
        for lib in (torch, rl):
            optimizer = make_optimizer(lib)
            scheduler = lib.optim.swa_utils.SWALR(optimizer, 0.05, **options)
            rates = []
            for _ in range(6):
                rates.append(scheduler.get_last_lr())
                optimizer.step()
                scheduler.step()
            found.append((rates, scheduler.state_dict()))
        assert found[0] == found[1]


def test_averages_refuse() -> None:
    utils = rl.optim.swa_utils
    with pytest.raises(ValueError, match="Invalid decay value 2 provided"):
        utils.get_ema_avg_fn(2)
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn should be"):
        utils.AveragedModel(
            rl.nn.Linear(1, 1),
            avg_fn=utils.get_swa_avg_fn(),
            multi_avg_fn=utils.get_swa_multi_avg_fn(),
        )
