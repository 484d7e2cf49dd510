"""The order in which PyTorch's CPU kernels list equal values: topk, kthvalue, mode.

In: the ranks of a row's elements (equal values have equal ranks); out: indices. Without equal
values any method gives the same list. With them, the order is what the algorithms happen to leave,
so they are followed step by step: topk and mode use the C++ standard library's (as libstdc++ has
them: introselect and introsort of Musser 1997 with median of three and runs of 16, heaps of Floyd),
kthvalue a quickselect with median of three (Hoare 1961, as in Numerical Recipes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["kth_index", "largest_indices", "last_of_mode", "top_indices"]

_SHORT = 16  # runs up to this length are left to insertion sort


def largest_indices(scores: npt.NDArray[Any], k: int) -> npt.NDArray[np.int64]:
    """Indices of the ``k`` largest of a 1-D array, largest first; NaN counts as largest."""
    wide = scores.astype(np.float64)
    unknown = np.isnan(wide)
    wide[unknown] = np.inf
    order = np.argsort(-wide, kind="stable")
    ranked = wide[order]
    new = np.r_[True, ranked[1:] != ranked[:-1]]
    if new[: k + 1].all() and not unknown.any():
        return order[:k]
    ranks = np.empty(wide.size, np.int64)
    ranks[order] = np.cumsum(new)
    ranks[unknown] = 0
    return top_indices(ranks, k)


def top_indices(
    ranks: npt.NDArray[np.int64], k: int, in_order: bool = True
) -> npt.NDArray[np.int64]:
    """Indices of the ``k`` smallest ranks, as ``topk`` lists them, sorted or not."""
    selection = _Selection(ranks.tolist())
    if k == 0:
        return np.empty(0, np.int64)
    if k * 64 <= ranks.size:
        selection.partial_sort(0, k, ranks.size)
    else:
        selection.nth_element(k - 1)
        if in_order:
            selection.sort(0, k - 1)
    return np.array(selection.items[:k], np.int64)


def last_of_mode(ranks: npt.NDArray[Any]) -> int:
    """The index that ``mode`` gives: the last of the longest run of equal ranks, once sorted.

    Instead of ranks these may be at most 16 values with NaN among them, which compares as it does.
    """
    selection = _Selection(ranks.tolist())
    selection.sort(0, ranks.size)
    order = np.array(selection.items, np.int64)
    rising = ranks[order]
    ends = np.flatnonzero(np.r_[rising[1:] != rising[:-1], True])
    lengths = np.diff(ends, prepend=-1)
    return int(order[ends[np.argmax(lengths)]])


def kth_index(ranks: npt.NDArray[np.int64], k: int) -> int:
    """The index that ``kthvalue`` gives for the ``k``-th smallest rank, counted from 0."""
    r, items = ranks.tolist(), list(range(ranks.size))

    def swap(a: int, b: int) -> None:
        r[a], r[b] = r[b], r[a]
        items[a], items[b] = items[b], items[a]

    low, high = 0, ranks.size - 1
    while high > low + 1:
        swap(low + (high - low) // 2, low + 1)
        for a, b in ((low + 1, high), (low, high), (low + 1, low)):  # now the median is at low
            if r[a] > r[b]:
                swap(a, b)
        pivot, left, right = r[low], low + 1, high
        while True:
            left += 1
            while r[left] < pivot:
                left += 1
            right -= 1
            while r[right] > pivot:
                right -= 1
            if right < left:
                break
            swap(left, right)
        swap(low, right)
        if right <= k:
            low = left
        if right >= k:
            high = right - 1
    if high == low + 1 and r[low] > r[high]:
        swap(low, high)
    return items[k]


class _Selection:
    """Indices 0 .. n-1, arranged by their ranks (smaller rank first) with C++'s algorithms."""

    def __init__(self, ranks: list[Any]) -> None:
        self.ranks = ranks
        self.items = list(range(len(ranks)))

    # ---- partition -----------------------------------------------------------------------

    def _median_to(self, result: int, a: int, b: int, c: int) -> None:
        """Swap the median of three places into ``result``."""
        items, ranks = self.items, self.ranks
        x, y, z = (ranks[items[place]] for place in (a, b, c))
        if x < y:
            chosen = b if y < z else c if x < z else a
        else:
            chosen = a if x < z else c if y < z else b
        items[result], items[chosen] = items[chosen], items[result]

    def _cut(self, first: int, last: int) -> int:
        """Partition around a median of three; returns where the second part begins."""
        self._median_to(first, first + 1, first + (last - first) // 2, last - 1)
        items, ranks = self.items, self.ranks
        pivot = ranks[items[first]]
        left, right = first + 1, last
        while True:
            while ranks[items[left]] < pivot:
                left += 1
            right -= 1
            while pivot < ranks[items[right]]:
                right -= 1
            if left >= right:
                return left
            items[left], items[right] = items[right], items[left]
            left += 1

    # ---- insertion -----------------------------------------------------------------------

    def _insert(self, place: int, first: int) -> None:
        """Move one item back over those that rank after it."""
        items, ranks = self.items, self.ranks
        item = items[place]
        rank = ranks[item]
        to_front = rank < ranks[items[first]]  # asked first, which matters if NaN is among them
        while place > first and (to_front or rank < ranks[items[place - 1]]):
            items[place] = items[place - 1]
            place -= 1
        items[place] = item

    def _insertion_sort(self, first: int, last: int) -> None:
        for place in range(first + 1, last):
            self._insert(place, first)

    # ---- heaps ---------------------------------------------------------------------------

    def _sift(self, first: int, hole: int, length: int, item: int) -> None:
        """Carry a hole to the bottom of the heap, then the item up from there."""
        items, ranks = self.items, self.ranks
        top, child = hole, hole
        while child < (length - 1) // 2:
            child = 2 * (child + 1)
            if ranks[items[first + child]] < ranks[items[first + child - 1]]:
                child -= 1
            items[first + hole] = items[first + child]
            hole = child
        if length % 2 == 0 and child == (length - 2) // 2:
            child = 2 * child + 1
            items[first + hole] = items[first + child]
            hole = child
        rank = ranks[item]
        while hole > top and ranks[items[first + (hole - 1) // 2]] < rank:
            items[first + hole] = items[first + (hole - 1) // 2]
            hole = (hole - 1) // 2
        items[first + hole] = item

    def _heap_select(self, first: int, middle: int, last: int) -> None:
        """A heap of the smallest ranks in the first part."""
        items, ranks = self.items, self.ranks
        length = middle - first
        for parent in range((length - 2) // 2, -1, -1):
            self._sift(first, parent, length, items[first + parent])
        for place in range(middle, last):
            if ranks[items[place]] < ranks[items[first]]:
                item, items[place] = items[place], items[first]
                self._sift(first, 0, length, item)

    def partial_sort(self, first: int, middle: int, last: int) -> None:
        """Sort the smallest ranks into the first part."""
        self._heap_select(first, middle, last)
        items = self.items
        for end in range(middle - 1, first, -1):
            item, items[end] = items[end], items[first]
            self._sift(first, 0, end - first, item)

    # ---- the two algorithms --------------------------------------------------------------

    def nth_element(self, nth: int) -> None:
        """Put the item of that place in its place, smaller ranks before it."""
        first, last = 0, len(self.items)
        depth = 2 * (last.bit_length() - 1)
        while last - first > 3:
            if depth == 0:
                self._heap_select(first, nth + 1, last)
                items = self.items
                items[first], items[nth] = items[nth], items[first]
                return
            depth -= 1
            cut = self._cut(first, last)
            if cut <= nth:
                first = cut
            else:
                last = cut
        self._insertion_sort(first, last)

    def sort(self, first: int, last: int) -> None:
        """Sort a part: quicksort down to short runs, then insertion."""
        if last - first < 2:
            return
        self._quick(first, last, 2 * ((last - first).bit_length() - 1))
        self._insertion_sort(first, last)

    def _quick(self, first: int, last: int, depth: int) -> None:
        while last - first > _SHORT:
            if depth == 0:
                self.partial_sort(first, last, last)
                return
            depth -= 1
            cut = self._cut(first, last)
            self._quick(cut, last, depth)
            last = cut
