"""The file of the prefix tree: a decoder that follows it can write the published SIDs, and no other."""

from __future__ import annotations

from itertools import product

import numpy as np
import pyarrow.parquet as pq
import pytest
from export.small_catalogue import CODES, SIZES, SUFFIX, output_in, source_of

from drq_spark.export import ordered_parts
from drq_spark.export.export_source import Choices
from drq_spark.export.prefix_tree import PrefixTree
from drq_spark.export.trie_arrays import write_trie


def decoded(codes, children) -> list[tuple[int, ...]]:
    """Everything that can be decoded, depth first, from the arrays alone."""

    def below(node: int, prefix: tuple[int, ...]) -> list[tuple[int, ...]]:
        nodes = range(children[node], children[node + 1])
        return [sid for child in nodes for sid in below(child, (*prefix, int(codes[child])))] or [prefix]

    return below(0, ())


@pytest.mark.parametrize(("suffix", "batch"), [("none", 2), ("all", 1000)])
def test_exactly_the_published_sids_can_be_decoded(spark, tmp_path, monkeypatch, suffix, batch):
    monkeypatch.setattr(ordered_parts, "_BATCH_ROWS", batch)
    write_trie(source_of(spark, Choices(suffix)), output_in(tmp_path))
    arrays = dict(np.load(tmp_path / "whole" / "trie.npz", allow_pickle=False))
    sids = {item: (*codes, SUFFIX[item]) if suffix == "all" else codes for item, codes in CODES.items()}
    assert decoded(arrays["codes"], arrays["children"]) == sorted(set(sids.values()))
    assert arrays["codebook_sizes"].tolist() == list(SIZES)
    ids = pq.read_table(tmp_path / "whole" / "ids.parquet")["item_id"].to_pylist()
    tree = PrefixTree(arrays["codes"], arrays["children"], int(arrays["leaves"][0]))
    first = arrays["items"]
    for sid in product(*map(range, (*SIZES[:2], 300)), *([range(4)] if suffix == "all" else [])):
        leaf = tree.leaf(sid)
        items = [] if leaf is None else ids[first[leaf] : first[leaf + 1]]
        assert items == sorted((item for item in sids if sids[item] == sid), key=SUFFIX.__getitem__)
