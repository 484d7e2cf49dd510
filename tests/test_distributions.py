"""torch.distributions: values, shapes, samples and errors; beside torch where it is installed."""

from __future__ import annotations

import copy
import math
import pickle
import warnings

import numpy as np
import pytest

import rushlight as rl

D = rl.distributions
POSITIVE = [[0.3, 1.0, 2.5], [0.7, 4.0, 12.0]]
OTHER = [[1.5, 0.4, 3.0], [2.0, 0.9, 6.0]]
REAL = [[-1.5, 0.0, 2.0], [0.3, -0.2, 1.0]]
PROBS = [[0.1, 0.5, 0.9], [0.3, 0.4999, 0.75]]
UNIT = [[0.2, 0.4, 0.9], [0.05, 0.5, 0.75]]
COUNTS = [[0.0, 1.0, 3.0], [2.0, 0.0, 5.0]]
SIMPLEX = [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]
COVARIANCE = [[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.7]]
FACTOR = [[1.2, 0.0, 0.0], [0.3, 0.9, 0.0], [-0.4, 0.2, 0.8]]

# name: (class, parameters, values inside the support)
CASES = {
    "Bernoulli": ("Bernoulli", {"probs": PROBS}, [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]),
    "Bernoulli logits": ("Bernoulli", {"logits": REAL}, [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]),
    "Beta": ("Beta", {"concentration1": POSITIVE, "concentration0": OTHER}, UNIT),
    "Binomial": ("Binomial", {"total_count": 6, "probs": PROBS}, COUNTS),
    "Binomial logits": ("Binomial", {"total_count": 6, "logits": REAL}, COUNTS),
    "Categorical": ("Categorical", {"probs": SIMPLEX}, [0.0, 2.0]),
    "Categorical logits": ("Categorical", {"logits": REAL}, [1.0, 2.0]),
    "Cauchy": ("Cauchy", {"loc": REAL, "scale": POSITIVE}, OTHER),
    "Chi2": ("Chi2", {"df": POSITIVE}, OTHER),
    "ContinuousBernoulli": ("ContinuousBernoulli", {"probs": PROBS}, UNIT),
    "ContinuousBernoulli logits": ("ContinuousBernoulli", {"logits": REAL}, UNIT),
    "Dirichlet": ("Dirichlet", {"concentration": POSITIVE}, SIMPLEX),
    "Exponential": ("Exponential", {"rate": POSITIVE}, OTHER),
    "FisherSnedecor": ("FisherSnedecor", {"df1": POSITIVE, "df2": OTHER}, OTHER),
    "Gamma": ("Gamma", {"concentration": POSITIVE, "rate": OTHER}, OTHER),
    "GeneralizedPareto": (
        "GeneralizedPareto",
        {"loc": UNIT, "scale": POSITIVE, "concentration": [[0.0, 0.3, 0.7], [0.6, 0.1, 1.5]]},
        [[1.0, 2.0, 3.0], [1.5, 0.6, 0.9]],
    ),
    "Geometric": ("Geometric", {"probs": PROBS}, COUNTS),
    "Geometric logits": ("Geometric", {"logits": REAL}, COUNTS),
    "Gumbel": ("Gumbel", {"loc": REAL, "scale": POSITIVE}, OTHER),
    "HalfCauchy": ("HalfCauchy", {"scale": POSITIVE}, OTHER),
    "HalfNormal": ("HalfNormal", {"scale": POSITIVE}, OTHER),
    "InverseGamma": ("InverseGamma", {"concentration": POSITIVE, "rate": OTHER}, OTHER),
    "Kumaraswamy": ("Kumaraswamy", {"concentration1": POSITIVE, "concentration0": OTHER}, UNIT),
    "LKJCholesky": (
        "LKJCholesky",
        {"dim": 2, "concentration": [0.5, 2.0]},
        [[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [-0.28, 0.96]]],
    ),
    "Laplace": ("Laplace", {"loc": REAL, "scale": POSITIVE}, OTHER),
    "LogNormal": ("LogNormal", {"loc": REAL, "scale": UNIT}, OTHER),
    "LogisticNormal": ("LogisticNormal", {"loc": [0.1, -0.4], "scale": [0.5, 1.5]}, SIMPLEX),
    "LowRankMultivariateNormal": (
        "LowRankMultivariateNormal",
        {"loc": REAL, "cov_factor": [[1.0], [0.2], [-0.5]], "cov_diag": [0.5, 1.0, 0.3]},
        OTHER,
    ),
    "Multinomial": (
        "Multinomial",
        {"total_count": 4, "probs": SIMPLEX},
        [[1.0, 1.0, 2.0], [4.0, 0.0, 0.0]],
    ),
    "MultivariateNormal": (
        "MultivariateNormal",
        {"loc": REAL, "covariance_matrix": COVARIANCE},
        OTHER,
    ),
    "MultivariateNormal tril": ("MultivariateNormal", {"loc": REAL, "scale_tril": FACTOR}, OTHER),
    "MultivariateNormal precision": (
        "MultivariateNormal",
        {"loc": REAL, "precision_matrix": COVARIANCE},
        OTHER,
    ),
    "NegativeBinomial": ("NegativeBinomial", {"total_count": 3.0, "probs": PROBS}, COUNTS),
    "Normal": ("Normal", {"loc": REAL, "scale": POSITIVE}, OTHER),
    "OneHotCategorical": ("OneHotCategorical", {"probs": SIMPLEX}, [[0.0, 1.0, 0.0]] * 2),
    "OneHotCategoricalStraightThrough": (
        "OneHotCategoricalStraightThrough",
        {"logits": REAL},
        [[0.0, 1.0, 0.0]] * 2,
    ),
    "Pareto": (
        "Pareto",
        {"scale": POSITIVE, "alpha": OTHER},
        [[0.5, 1.5, 3.0], [1.0, 7.0, 13.0]],
    ),
    "Poisson": ("Poisson", {"rate": POSITIVE}, COUNTS),
    "RelaxedBernoulli": ("RelaxedBernoulli", {"temperature": 0.7, "probs": PROBS}, UNIT),
    "RelaxedOneHotCategorical": (
        "RelaxedOneHotCategorical",
        {"temperature": 0.7, "probs": SIMPLEX},
        SIMPLEX,
    ),
    "StudentT": ("StudentT", {"df": POSITIVE, "loc": REAL, "scale": OTHER}, OTHER),
    "Uniform": ("Uniform", {"low": REAL, "high": [[4.0, 5.0, 6.0]] * 2}, [[1.0, 2.0, 3.0]] * 2),
    "VonMises": ("VonMises", {"loc": REAL, "concentration": POSITIVE}, OTHER),
    "Weibull": ("Weibull", {"scale": POSITIVE, "concentration": OTHER}, OTHER),
    "Wishart": ("Wishart", {"df": [4.0, 6.5], "covariance_matrix": COVARIANCE}, [COVARIANCE] * 2),
}
PLAIN_NUMBERS = {"total_count", "dim"}


