"""How values reach workers: what a worker gets is what was shipped, whatever it holds already."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tokenizer.samples import full, plain

from drq_spark.ship import Shipped, ship


@dataclass
class Broadcast:
    """What Spark's broadcast variable is to a worker."""

    value: Any


CLASSIC: Any = SimpleNamespace(sparkContext=SimpleNamespace(broadcast=Broadcast))
"""As much of a classic session as shipping takes."""


def on_a_worker(shipped: Shipped) -> Any:
    """The value as a task gets it: what travels has been pickled, and the driver's own object is not there."""
    return pickle.loads(pickle.dumps(shipped)).value()


@pytest.fixture(params=["broadcast", "in the plan"])
def sent(request):
    """Ship a value in either way."""
    return {"broadcast": lambda value: ship(CLASSIC, value), "in the plan": Shipped}[request.param]


def test_a_value_made_where_an_older_one_lay_is_the_new_one(sent):
    """Python gives addresses again: no caller's name for a value is as safe as its content."""
    seen = [(number, on_a_worker(sent([number]))[0]) for number in range(200)]
    assert [number for number, _ in seen] == [found for _, found in seen]


def test_tokenizers_of_one_kind_and_shape_are_told_apart(sent):
    tokenizers = [plain(codebooks=tuple(book + shift for book in plain().codebooks)) for shift in (0, 1, 2, 0)]
    for tokenizer in tokenizers:
        x = np.linspace(-9, 9, 60, dtype=np.float32).reshape(10, 6)
        assert (on_a_worker(sent(tokenizer)).encode(x).codes == tokenizer.encode(x).codes).all()


@pytest.mark.parametrize("shape", [(400, 300), (60_000, 2)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_are_told_apart_by_any_of_their_numbers(sent, shape, order):
    """Large ones are hashed as they lie in memory."""
    first = np.asarray(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), order=order)
    second = first.copy(order="K")
    second[-1, -1] += 1
    assert (on_a_worker(sent(first)) == first).all()
    assert (on_a_worker(sent(second)) == second).all()
    assert (on_a_worker(sent(second[::2])) == second[::2]).all()


def test_a_worker_loads_equal_values_once(sent):
    first = on_a_worker(sent(full()))
    assert on_a_worker(sent(full())) is first


def test_a_worker_does_not_pile_up_what_it_was_sent(sent):
    first = on_a_worker(sent(full()))
    for number in range(5):
        on_a_worker(sent(number))
    assert on_a_worker(sent(full())) is not first
