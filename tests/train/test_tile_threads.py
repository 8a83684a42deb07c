"""Tiles by several threads: the same results in the same order, whatever their number, and every setting as before."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from drq_spark.train import beam_codes, nearest
from drq_spark.train.prices import soft_use
from drq_spark.train.runtime import torch_threads, training_threads
from drq_spark.train.tile_threads import in_tiles, tile_threads

CPU = torch.device("cpu")
TILES = [slice(at, at + 1) for at in range(8)]


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.mark.parametrize("count", [1, 3])
def test_tiles_are_shared_among_threads_and_come_in_order(count: int) -> None:
    all_here = threading.Barrier(count)

    def work(tile: slice) -> tuple[int, int, int]:
        if tile.start < count:
            all_here.wait(timeout=60)  # breaks where fewer threads than these take part
        return tile.start, threading.get_ident(), torch.get_num_threads()

    with training_threads(count):
        starts, threads, threads_of_torch = zip(*in_tiles(work, TILES, CPU), strict=True)
        assert blas_threads() == {1}
    assert list(starts) == list(range(8))
    assert len(set(threads)) == count
    assert set(threads_of_torch) == {1}


def test_settings_are_as_before() -> None:
    blas = blas_threads()
    with torch_threads(3):
        with tile_threads(2):
            assert torch.get_num_threads() == 3
            came_later: list[int] = []
            thread = threading.Thread(target=lambda: came_later.append(torch.get_num_threads()))
            thread.start()
            thread.join()
            assert came_later == [3]
        assert (torch.get_num_threads(), blas_threads()) == (3, blas)


def test_one_after_the_other_elsewhere() -> None:
    """Outside, and where the device is no CPU."""
    me = threading.get_ident()
    assert {*in_tiles(lambda tile: threading.get_ident(), TILES, CPU)} == {me}
    with tile_threads(2):
        assert {*in_tiles(lambda tile: threading.get_ident(), TILES, torch.device("meta"))} == {me}


def test_a_failure_in_a_tile_is_one_of_the_caller() -> None:
    with pytest.raises(ZeroDivisionError), tile_threads(2):
        list(in_tiles(lambda tile: 1 // tile.start, TILES, CPU))


def test_how_many_threads_there_are_decides_no_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (nearest, beam_codes):
        monkeypatch.setattr(module, "_TILE_ELEMENTS", 2000)  # tiles of some twenty rows
    generator = torch.Generator().manual_seed(3)
    rows, words = torch.randn(1000, 8, generator=generator), torch.randn(2, 40, 8, generator=generator)
    price = torch.randn(40, generator=generator, dtype=torch.float64)
    layers = [beam_codes.Layer(book, price, None) for book in words]
    made = []
    for count in (1, 3):
        with tile_threads(count):
            codes, use = nearest.assign(rows, words[0], price), soft_use(rows, words[0], price, 0.5)
            made.append((codes.tolist(), use.tolist(), beam_codes.beam_codes(rows, layers, 2).tolist()))
    assert made[0] == made[1]
    assert np.asarray(made[0][2]).shape == (1000, 2)