def kind_of(case):
    """torch's GeneralizedPareto compares with a float32 zero and so takes float32 alone."""
    return "float32" if case == "GeneralizedPareto" else "float64"


def build(lib, case, dtype=None):
    dtype = dtype or kind_of(case)
    name, parameters, _ = CASES[case]
    made = {
        k: v if k in PLAIN_NUMBERS else lib.tensor(v, dtype=getattr(lib, dtype))
        for k, v in parameters.items()
    }
    return getattr(lib.distributions, name)(**made)


def value(lib, case):
    return lib.tensor(CASES[case][2], dtype=getattr(lib, kind_of(case)))


def numbers(x):
    return np.asarray(x.detach().numpy(), dtype=np.float64)


def outcome(work):
    """What a call gives: its values, or its exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return numbers(work())
        except (NotImplementedError, ValueError, RuntimeError) as error:
            return type(error), str(error).split("\n")[0]


def agree(got, want, **tolerance):
    if isinstance(want, tuple) or isinstance(got, tuple):
        assert got == want
        return
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, **{"rtol": 1e-6, "atol": 1e-7, **tolerance})


# ---- beside torch ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_values_like_torch(case):
    torch = pytest.importorskip("torch")
    ours, theirs = build(rl, case), build(torch, case)
    x, y = value(rl, case), value(torch, case)
    assert tuple(ours.batch_shape) == tuple(theirs.batch_shape)
    assert tuple(ours.event_shape) == tuple(theirs.event_shape)
    assert repr(ours) == repr(theirs)
    assert repr(ours.support) == repr(theirs.support)
    assert bool(ours.has_rsample) == bool(theirs.has_rsample)
    assert bool(ours.has_enumerate_support) == bool(theirs.has_enumerate_support)
    for name in ("log_prob", "cdf"):
        agree(
            outcome(lambda n=name: getattr(ours, n)(x)),
            outcome(lambda n=name: getattr(theirs, n)(y)),
        )
    for name in ("mean", "variance", "stddev", "mode"):
        agree(outcome(lambda n=name: getattr(ours, n)), outcome(lambda n=name: getattr(theirs, n)))
    for name in ("entropy", "perplexity", "enumerate_support"):
        agree(
            outcome(lambda n=name: getattr(ours, n)()), outcome(lambda n=name: getattr(theirs, n)())
        )
    unit = [[0.1, 0.5, 0.9], [0.3, 0.7, 0.2]]
    agree(
        outcome(lambda: ours.icdf(rl.tensor(unit, dtype=rl.float64))),
        outcome(lambda: theirs.icdf(torch.tensor(unit, dtype=torch.float64))),
    )


@pytest.mark.parametrize("case", CASES)
def test_gradients_like_torch(case):
    torch = pytest.importorskip("torch")

    def slopes(lib):
        name, parameters, _ = CASES[case]
        leaves = {
            k: lib.tensor(v, dtype=getattr(lib, kind_of(case)), requires_grad=True)
            for k, v in parameters.items()
            if k not in PLAIN_NUMBERS
        }
        plain = {k: v for k, v in parameters.items() if k in PLAIN_NUMBERS}
        d = getattr(lib.distributions, name)(**leaves, **plain)
        d.log_prob(value(lib, case)).sum().backward()
        return [numbers(leaf.grad) for leaf in leaves.values()]

    for got, want in zip(slopes(rl), slopes(torch), strict=True):
        agree(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_seeded_samples_like_torch(case, dtype):
    torch = pytest.importorskip("torch")
    ours, theirs = build(rl, case, dtype), build(torch, case, dtype)
    for shape in ((), (3,), (20, 2)):
        rl.manual_seed(11)
        torch.manual_seed(11)
        got, want = (
            outcome(lambda s=shape: ours.sample(s)),
            outcome(lambda s=shape: theirs.sample(s)),
        )
        # a row of an LKJ factor ends in sqrt(1 - y), which magnifies the last bit of y
        atol = 1e-4 if case == "LKJCholesky" else 2e-6
        agree(got, want, rtol=3e-5 if dtype == "float32" else 1e-9, atol=atol)
        assert bytes(rl.get_rng_state().numpy()) == bytes(torch.get_rng_state().numpy())


@pytest.mark.parametrize(
    "case", [c for c in CASES if c not in ("LKJCholesky", "Wishart", "VonMises")]
)
def test_reparameterised_gradients_like_torch(case):
    torch = pytest.importorskip("torch")

    def slopes(lib):
        name, parameters, _ = CASES[case]
        leaves = {
            k: lib.tensor(v, dtype=getattr(lib, kind_of(case)), requires_grad=True)
            for k, v in parameters.items()
            if k not in PLAIN_NUMBERS
        }
        plain = {k: v for k, v in parameters.items() if k in PLAIN_NUMBERS}
        lib.manual_seed(2)
        d = getattr(lib.distributions, name)(**leaves, **plain)
        if not d.has_rsample:
            return []
        drawn = d.rsample((4,))
        weights = lib.arange(drawn.numel(), dtype=lib.float64).reshape(drawn.shape)
        (drawn * weights).sum().backward()
        return [numbers(leaf.grad) for leaf in leaves.values() if leaf.grad is not None]

    for got, want in zip(slopes(rl), slopes(torch), strict=True):
        # torch approximates the gradient of gamma draws to three digits
        agree(got, want, rtol=3e-3, atol=3e-3 * max(1.0, float(np.abs(want).max())))


@pytest.mark.parametrize("case", CASES)
def test_expand_like_torch(case):
    torch = pytest.importorskip("torch")
    ours, theirs = build(rl, case), build(torch, case)
    shape = (2, *ours.batch_shape)
    ours, theirs = ours.expand(shape), theirs.expand(shape)
    assert tuple(ours.batch_shape) == shape
    assert repr(ours) == repr(theirs)
    agree(
        outcome(lambda: ours.log_prob(value(rl, case))),
        outcome(lambda: theirs.log_prob(value(torch, case))),
    )
    for lib in (rl, torch):
        lib.manual_seed(4)
    agree(outcome(lambda: ours.sample((2,))), outcome(lambda: theirs.sample((2,))), rtol=1e-9)


def test_divergences_like_torch():
    torch = pytest.importorskip("torch")
    from torch.distributions import kl as torch_kl

    from rushlight.distributions import kl

    names = lambda table: {(p.__name__, q.__name__) for p, q in table}  # noqa: E731
    assert names(kl._KL_REGISTRY) == names(torch_kl._KL_REGISTRY)
    for p in CASES:
        for q in CASES:
            got = outcome(lambda p=p, q=q: D.kl_divergence(build(rl, p), build(rl, q)))
            want = outcome(
                lambda p=p, q=q: torch.distributions.kl_divergence(build(torch, p), build(torch, q))
            )
            agree(got, want, err_msg=f"{p} || {q}")


def test_supports_decide_divergences_like_torch():
    torch = pytest.importorskip("torch")

    def divergences(lib):
        d, t = lib.distributions, lib.tensor
        low, high = t([-0.5, 0.0, 0.2, 0.2]), t([0.5, 1.0, 0.9, 1.5])
        uniform = d.Uniform(low, high)
        beta, wide = d.Beta(t([2.0]), t([3.0])), d.Uniform(t([-1.0, 0.0, 0.1]), t([2.0, 1.0, 0.9]))
        pairs = [
            (uniform, beta),
            (beta, wide),
            (uniform, d.ContinuousBernoulli(t([0.3]))),
            (d.ContinuousBernoulli(t([0.3])), wide),
            (uniform, d.Exponential(t([2.0]))),
            (uniform, d.Gamma(t([2.0]), t([1.0]))),
            (uniform, d.Pareto(t([0.1]), t([2.0]))),
            (d.Pareto(t([1.0]), t([0.5])), d.Exponential(t([1.0]))),
            (d.Pareto(t([1.0]), t([1.5])), d.Normal(t([1.0]), t([1.0]))),
            (d.Bernoulli(t([0.0, 1.0, 0.5])), d.Bernoulli(t([0.5, 0.0, 1.0]))),
            (d.Categorical(t([0.0, 1.0])), d.Categorical(t([1.0, 0.0]))),
            (d.Pareto(t([1.0]), t([2.0])), d.Pareto(t([2.0]), t([2.0]))),
            (d.Binomial(5, t([0.5])), d.Binomial(3, t([0.5]))),
            (d.Normal(t([0.0]), t([1.0])), d.Laplace(t([0.5]), t([2.0]))),
            (d.Chi2(t([3.0])), d.Chi2(t([4.0]))),
            (d.Independent(d.Normal(low, 1.0), 1), d.Independent(d.Normal(high, 2.0), 1)),
            (d.LogNormal(t([0.0]), t([1.0])), d.LogNormal(t([0.5]), t([2.0]))),
        ]
        return [outcome(lambda p=p, q=q: d.kl_divergence(p, q)) for p, q in pairs]

    for got, want in zip(divergences(rl), divergences(torch), strict=True):
        agree(got, want, rtol=2e-5)


ERRORS = [
    lambda lib: lib.distributions.Normal(0.0, -1.0),
    lambda lib: lib.distributions.Normal(lib.tensor([0.0, 1.0]), lib.tensor([1.0, -1.0])),
    lambda lib: lib.distributions.Normal("a", 1.0),
    lambda lib: lib.distributions.Normal(0.0, 1.0).log_prob(1.0),
    lambda lib: lib.distributions.Normal(0.0, 1.0).log_prob(lib.tensor(float("nan"))),
    lambda lib: lib.distributions.Normal(lib.zeros(2), 1.0).log_prob(lib.zeros(3)),
    lambda lib: lib.distributions.Normal(0.0, 1.0).enumerate_support(),
    lambda lib: lib.distributions.Bernoulli(),
    lambda lib: lib.distributions.Bernoulli(probs=0.5, logits=0.5),
    lambda lib: lib.distributions.Bernoulli(1.5),
    lambda lib: lib.distributions.Bernoulli(0.5).log_prob(lib.tensor(0.5)),
    lambda lib: lib.distributions.Geometric(0.0),
    lambda lib: lib.distributions.Categorical(lib.tensor(0.5)),
    lambda lib: lib.distributions.Categorical(logits=lib.tensor(0.5)),
    lambda lib: lib.distributions.Categorical(lib.tensor([0.5, -0.5])),
    lambda lib: lib.distributions.Categorical(lib.ones(3)).log_prob(lib.tensor(3)),
    lambda lib: lib.distributions.Categorical(lib.ones(3)).rsample(),
    lambda lib: lib.distributions.Multinomial(2.0, lib.ones(3)),
    lambda lib: lib.distributions.Multinomial(2, lib.ones(3)).log_prob(lib.ones(2)),
    lambda lib: lib.distributions.Binomial(
        lib.tensor([1.0, 2.0]), lib.tensor([0.5, 0.5])
    ).enumerate_support(),
    lambda lib: lib.distributions.Uniform(1.0, 0.0),
    lambda lib: lib.distributions.Uniform(0.0, 1.0).log_prob(lib.tensor(2.0)),
    lambda lib: lib.distributions.Dirichlet(lib.tensor(1.0)),
    lambda lib: lib.distributions.LKJCholesky(1),
    lambda lib: lib.distributions.MultivariateNormal(lib.tensor(0.0), lib.eye(2)),
    lambda lib: lib.distributions.MultivariateNormal(lib.zeros(2)),
    lambda lib: lib.distributions.MultivariateNormal(lib.zeros(2), -lib.eye(2)),
    lambda lib: lib.distributions.MultivariateNormal(lib.zeros(2), scale_tril=lib.ones(2)),
    lambda lib: lib.distributions.LowRankMultivariateNormal(
        lib.zeros(2), lib.ones(3, 1), lib.ones(2)
    ),
    lambda lib: lib.distributions.Independent(lib.distributions.Normal(0.0, 1.0), 1),
    lambda lib: lib.distributions.TransformedDistribution(lib.distributions.Normal(0.0, 1.0), 3),
    lambda lib: lib.distributions.TransformedDistribution(
        lib.distributions.Normal(0.0, 1.0), lib.distributions.StickBreakingTransform()
    ),
    lambda lib: lib.distributions.MixtureSameFamily(1, 2),
    lambda lib: lib.distributions.MixtureSameFamily(
        lib.distributions.Categorical(lib.ones(3)), lib.distributions.Normal(lib.zeros(2), 1.0)
    ),
    lambda lib: lib.distributions.ReshapeTransform((2, 3), (4,)),
    lambda lib: lib.distributions.ExpTransform(cache_size=2),
    lambda lib: lib.distributions.biject_to(lib.distributions.constraints.boolean),
    lambda lib: lib.distributions.kl_divergence(
        lib.distributions.Normal(0.0, 1.0), lib.distributions.Cauchy(0.0, 1.0)
    ),
    lambda lib: lib.distributions.Normal(0.0, 1.0).rsample().foo,
    lambda lib: lib.distributions.Distribution.set_default_validate_args(3),
    lambda lib: lib.distributions.Distribution(validate_args=False).sample(),
]


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors_like_torch(number):
    torch = pytest.importorskip("torch")

    def error(lib):
        with pytest.raises(Exception) as caught:
            ERRORS[number](lib)
        return type(caught.value), str(caught.value)

    got, want = error(rl), error(torch)
    assert got[0] is want[0]
    assert got[1].split("\n")[0] == want[1].split("\n")[0]


def transforms_of(lib):
    d, t = lib.distributions, lib.tensor
    return {
        "exp": (d.ExpTransform(), REAL),
        "power": (d.PowerTransform(t(2.0)), POSITIVE),
        "sigmoid": (d.SigmoidTransform(), REAL),
        "softplus": (d.SoftplusTransform(), REAL),
        "tanh": (d.TanhTransform(), REAL),
        "abs": (d.AbsTransform(), REAL),
        "affine": (d.AffineTransform(1.0, -2.0), REAL),
        "affine vector": (d.AffineTransform(t([1.0, 2.0, 3.0]), t([2.0, 1.0, -1.0]), 1), REAL),
        "softmax": (d.SoftmaxTransform(), REAL),
        "stick": (d.StickBreakingTransform(), REAL),
        "corr": (d.CorrCholeskyTransform(), REAL),
        "lower": (d.LowerCholeskyTransform(), COVARIANCE),
        "definite": (d.PositiveDefiniteTransform(), COVARIANCE),
        "reshape": (d.ReshapeTransform((3,), (3, 1)), REAL),
        "independent": (d.IndependentTransform(d.ExpTransform(), 1), REAL),
        "compose": (d.ComposeTransform([d.AffineTransform(0.0, 2.0), d.ExpTransform()]), REAL),
        "mixed": (
            d.ComposeTransform([d.ExpTransform(), d.ReshapeTransform((2, 3), (6,))]),
            REAL,
        ),
        "cat": (d.CatTransform([d.ExpTransform(), d.TanhTransform()], -1, [1, 2]), REAL),
        "stack": (d.StackTransform([d.ExpTransform(), d.identity_transform], 0), REAL),
        "cdf": (d.CumulativeDistributionTransform(d.Normal(0.0, 1.0)), REAL),
        "inverse": (d.ExpTransform().inv, POSITIVE),
        "empty": (d.ComposeTransform([]), REAL),
    }


@pytest.mark.parametrize("name", list(transforms_of(rl)))
def test_transforms_like_torch(name):
    torch = pytest.importorskip("torch")

    def facts(lib):
        t, x = transforms_of(lib)[name]
        x = lib.tensor(x)
        y = t(x)
        return [
            numbers(y),
            outcome(lambda: t.inv(y)),
            outcome(lambda: t.log_abs_det_jacobian(x, y)),
            tuple(outcome_of(lambda: t.forward_shape(x.shape))),
            tuple(outcome_of(lambda: t.inverse_shape(y.shape))),
            repr(t),
            outcome_of(lambda: repr(t.domain)),
            outcome_of(lambda: repr(t.codomain)),
            outcome_of(lambda: t.domain.event_dim),
            bool(t.bijective),
            outcome_of(lambda: bool(t == t.with_cache(1))),
        ]

    def outcome_of(work):
        try:
            return work()
        except (NotImplementedError, ValueError) as error:
            return (type(error).__name__, str(error))

    for got, want in zip(facts(rl), facts(torch), strict=True):
        if isinstance(want, np.ndarray):
            agree(got, want, rtol=2e-5, atol=1e-5)
        else:
            assert got == want


def test_constraints_like_torch():
    torch = pytest.importorskip("torch")

    def facts(lib):
        c = lib.distributions.constraints
        made = {n: getattr(c, n) for n in c.__all__}
        made = {n: v for n, v in made.items() if isinstance(v, c.Constraint)}
        made["interval"] = c.interval(-1, 2)
        made["half"] = c.half_open_interval(0, 0.5)
        made["ints"] = c.integer_interval(0, 2)
        made["greater"] = c.greater_than(0.25)
        made["less"] = c.less_than(0.25)
        made["multi"] = c.multinomial(3)
        made["independent"] = c.independent(c.positive, 1)
        made["cat"] = c.cat([c.positive, c.real], -1, [1, 2])
        made["stack"] = c.stack([c.positive, c.real, c.unit_interval], -1)
        values = [SIMPLEX, REAL, COUNTS, COVARIANCE, FACTOR, [[0.0, 1.0, 0.0]] * 3]
        rows = []
        for name in sorted(made):
            constraint = made[name]
            rows.append((name, repr(constraint)))
            for v in values:
                try:
                    rows.append(numbers(constraint.check(lib.tensor(v))).tolist())
                except (ValueError, RuntimeError, AssertionError) as error:
                    rows.append(type(error).__name__)
        return rows

    assert facts(rl) == facts(torch)


@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
def test_registries_like_torch(registry):
    torch = pytest.importorskip("torch")

    def facts(lib):
        c = lib.distributions.constraints
        table = getattr(lib.distributions, registry)
        rows = []
        for constraint in (
            c.real, c.positive, c.nonnegative, c.unit_interval, c.simplex, c.interval(-1.0, 3.0),
            c.less_than(2.0), c.greater_than(1.0), c.real_vector, c.lower_cholesky,
            c.positive_definite, c.corr_cholesky, c.cat([c.positive, c.real], -1, [1, 2]),
            c.stack([c.real, c.positive], 0), c.boolean,
        ):  # fmt: skip
            try:
                t = table(constraint)
                source = COVARIANCE if constraint.event_dim == 2 and repr(t)[:4] != "Corr" else REAL
                rows.append((repr(t), numbers(t(lib.tensor(source))).round(5).tolist()))
            except NotImplementedError as error:
                rows.append(str(error))
        return rows

    for got, want in zip(facts(rl), facts(torch), strict=True):
        assert got[0] == want[0]
        if isinstance(want, tuple):
            np.testing.assert_allclose(got[1], want[1], atol=3e-5)


# ---- without torch -----------------------------------------------------------------------------


def test_known_values():
    t = rl.tensor
    assert D.Normal(0.0, 1.0).log_prob(t(0.0)).item() == pytest.approx(-0.9189385)
    assert D.Normal(0.0, 1.0).cdf(t(1.96)).item() == pytest.approx(0.9750021, abs=1e-6)
    assert D.Normal(1.0, 2.0).icdf(t(0.5)).item() == 1.0
    assert D.Exponential(2.0).log_prob(t(1.0)).item() == pytest.approx(math.log(2) - 2)
    assert D.Gamma(3.0, 2.0).log_prob(t(1.0)).item() == pytest.approx(math.log(4) - 2)
    assert D.Beta(2.0, 2.0).log_prob(t(0.5)).item() == pytest.approx(math.log(1.5))
    assert D.Poisson(2.0).log_prob(t(2.0)).item() == pytest.approx(math.log(2) - 2)
    assert D.Binomial(4, t(0.5)).log_prob(t(2.0)).item() == pytest.approx(math.log(6 / 16))
    assert D.Laplace(0.0, 1.0).cdf(t(0.0)).item() == 0.5
    assert D.Uniform(0.0, 4.0).entropy().item() == pytest.approx(math.log(4))
    assert D.Categorical(t([1.0, 3.0])).entropy().item() == pytest.approx(0.5623351)
    assert D.MultivariateNormal(rl.zeros(2), rl.eye(2)).log_prob(rl.zeros(2)).item() == (
        pytest.approx(-math.log(2 * math.pi))
    )
    assert D.kl_divergence(D.Gamma(2.0, 1.0), D.Gamma(2.0, 2.0)).item() == (
        pytest.approx(2 * math.log(0.5) + 2)
    )


def test_known_draws():
    rl.manual_seed(0)
    assert D.Normal(0.0, 1.0).sample((2,)).tolist() == pytest.approx([1.5409961, -0.2934289])


# neither mean nor variance, one of them infinite here, or not implemented (as in torch)
WITHOUT_MOMENTS = """Cauchy HalfCauchy Categorical FisherSnedecor GeneralizedPareto InverseGamma
    Pareto StudentT VonMises LKJCholesky RelaxedBernoulli RelaxedOneHotCategorical LogisticNormal
    Weibull Wishart""".split()
MOMENTS = [c for c in CASES if c.split()[0] not in WITHOUT_MOMENTS]


@pytest.mark.parametrize("case", MOMENTS)
def test_moments_of_draws(case):
    """The mean of draws is the mean, up to five standard errors."""
    rl.manual_seed(1)
    d = build(rl, case)
    n = 1500
    drawn = numbers(d.sample((n,)))
    error = 5 * np.sqrt(numbers(d.variance) / n)
    assert np.all(np.abs(drawn.mean(0) - numbers(d.mean)) <= error + 1e-9)
    assert np.isfinite(numbers(d.log_prob(rl.tensor(drawn)))).all()


@pytest.mark.parametrize("case", ["Normal", "Laplace", "Cauchy", "Exponential", "Gumbel", "Uniform",
                                  "Weibull", "Kumaraswamy", "LogNormal", "HalfNormal"])  # fmt: skip
def test_quantiles_invert_the_distribution_function(case):
    d = build(rl, case)
    p = rl.tensor([[0.1, 0.5, 0.9], [0.3, 0.7, 0.2]], dtype=rl.float64)
    np.testing.assert_allclose(numbers(d.cdf(d.icdf(p))), numbers(p), rtol=1e-6)


@pytest.mark.parametrize("case", ["Normal", "Gamma", "Beta", "Exponential", "Laplace", "StudentT",
                                  "LogNormal", "Gumbel", "Weibull", "Kumaraswamy"])  # fmt: skip
def test_densities_integrate_to_one(case):
    d = build(rl, case).expand((2, 3))
    if case in ("Beta", "Kumaraswamy"):
        y = np.linspace(-120, 120, 40001)  # logits
        x = 1 / (1 + np.exp(-y))
        slope = x * (1 - x)
        keep = (x > 0) & (x < 1)
        y, x, slope = y[keep], x[keep], slope[keep]
    elif case in ("Gamma", "Exponential", "LogNormal", "Weibull"):
        y = np.linspace(-160, 12, 40001)
        x = slope = np.exp(y)
    else:
        y = np.linspace(-60, 60, 40001)
        x, slope = np.sinh(y), np.cosh(y)
    density = np.exp(numbers(d.log_prob(rl.tensor(x)[:, None, None])))
    total = np.trapezoid(np.nan_to_num(density) * slope[:, None, None], y, axis=0)
    np.testing.assert_allclose(total, 1.0, rtol=2e-3)


def test_gamma_gradients_are_exact():
    """Beside finite differences of the inverse distribution function, for shape 1 and integers."""
    x = rl.tensor([0.05, 1.0, 6.0], dtype=rl.float64)
    got = numbers(rl._standard_gamma_grad(rl.ones(3, dtype=rl.float64), x))
    h = 1e-5
    p = [numbers(rl.special.gammainc(rl.full_like(x, 1 + s * h), x)) for s in (-1, 1)]
    want = -(p[1] - p[0]) / (2 * h) / np.exp(-numbers(x))
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_mixture():
    mixture = D.Categorical(rl.tensor([0.25, 0.75]))
    d = D.MixtureSameFamily(mixture, D.Normal(rl.tensor([-2.0, 2.0]), rl.tensor([1.0, 0.5])))
    assert d.mean.item() == 1.0
    assert d.variance.item() == pytest.approx(0.25 * 1 + 0.75 * 0.25 + 3.0)
    x = rl.tensor([0.0, 1.0])
    parts = [D.Normal(m, s).log_prob(x).exp() for m, s in ((-2.0, 1.0), (2.0, 0.5))]
    want = 0.25 * parts[0] + 0.75 * parts[1]
    np.testing.assert_allclose(numbers(d.log_prob(x).exp()), numbers(want), rtol=1e-5)
    rl.manual_seed(0)
    assert d.sample((500,)).mean().item() == pytest.approx(1.0, abs=0.4)


def test_mixture_like_torch():
    torch = pytest.importorskip("torch")

    def facts(lib):
        d, t = lib.distributions, lib.tensor
        gmm = d.MixtureSameFamily(
            d.Categorical(t([0.25, 0.75])),
            d.Independent(d.Normal(t([[0.0, 1.0], [2.0, 3.0]]), t([[1.0, 0.5], [2.0, 1.5]])), 1),
        )
        lib.manual_seed(3)
        x = gmm.sample((4,))
        return (
            repr(gmm),
            repr(gmm.support),
            [
                numbers(v)
                for v in (x, gmm.log_prob(x), gmm.mean, gmm.variance, gmm.expand((2,)).mean)
            ],
        )

    got, want = facts(rl), facts(torch)
    assert got[:2] == want[:2]
    for a, b in zip(got[2], want[2], strict=True):
        agree(a, b, rtol=1e-5)


def test_a_subclass_with_its_own_init_must_expand():
    class Mine(D.Normal):
        def __init__(self):
            super().__init__(0.0, 1.0)

    with pytest.raises(NotImplementedError, match="Subclass Mine of Normal that defines a custom"):
        Mine().expand((2,))


def test_validation_can_be_turned_off():
    d = D.Normal(0.0, -1.0, validate_args=False)
    assert math.isnan(d.log_prob(rl.tensor(0.0)).item())
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="Expected parameter scale"):
        D.Normal(0.0, -1.0)


def test_deprecated_sample_n():
    with pytest.warns(FutureWarning, match="sample_n"):
        assert D.Normal(0.0, 1.0).sample_n(3).shape == (3,)


def test_rules_for_new_distributions():
    class Mine(D.Normal):
        pass

    p = Mine(0.0, 1.0)
    assert D.kl_divergence(p, D.Normal(1.0, 1.0)).item() == 0.5

    @D.register_kl(Mine, D.Normal)
    def rule(p, q):
        return rl.tensor(7.0)

    try:
        assert D.kl_divergence(p, D.Normal(1.0, 1.0)).item() == 7.0
    finally:
        from rushlight.distributions import kl

        del kl._KL_REGISTRY[Mine, D.Normal]
        kl._KL_MEMOIZE.clear()
    with pytest.raises(TypeError, match="Expected type_p to be a Distribution subclass"):
        D.register_kl(int, D.Normal)


def test_straight_through_gradient():
    logits = rl.zeros(3, requires_grad=True)
    drawn = D.OneHotCategoricalStraightThrough(logits=logits).rsample()
    assert sorted(drawn.tolist()) == pytest.approx([0, 0, 1])
    (drawn * rl.tensor([1.0, 2.0, 3.0])).sum().backward()
    np.testing.assert_allclose(numbers(logits.grad), [-1 / 3, 0, 1 / 3], atol=1e-6)


def test_pickling_and_copying():
    for case in ("Normal", "Beta", "LogNormal", "Categorical", "MultivariateNormal"):
        d = build(rl, case)
        for twin in (pickle.loads(pickle.dumps(d)), copy.deepcopy(d)):
            x = value(rl, case)
            np.testing.assert_array_equal(numbers(twin.log_prob(x)), numbers(d.log_prob(x)))


def test_caches_of_transforms():
    t = D.TanhTransform(cache_size=1)
    x = rl.tensor([50.0])
    assert t.inv(t(x)) is x
    assert pickle.loads(pickle.dumps(t))._inv is None


def test_reinforce_step():
    """A policy gradient: the log-probability's gradient scaled by the reward."""
    logits = rl.zeros(2, requires_grad=True)
    loss = -D.Categorical(logits=logits).log_prob(rl.tensor(1)) * 3.0
    loss.backward()
    np.testing.assert_allclose(numbers(logits.grad), [1.5, -1.5], rtol=1e-6)


def test_binomial_draws_like_torch():
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    n, p = generator.integers(0, 3000, 500), generator.random(500)
    for dtype in ("float32", "float64"):
        drawn = []
        for lib in (rl, torch):
            lib.manual_seed(5)
            kind = getattr(lib, dtype)
            drawn.append(lib.binomial(lib.tensor(n).to(kind), lib.tensor(p).to(kind)).tolist())
        assert drawn[0] == drawn[1]


def test_examples_of_the_docstrings():
    import doctest
    import importlib
    import pkgutil

    for found in pkgutil.iter_modules(D.__path__):
        module = importlib.import_module(f"rushlight.distributions.{found.name}")
        assert doctest.testmod(module).failed == 0
