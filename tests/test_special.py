"""Special functions against values computed with 30 digits (mpmath), and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

import rushlight as rl

INF, NAN = math.inf, math.nan
VALUES = {
    "erf": [
        (0.1, 0.1124629160182849),
        (0.5, 0.5204998778130465),
        (1.5, 0.9661051464753108),
        (3.0, 0.9999779095030014),
        (-2.0, -0.9953222650189527),
    ],
    "erfc": [
        (0.1, 0.887537083981715),
        (1.0, 0.15729920705028513),
        (5.0, 1.537459794428035e-12),
        (15.0, 7.212994172451207e-100),
        (26.0, 5.663192408856143e-296),
        (-1.5, 1.9661051464753108),
    ],
    "erfcx": [
        (0.1, 0.8964569799691267),
        (1.0, 0.427583576155807),
        (10.0, 0.05614099274382259),
        (100.0, 0.005641613782989433),
        (-2.0, 108.94090438997797),
    ],
    "erfinv": [
        (0.1, 0.08885599049425769),
        (-0.5, -0.4769362762044699),
        (0.9, 1.1630871536766743),
        (0.999, 2.3267537655135246),
        (0.9999999, 3.7665625816384707),
    ],
    "ndtr": [
        (0.5, 0.6914624612740131),
        (-1.0, 0.15865525393145705),
        (-10.0, 7.619853024160525e-24),
        (-30.0, 4.906713927148187e-198),
    ],
    "ndtri": [
        (0.5, 0.0),
        (0.1, -1.2815515655446004),
        (0.975, 1.9599639845400538),
        (1e-10, -6.361340902404057),
    ],
    "log_ndtr": [
        (0.5, -0.3689464152886564),
        (-1.0, -1.8410216450092636),
        (-10.0, -53.23128515051247),
        (-100.0, -5005.524208694205),
        (3.0, -0.0013508099647481938),
    ],
    "gammaln": [
        (0.1, 2.252712651734206),
        (0.9, 0.06637623973474295),
        (1.5, -0.12078223763524522),
        (2.5, 0.2846828704729192),
        (10.0, 12.801827480081469),
        (100000.0, 1051287.7089736569),
        (-0.5, 1.2655121234846454),
        (-2.3, 0.36956666345500805),
    ],
    "digamma": [
        (0.1, -10.423754940411076),
        (1.0, -0.5772156649015329),
        (2.5, 0.7031566406452432),
        (10.0, 2.251752589066721),
        (100000.0, 11.512920464961896),
        (-0.5, 0.03648997397857652),
        (-2.3, 3.3173231575618227),
    ],
    "i0": [
        (0.0, 1.0),
        (0.5, 1.0634833707413236),
        (5.0, 27.239871823604446),
        (20.0, 43558282.559553534),
        (-3.0, 4.8807925858650245),
    ],
    "i0e": [
        (0.5, 0.6450352704491501),
        (5.0, 0.18354081260932836),
        (20.0, 0.08978031188482602),
        (1000.0, 0.012617240455891257),
    ],
    "i1": [
        (0.5, 0.2578943053908963),
        (5.0, 24.335642142450528),
        (20.0, 42454973.38512777),
        (-3.0, -3.9533702174026093),
    ],
    "i1e": [
        (0.5, 0.1564208031848717),
        (5.0, 0.16397226694454237),
        (20.0, 0.08750622218328867),
        (1000.0, 0.012610930256928629),
    ],
    "bessel_j0": [
        (0.5, 0.9384698072408129),
        (5.0, -0.1775967713143383),
        (20.0, 0.16702466434058316),
        (1000.0, 0.024786686152420176),
    ],
    "bessel_j1": [
        (0.5, 0.2422684576748739),
        (5.0, -0.32757913759146523),
        (20.0, 0.06683312417585005),
        (-1000.0, -0.004728311907089524),
    ],
    "bessel_y0": [
        (0.5, -0.44451873350670656),
        (5.0, -0.30851762524903376),
        (20.0, 0.06264059680938383),
        (1000.0, 0.0047159179776228135),
    ],
    "bessel_y1": [
        (0.5, -1.471472392670243),
        (5.0, 0.14786314339122683),
        (20.0, -0.1655116143625213),
        (1000.0, -0.024784331292351778),
    ],
    "modified_bessel_k0": [
        (0.1, 2.4270690247020164),
        (1.0, 0.42102443824070834),
        (2.5, 0.06234755320036619),
        (20.0, 5.741237815336525e-10),
    ],
    "modified_bessel_k1": [
        (0.1, 9.853844780870606),
        (1.0, 0.6019072301972346),
        (2.5, 0.07389081634774707),
        (20.0, 5.883057969557038e-10),
    ],
    "scaled_modified_bessel_k0": [
        (0.1, 2.6823261022628944),
        (1.0, 1.144463079806895),
        (2.5, 0.7595486903280996),
        (1000.0, 0.03962832160075422),
    ],
    "scaled_modified_bessel_k1": [
        (0.1, 10.890182683049696),
        (1.0, 1.6361534862632583),
        (2.5, 0.900174423907878),
        (1000.0, 0.03964813081296021),
    ],
    "airy_ai": [
        (0.0, 0.3550280538878172),
        (0.7, 0.18916240039815008),
        (5.0, 0.00010834442813607442),
        (20.0, 1.6916728686705404e-27),
        (-1.0, 0.5355608832923521),
        (-5.0, 0.35076100902411433),
        (-12.0, -0.06655517505437313),
    ],
}
PAIRS = {
    "gammainc": [
        (0.5, 0.3, 0.5614219739190002),
        (2.0, 5.0, 0.9595723180054871),
        (30.0, 28.0, 0.3773896943143976),
        (500.0, 520.0, 0.8153088509012564),
        (0.01, 0.001, 0.938570652526129),
    ],
    "gammaincc": [
        (0.5, 0.3, 0.4385780260809999),
        (2.0, 50.0, 9.83662422461598e-21),
        (30.0, 28.0, 0.6226103056856024),
        (500.0, 520.0, 0.1846911490987436),
        (0.01, 0.001, 0.061429347473871014),
    ],
    "zeta": [
        (2.0, 1.0, 1.6449340668482264),
        (1.1, 0.5, 12.103813495683747),
        (5.0, 10.0, 3.0413798676470278e-05),
        (30.0, 2.0, 9.313274324196682e-10),
        (4.0, -2.5, 32.4579793698646),
    ],
    "chebyshev_polynomial_t": [
        (0.3, 5.0, 0.99888),
        (1.5, 4.0, 23.5),
        (-0.7, 20.0, -0.9800639283527625),
    ],
    "chebyshev_polynomial_u": [
        (0.3, 5.0, 1.01376),
        (1.5, 4.0, 55.0),
        (-0.7, 20.0, -1.174811634460515),
    ],
    "hermite_polynomial_h": [
        (0.3, 5.0, 31.757759999999998),
        (1.5, 4.0, -15.0),
        (-0.7, 9.0, -902.0626979840017),
    ],
    "laguerre_polynomial_l": [
        (0.3, 5.0, -0.09333274999999998),
        (1.5, 4.0, -0.2890625),
        (-0.7, 9.0, 22.37332544072976),
    ],
    "legendre_polynomial_p": [
        (0.3, 5.0, 0.34538625),
        (1.5, 4.0, 14.0859375),
        (-0.7, 9.0, -0.2720599303515624),
    ],
    "xlog1py": [
        (2.0, 1e-10, 1.9999999999000001e-10),
        (0.0, 3.0, 0.0),
    ],
}
EDGES = {
    "erf": [(INF, 1.0), (-INF, -1.0), (0.0, 0.0), (NAN, NAN)],
    "erfc": [(INF, 0.0), (-INF, 2.0), (NAN, NAN), (30.0, 0.0)],
    "erfcx": [(INF, 0.0), (-INF, INF), (-30.0, INF)],
    "erfinv": [(1.0, INF), (-1.0, -INF), (1.5, NAN), (0.0, 0.0)],
    "ndtri": [(0.0, -INF), (1.0, INF), (-0.1, NAN)],
    "log_ndtr": [(-INF, -INF), (INF, 0.0)],
    "gammaln": [(0.0, INF), (-3.0, INF), (INF, INF), (1.0, 0.0), (2.0, 0.0), (NAN, NAN)],
    "digamma": [(0.0, -INF), (-1.0, NAN), (INF, INF)],
    "entr": [(0.0, 0.0), (-1.0, -INF), (1.0, 0.0)],
    "i0": [(INF, INF), (0.0, 1.0)],
    "i1": [(INF, INF), (-INF, -INF), (0.0, 0.0)],
    "bessel_j0": [(INF, 0.0), (0.0, 1.0)],
    "bessel_y0": [(0.0, -INF), (-1.0, NAN)],
    "modified_bessel_k0": [(0.0, INF), (-1.0, NAN)],
    "spherical_bessel_j0": [(0.0, 1.0), (INF, 0.0)],
    "sinc": [(0.0, 1.0), (1.0, 0.0), (0.5, 2 / math.pi)],
    "logit": [(0.0, -INF), (1.0, INF), (2.0, NAN), (0.5, 0.0)],
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    f = getattr(rl.special, name)
    x, want = (np.array(column) for column in zip(*VALUES[name], strict=True))
    np.testing.assert_allclose(f(rl.tensor(x)).numpy(), want, rtol=2e-13, atol=1e-16)
    single = f(rl.tensor(x, dtype=rl.float32)).numpy()
    exact = f(rl.tensor(x.astype(np.float32).astype(np.float64))).numpy()
    inside = np.abs(exact) > 1e-37
    np.testing.assert_allclose(single[inside], exact[inside], rtol=3e-7)


@pytest.mark.parametrize("name", PAIRS)
def test_values_of_pairs(name):
    f = getattr(rl.special, name)
    x, y, want = (np.array(column) for column in zip(*PAIRS[name], strict=True))
    got = f(rl.tensor(x), rl.tensor(y)).numpy()
    np.testing.assert_allclose(got, want, rtol=5e-13, atol=1e-16)


@pytest.mark.parametrize("name", EDGES)
def test_edges(name):
    x, want = zip(*EDGES[name], strict=True)
    got = getattr(rl.special, name)(rl.tensor(x, dtype=rl.float64)).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-15, atol=1e-15, equal_nan=True)


def test_large_arrays_are_computed_in_blocks():
    """What a block boundary could break: the same values as one by one."""
    x = rl.linspace(-5, 5, 100_003, dtype=rl.float64)
    for f in (rl.erf, rl.special.erfcx, rl.special.ndtr):
        np.testing.assert_array_equal(f(x)[::9973].numpy(), f(x[::9973].clone()).numpy())


def test_single_precision_erf():
    x = rl.linspace(-6, 6, 20_001)
    exact = x.double().erf().numpy()
    np.testing.assert_allclose(x.erf().numpy(), exact, rtol=3e-7, atol=1e-12)


def test_integers_give_the_default_float():
    assert rl.special.gammaln(rl.tensor([1, 2, 5])).dtype is rl.float32
    assert rl.special.xlogy(rl.tensor([0, 1]), 2).tolist() == [0.0, pytest.approx(math.log(2))]


def test_polygamma_and_mvlgamma():
    x = rl.tensor([0.5, 2.0], dtype=rl.float64)
    assert rl.polygamma(1, x)[0].item() == pytest.approx(math.pi**2 / 2, rel=1e-13)
    assert x.polygamma(2)[1].item() == pytest.approx(-0.4041138063191886, rel=1e-12)
    got = rl.mvlgamma(rl.tensor([3.0], dtype=rl.float64), 2).item()
    want = 0.5 * math.log(math.pi) + math.lgamma(3.0) + math.lgamma(2.5)
    assert got == pytest.approx(want, rel=1e-13)
    with pytest.raises(RuntimeError, match="does not support negative n"):
        rl.polygamma(-1, x)


def test_what_has_no_derivative_says_so():
    x = rl.tensor([0.5], requires_grad=True)
    y = rl.special.bessel_j0(x)
    with pytest.raises(RuntimeError, match="derivative for aten::"):
        y.backward()


def test_the_namespace():
    assert rl.special.expit(rl.tensor(0.0)).item() == 0.5
    assert set(rl.special.__all__) <= set(dir(rl.special))
    assert all(getattr(rl.special, name).__doc__ for name in rl.special.__all__)
