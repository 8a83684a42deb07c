"""The downstream models by name, each declared once; a new one is a file with its class and an entry here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from drq_spark.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class DownstreamModel:
    """One model.

    Attributes:
        task: Whether it names items or scores those that are shown.
        uses_sids: Whether its figures depend on the tokenizer; one that uses no SID is what others are held against.
        trainer_of: "module:name" in this room of what trains it, imported when it is trained, because it loads torch.
        vectors: Class of `item_vectors` that a ranker knows items by.
        needs_attributes: Whether it has nothing to add where items have no attributes.
        keeps_states: Whether it is kept after training, because it keeps a state for each user, see `user_states`.
        words: What it is, for people.
    """

    task: Literal["recommend", "rank"]
    uses_sids: bool
    trainer_of: str
    words: str
    vectors: str | None = None
    needs_attributes: bool = False
    keeps_states: bool = False

    def trainer(self) -> Any:
        """A new `model_contract.Recommender` or `Ranker`."""
        make = _named(self.trainer_of)
        return make() if self.vectors is None else make(_named(f"item_vectors:{self.vectors}"))


def _named(place: str) -> Any:
    module, name = place.split(":")
    return getattr(import_module(f"{__package__}.{module}"), name)


MODELS: dict[str, DownstreamModel] = {
    "popularity": DownstreamModel("recommend", False, "popularity:Popularity", "the most frequent items"),
    "item_knn": DownstreamModel("recommend", False, "item_knn:ItemKnn", "items near the last ones, by raw embeddings"),
    "sasrec": DownstreamModel("recommend", False, "sasrec:SasRec", "a causal transformer over item ids"),
    "tiger": DownstreamModel("recommend", True, "generator:SidGenerator", "SIDs, decoded token by token"),
    "tiger_attributes": DownstreamModel(
        "recommend",
        True,
        "generator:with_attributes",
        "attributes and then SIDs, token by token",
        needs_attributes=True,
    ),
    "din_id": DownstreamModel("rank", False, "din:din", "target attention, items by id", "IdVectors"),
    "din_embedding": DownstreamModel("rank", False, "din:din", "the same by raw embedding", "EmbeddingVectors"),
    "din_sid": DownstreamModel("rank", True, "din:din", "the same by SID and its prefixes", "SidVectors"),
    "din_res": DownstreamModel("rank", True, "din:din", "the same by SID centre and a small rest by id", "ResVectors"),
    "mean_sid": DownstreamModel("rank", True, "ranker:mean_pooling", "the mean of the history, by SID", "SidVectors"),
    "dien_sid": DownstreamModel("rank", True, "dien:dien", "interests that evolve, by SID", "SidVectors"),
    "can_sid": DownstreamModel("rank", True, "can:can", "codes that act on codes, by SID", "SidVectors"),
    "mimn_sid": DownstreamModel(
        "rank", True, "mimn:mimn", "a memory of fixed size, by SID", "SidVectors", keeps_states=True
    ),
    "hpmn_sid": DownstreamModel(
        "rank", True, "hpmn:hpmn", "a memory of several periods, by SID", "SidVectors", keeps_states=True
    ),
    "dtn_sid": DownstreamModel("rank", True, "dtn:TwoTasksRanker", "two tasks, each with its crosses", "SidVectors"),
    "part_sid": DownstreamModel("rank", True, "keep:PartRanker", "the mean, from a tenth of the users", "SidVectors"),
    "keep_sid": DownstreamModel(
        "rank", True, "keep:KeepRanker", "the same with knowledge of all users plugged in", "SidVectors"
    ),
    "rocket_sid": DownstreamModel(
        "rank", True, "rocket:on_sids", "mean_sid, trained beside a booster on embeddings", "SidVectors"
    ),
    "greedy_sid": DownstreamModel(
        "rank", True, "exploring:greedily", "din_sid after it has shown what it knew, and learned", "SidVectors"
    ),
    "epsilon_sid": DownstreamModel(
        "rank", True, "exploring:at_random", "the same, having shown any item now and then", "SidVectors"
    ),
    "age_sid": DownstreamModel(
        "rank", True, "exploring:adversarially", "the same, having shown what could turn out well", "SidVectors"
    ),
}
GROUPS: dict[str, tuple[str, ...]] = {
    "generator": ("popularity", "item_knn", "sasrec", "tiger"),
    "ranker": ("din_id", "din_embedding", "din_sid", "din_res"),
    "networks": ("mean_sid", "din_sid", "dien_sid", "can_sid", "mimn_sid", "hpmn_sid", "dtn_sid"),
    "exploration": ("greedy_sid", "epsilon_sid", "age_sid"),
    "transfers": ("part_sid", "keep_sid", "mean_sid", "rocket_sid"),
}
"""Names for several models: a task with its bases; rankers on SIDs side by side; what learning from others adds."""
NAMES = ", ".join([*GROUPS, *MODELS])
"""All of them, for messages."""


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The models that names of models and groups stand for, each once.

    Raises:
        ConfigError: a name that stands for nothing.
    """
    found: dict[str, None] = {}
    for name in names:
        if name not in GROUPS and name not in MODELS:
            raise ConfigError(f"no downstream model is called {name!r}: {did_you_mean(name, MODELS)}known: {NAMES}")
        found.update(dict.fromkeys(GROUPS.get(name, (name,))))
    return tuple(found)
