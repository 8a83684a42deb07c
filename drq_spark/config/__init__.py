"""Every setting, with its default and meaning: a module for each part of the pipeline, `settings` has them all."""

from drq_spark.config.collision_policy import Collisions
from drq_spark.config.inputs import Items, Sids
from drq_spark.config.layers import load_config
from drq_spark.config.measure import GateRule, Measure
from drq_spark.config.section import Section
from drq_spark.config.settings import Config, canonical_json
from drq_spark.config.tokenizer import TokenizerSettings
from drq_spark.config.train import Behaviour, Contrast, EndToEnd, KMeans, RqpVae, RqVae, Train

__all__ = [
    "Behaviour",
    "Collisions",
    "Config",
    "Contrast",
    "EndToEnd",
    "GateRule",
    "Items",
    "KMeans",
    "Measure",
    "RqVae",
    "RqpVae",
    "Section",
    "Sids",
    "TokenizerSettings",
    "Train",
    "canonical_json",
    "load_config",
]
