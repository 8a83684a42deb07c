"""Every table and column that a run leaves, with types, comments, keys and constraints.

Types are Spark SQL types; `{id}` stands for the type of the user's item ids. `docs/tables.md` is written from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: As it stands in the table.
        type: Spark SQL type.
        comment: What it holds; kept in the table, too.
        required: Whether NULL is refused.
    """

    name: str
    type: str
    comment: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """One Delta table.

    Attributes:
        name: As it stands in the catalog or the folder.
        comment: What its rows are.
        columns: In table order.
        key: Columns that no two rows have in common; none where rows have no key, or there is one row.
        constraints: Name and SQL condition that every row must meet.
        by_run: Whether it is partitioned by run_id, so that a rerun replaces its own slice only.
        by_channel: Whether every channel has one of its own: `name` for `LIVE`, else `name`_`channel`.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    constraints: tuple[tuple[str, str], ...] = ()
    by_run: bool = True
    by_channel: bool = False

    def column_names(self) -> list[str]:
        """Names in table order."""
        return [column.name for column in self.columns]

    def ddl(self, id_type: str) -> str:
        """Column list for CREATE TABLE, for item ids of the given Spark SQL type."""
        return ", ".join(
            f"`{column.name}` {column.type.format(id=id_type)}{' NOT NULL' if column.required else ''} "
            f"COMMENT '{column.comment}'"
            for column in self.columns
        )


class Reason(str, Enum):
    """Why a row has no SID; the values of sid_quarantine.reason."""

    NULL_ID = "null_id"
    DUPLICATE_ID = "duplicate_id"
    NULL = "null"
    WRONG_DIMENSION = "wrong_dimension"
    NOT_FINITE = "not_finite"
    TOO_LARGE = "too_large"
    ZERO_NORM = "zero_norm"
    NULL_CODES = "null_codes"
    WRONG_LENGTH = "wrong_length"
    UNKNOWN_ITEM = "unknown_item"


class Status(str, Enum):
    """How far a run has come; the values of runs.status."""

    STARTED = "started"
    MEASURED = "measured"
    PASSED = "passed"
    GATE_FAILED = "gate_failed"
    OVERTAKEN = "overtaken"
    PUBLISHED = "published"
    VACUUMED = "vacuumed"

    @property
    def finished(self) -> bool:
        """Whether the run has nothing left to do."""
        return self in (Status.PUBLISHED, Status.GATE_FAILED, Status.OVERTAKEN, Status.VACUUMED)


class Mode(str, Enum):
    """Where the tokenizer of a run comes from, and what the run writes; the values of runs.mode."""

    TRAINED = "trained"
    GIVEN = "given"
    NIGHT = "night"
    RETRAINED = "retrained"


class Change(str, Enum):
    """What a night does with an item that does not stay as it is; the values of night_sids.change."""

    ADDED = "added"
    MOVED = "moved"
    REFRESHED = "refreshed"
    BACK = "back"
    GONE = "gone"
    REMOVED = "removed"


LIVE = "live"
"""The channel of readers who name none."""


def channel_of(name: str, table: Table) -> str | None:
    """The channel whose table of this kind has a name; None where it is the name of another table."""
    if name == table.name:
        return LIVE
    return name.removeprefix(f"{table.name}_") if table.by_channel and name.startswith(f"{table.name}_") else None


EXTERNAL = "external"
"""What stands for the kind of the tokenizer where another system made the SIDs."""
EXTERNAL_ID = "sids-"
"""How the tokenizer_id of such SIDs begins; a hash of the SIDs follows."""

_RUN_ID = Column("run_id", "string", "Run that wrote the row", required=True)
_TOKENIZER_ID = Column(
    "tokenizer_id", "string", f"Content hash of the tokenizer; {EXTERNAL_ID}.. of SIDs from elsewhere", required=True
)
_RUN_DATE = Column("run_date", "date", "Logical date of the run", required=True)
_ITEM_ID = Column("item_id", "{id}", "Item, in the type of the items table", required=True)
_LEVEL = Column("level", "int", "Level from 1", required=True)
_ITEMS = Column("items", "bigint", "Items", required=True)
_SPLIT_KEY = Column(
    "split_key", "bigint", "Hash of (id, seed); the items with the lowest keys only judge the fit", True
)
_MOVED_FROM = Column(
    "moved_from", "bigint", "sid that the embedding has by itself, where another item has it; NULL where it is this sid"
)
_EMBEDDING = Column("embedding", "array<float>", "Embedding as float32", True)
_EXPOSURE = Column("exposure", "double", "Sum of the exposure of these items; NULL without exposure")

SAMPLE = Table(
    "sample",
    "Items that trained the tokenizer",
    (
        _RUN_ID,
        _ITEM_ID,
        Column(
            "sample_key",
            "double",
            "Exponential variate of (id, seed) divided by the weight; the lowest keys are the sample",
            True,
        ),
        _SPLIT_KEY,
        Column("exposure", "double", "Exposure of the item; NULL without exposure"),
        _EMBEDDING,
    ),
    key=("run_id", "item_id"),
)
BEHAVIOUR_ITEMS = Table(
    "behaviour_items",
    "Every item of the pairs in behaviour_pairs; only of runs whose tokenizer learns from events",
    (_RUN_ID, _ITEM_ID, _SPLIT_KEY, _EMBEDDING),
    key=("run_id", "item_id"),
)
BEHAVIOUR_PAIRS = Table(
    "behaviour_pairs",
    "Items that followed one another; only of runs whose tokenizer learns from events",
    (
        _RUN_ID,
        _ITEM_ID,
        Column("next_item_id", "{id}", "Item of the next event of the same user", True),
        Column("pair_key", "bigint", "Hash of (user, position, items, seed); the lowest keys are drawn", True),
        Column("held_out", "boolean", "Whether the user only judges the fit", True),
    ),
)
SIDS = Table(
    "sids",
    "Semantic ID of every valid item",
    (
        _ITEM_ID,
        Column("codes", "array<int>", "Code per level, 0-based", True),
        Column("sid", "bigint", "Mixed-radix key of the codes, level 1 most significant", True),
        Column(
            "suffix",
            "int",
            "Tells items with the same sid apart: 0, 1, ..; never moves while the tokenizer stays",
            True,
        ),
        Column(
            "margin",
            "array<float>",
            "Per level: (second best - best cost) / squared distance to the second best; NULL for SIDs from elsewhere",
        ),
        Column(
            "residual_norm",
            "float",
            "Norm of what is left of the latent after the last level; NULL for SIDs from elsewhere",
        ),
        Column("exposure", "double", "Exposure of the item; NULL without exposure"),
        Column("embedding_hash", "bigint", "xxhash64 of the embedding; NULL for SIDs from elsewhere without items"),
        _MOVED_FROM,
        _TOKENIZER_ID,
        _RUN_ID,
        _RUN_DATE,
    ),
    key=("run_id", "item_id"),
    constraints=(
        ("sid_is_a_key", "sid >= 0"),
        ("suffix_counts_from_0", "suffix >= 0"),
        (
            "complete_unless_from_elsewhere",
            f'tokenizer_id LIKE "{EXTERNAL_ID}%" OR '
            "(margin IS NOT NULL AND residual_norm IS NOT NULL AND embedding_hash IS NOT NULL)",
        ),
    ),
)
_OF_A_SID = SIDS.columns[1:6]  # codes, sid, suffix, margin, residual_norm
_EMBEDDING_HASH = Column("embedding_hash", "bigint", "xxhash64 of the embedding that the SID is of", True)
_GONE_NIGHTS = Column("gone_nights", "int", "Nights since the item has left the items table; 0 while it is there", True)
CURRENT_SIDS = Table(
    "current_sids",
    "The SIDs that readers follow, changed in one commit a night",
    (_ITEM_ID, *_OF_A_SID, _EMBEDDING_HASH, _MOVED_FROM, _GONE_NIGHTS, _TOKENIZER_ID, _RUN_ID, _RUN_DATE),
    key=("item_id",),
    by_run=False,
    by_channel=True,
)
NIGHT_SIDS = Table(
    "night_sids",
    "What a night puts in the place of rows of current_sids: items that do not stay as they are",
    (
        _ITEM_ID,
        Column("change", "string", f"One of {' '.join(change.value for change in Change)}", True),
        *_OF_A_SID,
        _EMBEDDING_HASH,
        _MOVED_FROM,
        _GONE_NIGHTS,
        Column("old_sid", "bigint", "sid of the item before the night; NULL for an added one"),
        Column("old_suffix", "int", "suffix of the item before the night; NULL for an added one"),
        _TOKENIZER_ID,
        _RUN_ID,
        _RUN_DATE,
    ),
    key=("run_id", "item_id"),
)
SID_CHANGES = Table(
    "sid_changes",
    "What each version of current_sids changed: readers that keep a copy take these rows only",
    (
        Column("version", "bigint", "Version of current_sids that made the change", True),
        _ITEM_ID,
        Column("change", "string", "added, moved or removed", True),
        Column("old_sid", "bigint", "sid before; NULL for an added item"),
        Column("old_suffix", "int", "suffix before; NULL for an added item"),
        Column("sid", "bigint", "sid after; NULL for a removed item"),
        Column("suffix", "int", "suffix after; NULL for a removed item"),
        Column("old_tokenizer_id", "string", "Tokenizer that old_sid is of; NULL for an added item"),
        _TOKENIZER_ID,
        _RUN_ID,
        _RUN_DATE,
    ),
    key=("run_id", "version", "item_id"),
    by_channel=True,
)
SID_QUARANTINE = Table(
    "sid_quarantine",
    "Rows of the items table that got no semantic ID",
    (
        Column("item_id", "{id}", "Item, NULL where the id is"),
        Column("reason", "string", f"One of {' '.join(reason.value for reason in Reason)}", True),
        _RUN_ID,
    ),
)
ASSIGNMENT_TOTALS = Table(
    "assignment_totals",
    "Sums over all assigned items, from which the fidelity figures follow",
    (
        _RUN_ID,
        _TOKENIZER_ID,
        _ITEMS,
        Column("squared_error", "double", "Sum of ||x - x_hat||^2", True),
        Column("cosine", "double", "Sum of cos(x, x_hat); 0 where a norm is 0", True),
        Column("centred_square", "double", "Sum of ||x - m||^2, m the mean", True),
        Column("latent_centred_square", "double", "Sum of ||z - m_z||^2, m_z the mean latent", True),
        Column("residual_square", "array<double>", "Per level: sum of the squared residual norm after it", True),
        Column("margin", "array<double>", "Per level: sum of the margins", True),
        Column("uncertain", "array<bigint>", "Per level: items decided in float64", True),
        Column(
            "encoded_squared_error",
            "double",
            "squared_error with the SIDs that embeddings have by themselves; NULL where no item was moved from it",
        ),
    ),
    key=("run_id",),
)
CODE_USAGE = Table(
    "code_usage",
    "Use of every code, unused ones included",
    (_RUN_ID, _TOKENIZER_ID, _LEVEL, Column("code", "int", "Code, 0-based", True), _ITEMS, _EXPOSURE),
    key=("run_id", "level", "code"),
    constraints=(("code_from_0", "code >= 0"),),
)
PREFIX_USAGE = Table(
    "prefix_usage",
    "Use of every occupied prefix shorter than a SID",
    (
        _RUN_ID,
        _TOKENIZER_ID,
        _LEVEL,
        Column("prefix", "bigint", "Mixed-radix key of the first codes", True),
        _ITEMS,
        _EXPOSURE,
    ),
    key=("run_id", "level", "prefix"),
)
SID_USAGE = Table(
    "sid_usage",
    "SIDs with the most items",
    (
        _RUN_ID,
        _TOKENIZER_ID,
        Column("rank", "int", "1 is the largest bucket; ties by sid", True),
        Column("sid", "bigint", "Key of the SID", True),
        Column("codes", "array<int>", "Code per level, 0-based", True),
        _ITEMS,
        _EXPOSURE,
        Column(
            "distinct_embeddings",
            "bigint",
            "Different embeddings among the items; 1 = exact duplicates; NULL without items",
        ),
        Column("examples", "array<{id}>", "Up to 5 items, most exposed first", True),
    ),
    key=("run_id", "rank"),
)
CODE_CONFUSION = Table(
    "code_confusion",
    "Codes that items change between under perturbation, the most frequent ones of every level",
    (
        _RUN_ID,
        _TOKENIZER_ID,
        _LEVEL,
        Column("ruler", "string", "See metrics.ruler", True),
        Column("eta", "double", "See metrics.eta"),
        Column("code", "int", "Code of the item as it is, 0-based", True),
        Column("other", "int", "Code of the perturbed item", True),
        _ITEMS,
    ),
    key=("run_id", "level", "ruler", "eta", "code", "other"),
)
ITEMS_AT_RISK = Table(
    "items_at_risk",
    "Items whose codes the least change flips: those with the smallest margins",
    (
        _RUN_ID,
        _TOKENIZER_ID,
        Column("rank", "int", "1 is the smallest margin; ties by id", True),
        _ITEM_ID,
        Column("codes", "array<int>", "Code per level, 0-based", True),
        Column("at_level", "int", "Level of the smallest margin, from 1", True),
        Column("smallest_margin", "float", "See sids.margin", True),
        Column("exposure", "double", "Exposure of the item; NULL without exposure"),
    ),
    key=("run_id", "rank"),
)
ATTRIBUTE_GAINS = Table(
    "attribute_gains",
    "What attributes of the items tell of their codes; only of runs with items.attributes",
    (
        _RUN_ID,
        _TOKENIZER_ID,
        Column("step", "int", "Attributes known, from the first of items.attributes on", True),
        Column("attribute", "string", "The last of them", True),
        _LEVEL,
        Column("estimator", "string", "plug_in or grassberger (bias-corrected)", True),
        Column("conditional_entropy", "double", "H(code | codes before, attributes known), nats", True),
        Column("gain", "double", "How much the last attribute lowers it", True),
        Column(
            "permuted_gain",
            "double",
            "The gain of the same attribute permuted among the items of each prefix: what chance alone makes",
            True,
        ),
    ),
    key=("run_id", "step", "level", "estimator"),
)
METRICS = Table(
    "metrics",
    "Every figure, one row each",
    (
        _RUN_ID,
        _TOKENIZER_ID,
        Column("metric", "string", "Name, see docs/figures.md", True),
        Column("level", "int", "Level from 1; 0 for whole SIDs or the whole catalogue", True),
        Column(
            "weighting",
            "string",
            "items, exposure, or items of the head, torso or tail: what a code is weighted by",
            True,
        ),
        Column("eta", "double", "Scale of the perturbation, see ruler; NULL where none is involved"),
        Column("value", "double", "The figure", True),
        Column("standard_error", "double", "Of an estimate; NULL where the figure is exact"),
        Column(
            "ruler",
            "string",
            "latent: noise of eta RMS per effective coordinate of the latents; input: noise on the embeddings of eta times their norm; after: a second version of the embeddings; NULL where nothing is perturbed",
        ),
    ),
    key=("run_id", "metric", "level", "weighting", "eta", "ruler"),
)
PROBE_EVENTS = Table(
    "probe_events",
    "The events that downstream models are trained on and judged by: written by drq probe",
    (
        _RUN_ID,
        _TOKENIZER_ID,
        Column("user_key", "bigint", "Hash of the user", True),
        Column("place", "int", "Place among the events of the user, from 0", True),
        Column("item_id", "{id}", "The item", True),
        Column("part", "string", "training, validation or test", True),
    ),
    key=("run_id", "user_key", "place"),
)
PROBE_FIGURES = Table(
    "probe_figures",
    "How well downstream models do that use the SIDs of a run: written by drq probe",
    (
        _RUN_ID,
        _TOKENIZER_ID,
        Column("drawing", "string", "Hash of what was drawn and how long models were trained", True),
        Column("model", "string", "Name of the downstream model", True),
        Column(
            "figure",
            "string",
            "recall_10, ndcg_10, bits_1, .. of recommenders, auc, gauc, log_loss of rankers, clicks of explorers",
            True,
        ),
        Column("segment", "string", "all, or items: head, tail, cold", True),
        Column("value", "double", "The figure", True),
        Column("standard_error", "double", "Of drawing users; NULL where it is not known"),
        Column("questions", "bigint", "Questions that it is a mean of", True),
        Column("seconds", "double", "That training the model took", True),
    ),
    key=("run_id", "model", "figure", "segment"),
)
USER_STATES = Table(
    "user_states",
    "What a ranker remembers of each user, moved on by new events alone: written by drq states",
    (
        Column("ranker_id", "string", "Content hash of the ranker that moves the states", True),
        Column("user", "string", "The user, as text", True),
        Column("state", "array<float>", "The state; it means something to this ranker only", True),
        Column("events", "bigint", "Events that have moved it", True),
        Column(
            "last_position",
            "decimal(38,9)",
            "Position of the last of them; times in microseconds since 1970, dates in days",
            True,
        ),
        Column("night_events", "bigint", "Events of the last night that moved it", True),
        Column("night_hash", "bigint", "Hash of these events: the same night once more is told by it", True),
    ),
    key=("ranker_id", "user"),
    by_run=False,
)
RUNS = Table(
    "runs",
    "One row per run",
    (
        _RUN_ID,
        _RUN_DATE,
        Column("status", "string", f"One of {' '.join(status.value for status in Status)}", True),
        Column("config_fingerprint", "string", "Of every setting that can change a result", True),
        Column("input_fingerprint", "string", "Of the rows that went in, whatever their order and files", True),
        Column("tokenizer_id", "string", "Content hash of the tokenizer; NULL before it is trained"),
        Column("rows_in", "bigint", "Rows of the items table, or of the SIDs from elsewhere", True),
        Column("rows_out", "bigint", "Rows with a SID; NULL before assignment"),
        Column("rows_quarantined", "bigint", "Rows without; NULL before assignment"),
        Column("previous_run_id", "string", "Published run that churn compares with; NULL where there is none"),
        Column("dim", "int", "Length of an embedding; 0 where SIDs came without items", True),
        Column("id_type", "string", "Spark SQL type of the item ids", True),
        Column("started_at", "timestamp", "When the run began", True),
        Column("taken_up_at", "timestamp", "When it was begun or, after a kill, taken up last"),
        Column("seconds", "map<string,double>", "Wall-clock seconds per step", True),
        Column(
            "table_versions", "map<string,bigint>", "Delta version of every table right after the run wrote it", True
        ),
        Column("config", "string", "Resolved settings as JSON", True),
        Column(
            "input_versions",
            "map<string,bigint>",
            "Version of each input that is a Delta table, by the section of its setting: items, events, measure, sids",
        ),
        Column("package_version", "string", "Version of drq_spark", True),
        Column("notes", "array<string>", "What to know before the figures are read"),
        Column(
            "mode",
            "string",
            "trained: a tokenizer was trained; given: one was there; night: one was there, and night_sids has what changed; retrained: one was trained from the one there was, so that SIDs stay",
        ),
        Column(
            "base_run_id", "string", "Run whose SIDs were carried over, or that a retraining began at; NULL for neither"
        ),
        Column("channel", "string", f"Whose readers it was made for; NULL for {LIVE}, of versions that knew no other"),
    ),
    key=("run_id",),
)
PUBLISHED = Table(
    "published",
    "The pointer that readers follow: exactly one row, replaced in one commit",
    (
        _RUN_ID,
        _RUN_DATE,
        _TOKENIZER_ID,
        Column(
            "sids_version",
            "bigint",
            "Delta version of the table that holds the run: sids, for a night current_sids",
            True,
        ),
        Column("rows", "bigint", "Rows with a SID", True),
    ),
    by_run=False,
    by_channel=True,
)
LEASE = Table(
    "lease",
    "Who writes into these tables now: exactly one row, replaced in one commit",
    (
        Column("term", "bigint", "Counts all that ever took the lease, gave a sign or gave it back", True),
        Column("owner", "string", "Host, process and a mark of whoever holds it; NULL where nobody does"),
        Column("heartbeat_at", "timestamp", "When the owner gave its last sign, or gave the lease back", True),
        Column("expires_at", "timestamp", "When the owner is taken for dead if it gives no other", True),
    ),
    by_run=False,
)
TABLES = (
    SAMPLE,
    BEHAVIOUR_ITEMS,
    BEHAVIOUR_PAIRS,
    SIDS,
    NIGHT_SIDS,
    CURRENT_SIDS,
    SID_CHANGES,
    SID_QUARANTINE,
    ASSIGNMENT_TOTALS,
    CODE_USAGE,
    PREFIX_USAGE,
    SID_USAGE,
    CODE_CONFUSION,
    ITEMS_AT_RISK,
    ATTRIBUTE_GAINS,
    METRICS,
    PROBE_EVENTS,
    PROBE_FIGURES,
    USER_STATES,
    RUNS,
    PUBLISHED,
    LEASE,
)
