"""Polynomials of the vector math functions, constant term first.

Made by ``benchmarks/fit_vecmath.py``, which says how; "largest error" is relative to the function's
result. The float64 tables are Taylor series, whose first omitted terms are below 2^-54.
"""

from __future__ import annotations

import math

__all__ = [
    "ATANH",
    "COS",
    "ERF",
    "EXP",
    "EXP2",
    "EXP2_WIDE",
    "EXP_WIDE",
    "LOG",
    "LOG_ERFC",
    "SIN",
    "TANH",
]

EXP = (  # largest error 0.070 * 2^-24
    0.5,
    0.16666541993618011,
    0.04166640341281891,
    0.008366779424250126,
    0.0013940625358372927,
)
EXP2 = (  # largest error 0.052 * 2^-24
    0.6931471824645996,
    0.24022650718688965,
    0.05550359562039375,
    0.009618062525987625,
    0.0013390984386205673,
    0.0001546288258396089,
)
LOG = (  # largest error 0.013 * 2^-24
    0.3333331346511841,
    -0.25000008940696716,
    0.2000207155942917,
    -0.16667990386486053,
    0.14220362901687622,
    -0.12406208366155624,
    0.1188347116112709,
    -0.11670183390378952,
    0.06749540567398071,
)
TANH = (  # largest error 0.003 * 2^-24
    -0.3333333134651184,
    0.13333222270011902,
    -0.05394846200942993,
    0.02170874923467636,
    -0.008195086382329464,
    0.0021576357539743185,
)
ERF = (  # largest error 0.015 * 2^-24
    0.12837916612625122,
    -0.3761262893676758,
    0.11283625662326813,
    -0.026855740696191788,
    0.0051924604922533035,
    -0.0008050804608501494,
    8.002782124094665e-05,
)
LOG_ERFC = (  # largest error 0.004 * 2^-24
    -1.1285414695739746,
    -0.6356729865074158,
    -0.1051698550581932,
    0.022576043382287025,
    -0.0028694167267531157,
    2.7554358894121833e-05,
    4.9914542614715174e-05,
    -5.294650236464804e-06,
)
SIN = (  # largest error 0.003 * 2^-24
    -0.1666666716337204,
    0.008333380334079266,
    -0.0001985349808819592,
    2.8372471660986776e-06,
)
COS = (  # largest error 0.002 * 2^-24
    0.04166664555668831,
    -0.0013887309469282627,
    2.4432336431345902e-05,
)
# (e^x - 1 - x) / x^2 on |x| <= ln 2 / 2, and (2^x - 1) / x on |x| <= 1/2
EXP_WIDE = tuple(1 / math.factorial(k + 2) for k in range(12))
EXP2_WIDE = tuple(math.log(2) ** (k + 1) / math.factorial(k + 1) for k in range(14))
# atanh(s) / s - 1 in s^2, over s^2, for |s| <= 3 - 2 sqrt 2
ATANH = tuple(1 / (2 * k + 3) for k in range(10))
