"""The prefix tree against a dictionary of prefixes."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drq_spark.export.prefix_tree import PrefixTree

levels = st.integers(1, 4)
maps = levels.flatmap(lambda n: st.sets(st.tuples(*[st.integers(0, 4)] * n), max_size=40).map(lambda s: (n, sorted(s))))


@given(maps)
def test_it_allows_what_the_sids_say_and_nothing_else(drawn):
    count, sids = drawn
    tree = PrefixTree.of_sids(np.array(sids, np.int32).reshape(len(sids), count))
    follow = defaultdict(set)
    for sid in sids:
        for level in range(count):
            follow[sid[:level]].add(sid[level])
    assert len(tree.codes) == len(tree.children) - 1 == 1 + len({sid[:n] for sid in sids for n in range(1, count + 1)})
    for prefix in [(), *follow, *sids, (9,), (0,) * (count + 1)]:
        assert tree.allowed(prefix).tolist() == sorted(follow[prefix])
    for number, sid in enumerate(sids):
        assert tree.leaf(sid) == number
        assert tree.leaf(sid[:-1]) is None
        assert tree.leaf((*sid[:-1], 7)) is None


def test_sids_out_of_order_are_refused():
    with pytest.raises(ValueError, match="sorted"):
        PrefixTree.of_sids(np.array([[0, 1], [1, 0], [0, 2]]))
    with pytest.raises(ValueError, match="sorted"):
        PrefixTree.of_sids(np.array([[1, 3], [1, 2]]))
    with pytest.raises(ValueError, match="different"):
        PrefixTree.of_sids(np.array([[0, 1], [0, 1]]))
