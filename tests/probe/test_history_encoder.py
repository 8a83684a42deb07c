"""States of a history: each knows the items up to it, in their order, and nothing else."""

from __future__ import annotations

import numpy as np
import torch

from drq_spark.probe.behaviour_data import NO_ITEM
from drq_spark.probe.history_encoder import HistoryEncoder, first_in_front, last_of


def test_a_state_knows_what_came_up_to_it_and_in_which_order():
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        encoder = HistoryEncoder(8, 6).eval()
        vectors = torch.randn(2, 6, 8)
        states = encoder(vectors)
    torch.testing.assert_close(encoder(vectors[:, :4]), states[:, :4], rtol=1e-5, atol=1e-5)
    turned = encoder(vectors[:, [1, 0, 2, 3]])
    assert (turned[:, 3] - states[:, 3]).abs().max() > 1e-3
    again = encoder(vectors[:, :1].expand(-1, 4, -1))
    assert (again[:, 3] - again[:, 0]).abs().max() > 1e-4  # how often an item came is told by its places


def test_items_come_first_and_the_last_state_is_theirs():
    history = np.array([[NO_ITEM, NO_ITEM, 4], [7, 8, 9], [NO_ITEM, 5, 5]], np.int32)
    rows = first_in_front(history)
    assert rows.tolist() == [[4, NO_ITEM, NO_ITEM], [7, 8, 9], [5, 5, NO_ITEM]]
    states = torch.arange(9).reshape(3, 3)
    assert last_of(states, torch.from_numpy(rows)).tolist() == [0, 5, 7]
