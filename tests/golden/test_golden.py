"""Artifacts of an older commit give the same SIDs for ever: `make.py` beside this file says how they were made.

Codes and keys are compared exactly. Margins, residuals and decoded vectors may differ in their last digits where
another machine adds up the float64 sums of a network in another order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden.make import KINDS

from drq_spark.reference import Artifact
from drq_spark.tokenizer.artifact import load_tokenizer, tokenizer_id

HERE = Path(__file__).parent


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of tokenizer that there was."""
    return str(request.param)


def folder_of(kind: str) -> Path:
    (folder,) = (HERE / kind).iterdir()
    return folder


def test_the_tokenizer_gives_what_it_gave(kind: str) -> None:
    tokenizer, expected = load_tokenizer(str(folder_of(kind))), np.load(HERE / f"{kind}.npz")
    found = tokenizer.encode(expected["x"])
    assert tokenizer.kind == kind
    assert tokenizer_id(tokenizer) == folder_of(kind).name
    assert np.array_equal(found.codes, expected["codes"])
    assert np.array_equal(tokenizer.keys(found.codes), expected["keys"])
    np.testing.assert_allclose(found.margin, expected["margin"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.residual_square, expected["residual_square"], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(tokenizer.decode(expected["codes"]), expected["decoded"], rtol=1e-9, atol=1e-9)


def test_the_reference_gives_it_too(kind: str) -> None:
    artifact, expected = Artifact.read(folder_of(kind)), np.load(HERE / f"{kind}.npz")
    for row, x in enumerate(expected["x"]):
        found = artifact.encode(x)
        assert found.codes == tuple(expected["codes"][row])
        assert artifact.key(found.codes) == expected["keys"][row]
        assert found.margins == pytest.approx(expected["margin"][row].tolist(), rel=0, abs=1e-6)
        assert found.left == pytest.approx(expected["residual_square"][row].tolist(), rel=1e-6, abs=1e-9)
        np.testing.assert_allclose(artifact.decode(found.codes), expected["decoded"][row], rtol=1e-9, atol=1e-9)


def test_the_items_use_many_codes(kind: str) -> None:
    """Items that all had the same SID would prove nothing."""
    assert len(np.unique(np.load(HERE / f"{kind}.npz")["keys"])) > 15
