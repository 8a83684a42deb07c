"""Entropy of codes where an attribute decides the first one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from probe.planted import ITEMS, SIZES, behaviour

from drq_spark.probe.generator import GeneratorParts, SidGenerator
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.step_entropy import code_bits
from drq_spark.progress import SILENT
from drq_spark.train.runtime import torch_threads

EFFORT = Effort(epochs=8, batch_size=32, learning_rate=1e-2, width=16, history=6)


def test_an_attribute_that_decides_a_code_leaves_nothing_to_guess():
    """Items come at random, so a first code is worth log2 6 bits, and none once it has been named."""
    data = behaviour(rule=False)
    first = data.candidates.codes[:, :1]
    data = replace(data, candidates=replace(data.candidates, attributes=first + 1, attribute_sizes=(SIZES[0] + 1,)))
    with torch_threads(1):
        models = [SidGenerator(GeneratorParts(attributes=told)).fit(data, EFFORT, SILENT.progress) for told in (0, 1)]
    without, given = (code_bits(model, data.test) for model in models)
    assert len(without) == len(given) == 2
    assert abs(without[0].value - np.log2(SIZES[0])) < 0.1
    assert given[0].value < 0.1
    assert abs(without[1].value - given[1].value) < 0.1  # the second code is as uncertain as before
    assert without[0].value - given[0].value > 10 * (without[0].error + given[0].error)
    assert len(models[0].network.paths) == ITEMS
