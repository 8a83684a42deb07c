"""What is measured: the SIDs of a run, with everything that a figure may need beside them."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from drq_spark.config import Config
from drq_spark.inputs.event_account import EventAccount
from drq_spark.staging import Staging
from drq_spark.tokenizer import Tokenizer


@dataclass(frozen=True)
class Subject:
    """The SIDs of one catalogue.

    Attributes:
        sids: item_id, codes, sid, margin, exposure, embedding_hash and more, one row per item, see `schemas.SIDS`.
        codebook_sizes: K per level.
        id_type: Spark SQL type of the ids.
        config: Settings of the run.
        staging: Folder for what is needed only while it is measured.
        tokenizer: What assigned the SIDs. For external SIDs it holds no more than codebooks and the unit of sigma, and
            is None without codebooks; see `encodes` and `rebuilds`.
        dim: Length D of the embeddings, None without items.
        items: item_id, embedding (of a kind that `inputs.embeddings` reads, as in `inputs.items.Catalogue`),
            some of them perhaps of no use; None where SIDs come without embeddings.
        pairs: item_id, next_item_id, pair_key, user_key, held_out of consecutive events, see `inputs.events.Events`;
            None without events.
        account: What has become of every event; None without events.
        attributes: item_id and a_1, a_2, .. (text, NULL for unknown), one per name in `items.attributes`, see
            `inputs.attributes.read_attributes`; None without attributes.
        after: item_id, embedding of the second version; None without one.
        picked: Those rows of `items` that figures of drawn items look at; None where they have not been picked out.
    """

    sids: DataFrame
    codebook_sizes: tuple[int, ...]
    id_type: str
    config: Config
    staging: Staging
    tokenizer: Tokenizer | None = None
    dim: int | None = None
    items: DataFrame | None = None
    pairs: DataFrame | None = None
    account: EventAccount | None = None
    attributes: DataFrame | None = None
    after: DataFrame | None = None
    picked: DataFrame | None = None

    @property
    def spark(self) -> SparkSession:
        """The session of the tables."""
        return self.sids.sparkSession

    @property
    def drawn_from(self) -> DataFrame | None:
        """item_id, embedding of at least the items that figures draw."""
        return self.items if self.picked is None else self.picked

    @property
    def levels(self) -> int:
        """L."""
        return len(self.codebook_sizes)

    @property
    def encodes(self) -> bool:
        """Whether `tokenizer.encode` of an embedding gives the item's SID."""
        return self.tokenizer is not None and not self.config.external

    @property
    def rebuilds(self) -> bool:
        """Whether `tokenizer.decode` of the codes is in the space of the embeddings."""
        return self.tokenizer is not None and self.tokenizer.dim == self.dim
