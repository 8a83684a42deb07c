"""The kinds of tokenizers, each declared once: settings, training and the suite of tests all follow this table.

A new kind is a file with its class (`drq_spark.train.contract.Trainer`) and an entry here; CONTRIBUTING.md says how.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drq_spark.errors import did_you_mean


@dataclass(frozen=True)
class Kind:
    """One kind of tokenizer.

    Attributes:
        trainer: "module:Class" of what fits it, imported when something is trained, because it loads torch.
        sections: The sections of `train` that it reads, so that an artifact names these and no others.
        events: Whether it learns from pairs of consecutive items: never, where events are given, or not without them.
        balance: `tokenizer.balance` where nothing is set.
        beam: `tokenizer.beam` where nothing is set.
        apart_rounds: `train.kmeans.apart_rounds` where nothing is set.
        dataset_books: Whether its books are fitted to the whole sample once the encoder is frozen; only such books can
            have prices and a beam.
    """

    trainer: str
    sections: frozenset[str]
    events: Literal["unused", "used", "needed"] = "unused"
    balance: float = 0.0
    beam: int = 1
    apart_rounds: int = 0
    dataset_books: bool = True


KINDS: dict[str, Kind] = {
    "drq": Kind(
        trainer="drq_spark.train.drq:DrqTrainer",
        sections=frozenset({"kmeans", "behaviour", "drq"}),
        events="used",
        balance=0.55,
        beam=4,
        apart_rounds=1,
    ),
    "rq_kmeans": Kind(
        trainer="drq_spark.train.rq_kmeans:RqKMeans",
        sections=frozenset({"kmeans"}),
    ),
    "rq_vae": Kind(
        trainer="drq_spark.train.rq_vae:RqVaeTrainer",
        sections=frozenset({"kmeans", "rq_vae"}),
        dataset_books=False,
    ),
    "rqp_vae": Kind(
        trainer="drq_spark.train.rqp_vae:RqpVaeTrainer",
        sections=frozenset({"kmeans", "rqp_vae"}),
        dataset_books=False,
    ),
    "drq_vae": Kind(
        trainer="drq_spark.train.drq_vae:DrqVaeTrainer",
        sections=frozenset({"kmeans", "drq_vae"}),
    ),
    "drq_vae_cl": Kind(
        trainer="drq_spark.train.drq_vae_cl:DrqVaeClTrainer",
        sections=frozenset({"kmeans", "drq_vae", "drq_vae_cl"}),
        events="needed",
    ),
}
NAMES = ", ".join(KINDS)
"""All of them, for messages."""


def kind_of(name: str) -> Kind:
    """The kind of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in KINDS:
        raise ValueError(f"no tokenizer is called {name!r}: {did_you_mean(name, KINDS)}Known: {', '.join(KINDS)}")
    return KINDS[name]


def words_of_default(dial: Literal["balance", "beam", "apart_rounds"]) -> str:
    """What a setting is for each kind where nothing is set, that of most kinds last: "4 for drq, else 1"."""
    usual = getattr(Kind, dial)
    others = (f"{getattr(kind, dial):g} for {name}, " for name, kind in KINDS.items() if getattr(kind, dial) != usual)
    return "".join(others) + f"else {usual:g}"
