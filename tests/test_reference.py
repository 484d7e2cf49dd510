"""The reference interpreter of graphs: inputs, views, stores and failing indices."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.compiler.reference import evaluate
from rushlight.ir.graph import Graph, Store, Value, const, verify

F = np.dtype(np.float32)
I = np.dtype(np.int64)


def inputs(slot, shape, strides, dtype=F, offset=0):
    return Value("input", (), (slot, strides, offset), shape, dtype)


def test_reads_see_memory_before_the_program():
    """x[0:2] = x[1:3] + x[1:3] and y = x: the second sees the old x."""
    x = inputs(0, (2,), (1,), offset=1)
    total = Value("map", (x, x), ("add",), (2,), F)
    whole = inputs(0, (3,), (1,))
    graph = Graph((Store(total, 0, (1,), 0, True), Store(whole, 1, (2,), 1, False)), 2, 0)
    verify(graph)
    a, b = np.array([1, 2, 3], F), np.zeros(6, F)
    evaluate(graph, [a, b])
    assert a.tolist() == [4, 6, 3]
    assert b.tolist() == [0, 1, 0, 2, 0, 3]


def test_views_reductions_and_numbers():
    x = inputs(0, (2, 3), (3, 1))
    turned = Value("view", (x,), ((-1, 3), 2), (3, 2), F)
    scaled = Value("map", (Value("number", (), (0,), (), np.dtype(np.float64)),), ("cast",), (), F)
    product = Value("map", (turned, scaled), ("multiply",), (3, 2), F)
    total = Value("reduce", (product,), ("add", (1,)), (3,), F)
    graph = Graph((Store(total, 1, (1,), 0, False),), 2, 1)
    verify(graph)
    out = np.zeros(3, F)
    evaluate(graph, [np.arange(6, dtype=F), out], [0.5])
    assert out.tolist() == [3.5, 2.5, 1.5]


def test_a_failing_index_stores_nothing():
    base, at = inputs(0, (3,), (1,)), inputs(1, (2,), (1,), I)
    picked = Value("index", (base, at), (), (2,), F)
    put = Value("scatter", (base, const([7, 8], F), at), ("add",), (3,), F)
    graph = Graph((Store(put, 0, (1,), 0, True), Store(picked, 2, (1,), 0, False)), 3, 0)
    verify(graph)
    a, out = np.arange(3, dtype=F), np.zeros(2, F)
    with pytest.raises(IndexError):
        evaluate(graph, [a, np.array([0, 3]), out])
    assert a.tolist() == [0, 1, 2]
    evaluate(graph, [a, np.array([1, 1]), out])
    assert a.tolist() == [0, 16, 2]
    assert out.tolist() == [1, 1]
