"""All settings of a run together."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import Field

from drq_spark.config.collision_policy import Collisions
from drq_spark.config.executors import Assign
from drq_spark.config.inputs import Events, Items, Sample, Sids
from drq_spark.config.measure import Gate, Measure
from drq_spark.config.nightly import Nightly
from drq_spark.config.section import Channel, Patience, Place, Section
from drq_spark.config.token_spelling import Tokens
from drq_spark.config.tokenizer import TokenizerSettings
from drq_spark.config.train import Train
from drq_spark.errors import ConfigError
from drq_spark.schemas import LIVE


class Store(Section):
    """Where tables and tokenizers go."""

    out: Place = Field(None, description="Folder of the run; --out on the command line")
    schema_name: Place = Field(
        None, description="catalog.schema for the tables; without it Delta folders under out/tables"
    )
    channel: Channel = Field(
        LIVE,
        description="Whose readers the run is for; every other channel than live has tables of its own: current_sids_CHANNEL",
    )
    wait_minutes: Patience = Field(
        10.0, description="How long a run waits for another one that writes into the same place; 0 refuses at once"
    )


class Config(Section):
    """All settings of a run."""

    items: Items = Items()
    events: Events = Events()
    sids: Sids = Sids()
    sample: Sample = Sample()
    tokenizer: TokenizerSettings = TokenizerSettings()
    train: Train = Train()
    assign: Assign = Assign()
    collisions: Collisions = Collisions()
    tokens: Tokens = Tokens()
    measure: Measure = Measure()
    gate: Gate = Gate()
    nightly: Nightly = Nightly()
    store: Store = Store()
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of the sample and of training")

    @property
    def trains_on_events(self) -> bool:
        """Whether pairs of consecutive items are drawn and handed to training."""
        return self.events.path is not None and self.tokenizer.kind.events != "unused"

    @property
    def apart_rounds(self) -> int:
        """`train.kmeans.apart_rounds`, or the default of the kind."""
        rounds = self.train.kmeans.apart_rounds
        return self.tokenizer.kind.apart_rounds if rounds is None else rounds

    def place_names(self) -> dict[str, set[str]]:
        """Section -> names of its settings that are a `Place`; sections without any are left out."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        names = {name: value.places() for name, value in values.items() if isinstance(value, Section)}
        return {name: places for name, places in names.items() if places}

    def sources(self) -> list[str]:
        """All tables that a run reads: what settings name a `Place`, but for the tokenizer and the store."""
        read = {name: names for name, names in self.place_names().items() if name not in ("tokenizer", "store")}
        named = ((getattr(self, section), names) for section, names in read.items())
        values = [getattr(section, name) for section, names in named for name in sorted(names)]
        return [value for value in values if value is not None]

    @property
    def holds_users_out(self) -> bool:
        """Whether the pairs of some users judge and do nothing else; what another system made, all users judge."""
        return self.events.holdout > 0 and not self.external

    @property
    def external(self) -> bool:
        """Whether the SIDs are another system's."""
        return self.sids.path is not None

    def require_sources(self, *, trains: bool = True) -> None:
        """Refuse settings that need what no source can give; a tokenizer that is there already needs no events.

        Raises:
            ConfigError: External SIDs are named; or the tokenizer needs events, or exposure that is to be evened
                out, and none is named.
        """
        if self.external:
            raise ConfigError(
                "sids.path names SIDs that are there already: drq measure judges them, drq run makes its own"
            )
        if not trains:
            return
        if self.tokenizer.balance_by == "exposure" and self.items.exposure is None and self.events.path is None:
            raise ConfigError(
                "tokenizer.balance_by is exposure, but no exposure is known: set items.exposure, give --events, "
                "or balance by items"
            )
        if self.events.path is None and self.tokenizer.kind.events == "needed":
            raise ConfigError(
                f"tokenizer {self.tokenizer.name} learns from events and there are none: give --events PATH_OR_TABLE, "
                "or choose another --tokenizer"
            )

    def fingerprint(self) -> str:
        """sha256 (16 hex digits) of everything that can change a result."""
        return hashlib.sha256(canonical_json(self.deciding()).encode()).hexdigest()[:16]


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no white space: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
