"""SIDs that another system made, measured by the same figures as our own: what `drq measure --sids` does.

They fill the same tables under a run of their own. Nothing is judged, and readers never follow such a run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import date, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.arrays import F32
from drq_spark.assign.suffix import long_sids, with_suffix
from drq_spark.config import Config
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.external import notes
from drq_spark.external.codebook_fidelity import fidelity
from drq_spark.external.codebook_files import read_codebooks
from drq_spark.external.codebook_tokenizer import codebook_tokenizer
from drq_spark.external.known_ids import KnownIds, known_ids
from drq_spark.external.shifted_ids import shift_note
from drq_spark.external.sid_map import SidMap, read_sids, sid_key
from drq_spark.inputs.attributes import read_attributes
from drq_spark.inputs.embeddings import row_reasons
from drq_spark.inputs.event_log import EventLog, read_event_log
from drq_spark.inputs.events import Events, events_of, exposed
from drq_spark.inputs.identity import fingerprint_beside, items_fingerprint
from drq_spark.inputs.items import Catalogue, read_catalogue
from drq_spark.inputs.pinning import Inputs, pin
from drq_spark.inputs.second_version import check_after, read_after
from drq_spark.lease import Lease, begun_anew
from drq_spark.measure.item_sample import ItemSample, mean_centred_square, sample_items
from drq_spark.measure.step import Known, measured
from drq_spark.measure.subject import Subject
from drq_spark.outcome import Outcome, outcome_of
from drq_spark.progress import SILENT, Watcher
from drq_spark.report.step import write_report
from drq_spark.run_state import find_same_run, new_run, taken_up
from drq_spark.runs import Run
from drq_spark.sample.step import tell_account
from drq_spark.schemas import EXTERNAL_ID, SID_QUARANTINE, SIDS, Reason, Status
from drq_spark.sids_of_run import FEW_IDS
from drq_spark.staging import Staging
from drq_spark.store import Store, open_store
from drq_spark.tokenizer import Tokenizer


@dataclass(frozen=True)
class ExternalInputs:
    """What there is of another system.

    Attributes:
        sids: The map of items to SIDs.
        books: Codebooks, float32 [K_l, d] a level; None where none were named.
        catalogue: The items; None where none were named.
        known: The ids that the map may name; None where there are no others.
        events: What users did with the items of the map; None where none were named.
    """

    sids: SidMap
    books: tuple[F32, ...] | None
    catalogue: Catalogue | None
    known: KnownIds | None
    events: Events | None = None

    @property
    def dim(self) -> int:
        """Length D of the embeddings, 0 without items."""
        return self.catalogue.profile.dim if self.catalogue else 0


def measure_sids(
    spark: SparkSession, config: Config, run_date: date, started_at: datetime, watcher: Watcher = SILENT
) -> Outcome:
    """Measure the map that `sids.path` names into tables and report; writes nothing where that was done before.

    Raises:
        ConfigError, InputRefused: before anything is written; InputRefused also where an input changes meanwhile.
        Busy: another run writes into the same place, and did not end within `store.wait_minutes`.
    """

    def work() -> Outcome:
        store = open_store(spark, config)
        lease = Lease(store, config.store.wait_minutes)
        try:
            run, inputs = _begin(store, lease, config, run_date, started_at, watcher)
            if run.state.status == Status.MEASURED.value:
                return outcome_of(run, repeated=True)
            _do(run, inputs)
        finally:
            store.clear_staging(lease.owner)
        return outcome_of(run, repeated=False)

    return begun_anew(work)


def _do(run: Run, inputs: ExternalInputs) -> None:
    with run.tidied():
        fill(run, inputs)
        measure(run, inputs)
        with run.step("report"):
            run.state = replace(run.state, status=Status.MEASURED.value)
            write_report(run)


def _begin(
    store: Store, lease: Lease, config: Config, run_date: date, started_at: datetime, watcher: Watcher
) -> tuple[Run, ExternalInputs]:
    """Read what there is, and take up the run that it belongs to, or make a new one; writes only into staging."""
    spark = store.spark
    lease.wait(watcher.heading)
    with watcher.step("read"):
        config, pinned = pin(spark, config)
        books = read_codebooks(config.sids.codebooks) if config.sids.codebooks else None
        known = known_ids(spark, config)
        sizes = tuple(len(book) for book in books) if books else None
        sids = read_sids(spark, config, known, sizes, Staging(store.staging(lease.owner)))
        store.refuse_other_ids(SIDS, sids.id_type)
        catalogue = read_catalogue(spark, config) if config.items.path else None
        log = read_event_log(spark, config, sids.id_type)
        inputs = ExternalInputs(sids, books, catalogue, known)
        _check_after(config, inputs)
        if catalogue is not None:
            check_after(spark, config, catalogue)
        fingerprint = _fingerprint(spark, config, inputs, log, pinned)
        watcher.note(f"{sids.rows:,} rows, {sids.codebook_sizes} codes a level, ids are {sids.id_type}")
        fresh = new_run(config, fingerprint, run_date, started_at, sids.rows, inputs.dim, sids.id_type)
        before = find_same_run(store, fresh)
        state = before or fresh
        if state.status != Status.MEASURED.value:
            identity = f"{EXTERNAL_ID}{sids.fingerprint}"
            state = taken_up(state, replace(fresh, input_versions=pinned.versions))
            told = (*(catalogue.notes if catalogue else ()), *sids.notes)
            state = replace(state, tokenizer_id=identity, notes=told)
    run = Run(store, config, state, watcher, lease, refuse_changed_inputs=pinned.refuse_changes, begun_here=not before)
    return run, replace(inputs, events=events_of(log, sids.df, config, run.staging))


def _check_after(config: Config, inputs: ExternalInputs) -> None:
    """Refuse a second version of the embeddings unless there are codebooks of the embeddings as they are."""
    if config.measure.embeddings_after is None:
        return
    if inputs.books is None or inputs.books[0].shape[1] != inputs.dim:
        raise ConfigError(
            "measure.embeddings_after needs to encode: give --items and --codebooks of the same length, or leave it out"
        )


def _fingerprint(
    spark: SparkSession, config: Config, inputs: ExternalInputs, log: EventLog | None, pinned: Inputs
) -> str:
    """What stands for all that goes in: map, items, codebooks, and what is beside them; `-` for what is not there."""
    items = items_fingerprint(config, inputs.catalogue, pinned) if inputs.catalogue else "-"
    digest = hashlib.sha256()
    for book in inputs.books or ():
        digest.update(f"{book.shape}".encode() + book.tobytes())
    books = digest.hexdigest()[:16] if inputs.books else "-"
    beside = fingerprint_beside(spark, config, inputs.sids.id_type, log)
    return ":".join(["sids", inputs.sids.fingerprint, items, books, beside])


def fill(run: Run, inputs: ExternalInputs) -> None:
    """Write the map as the run's slice of the sids table; with items, only those that have a usable embedding.

    Raises:
        InputRefused: too few of the map's items have one; nothing is written then.
    """
    with run.step("sids"):
        rows = _with_items(run, inputs)
        run.hold()
        run.save()  # killed from here on, the run is taken up again on any date
        tell_account(run, inputs.events)
        usable = exposed(rows.where("reason IS NULL").drop("reason"), inputs.events, run.config)
        unknown = {
            "sid": sid_key(inputs.sids.codebook_sizes),
            "margin": F.lit(None).cast("array<float>"),
            "residual_norm": F.lit(None).cast("float"),
            "moved_from": F.lit(None).cast("bigint"),
        }
        with_sids = usable.withColumns(unknown)
        numbered = with_suffix(with_sids, None, long_sids(with_sids, run), "rank0", run.staging)
        run.write(SIDS, numbered)
        set_aside = inputs.sids.quarantined.unionByName(rows.where("reason IS NOT NULL").select("item_id", "reason"))
        run.write(SID_QUARANTINE, set_aside)
        run.check_rows()
        run.refuse_changed_inputs()


def _with_items(run: Run, inputs: ExternalInputs) -> DataFrame:
    """item_id, codes, exposure, embedding_hash, reason of the map's items, read from the staging folder.

    Embeddings cross into Python once and stay where they are: only ids, hashes and reasons are joined.
    """
    rows = inputs.sids.df
    if inputs.catalogue is None:
        unknown = {"exposure": "double", "embedding_hash": "bigint", "reason": "string"}
        return rows.withColumns({name: F.lit(None).cast(kind) for name, kind in unknown.items()})
    items = inputs.catalogue.df.select("item_id", "exposure", "embedding_hash", "embedding")
    schema = f"item_id {inputs.catalogue.id_type}, exposure double, embedding_hash bigint, reason string"
    checked = run.staging.keep(items.mapInArrow(row_reasons(inputs.dim, run.config.items.normalize), schema), "items")
    reason = F.when(F.col("embedding_hash").isNull(), Reason.UNKNOWN_ITEM.value).otherwise(F.col("reason"))
    joined = rows.join(checked, "item_id", "left").withColumn("reason", reason)
    staged = run.staging.keep(joined, "joined")
    counts = {row.reason: row["count"] for row in staged.groupBy("reason").count().collect()}
    found = counts.pop(None, 0)
    _check_enough(run, found, counts)
    return staged


def _check_enough(run: Run, found: int, bad: dict[str, int]) -> None:
    rows, share = found + sum(bad.values()), run.config.items.max_bad_share
    if not found or sum(bad.values()) > share * rows:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(bad.items()))
        raise InputRefused(
            f"SIDs: of {rows:,} items {found:,} have a usable embedding in the items table ({reasons}), "
            f"items.max_bad_share is {share:g}; do sids.id and items.id hold the same ids?"
        )


def measure(run: Run, inputs: ExternalInputs) -> None:
    """Compute all figures that there can be into their tables.

    Raises:
        InputRefused: the second version of the embeddings cannot be used.
    """
    with run.step("measure"):
        sids = run.rows(SIDS, "measure --sids")
        items, id_type, sizes = _items_with_sids(run, inputs, sids), inputs.sids.id_type, inputs.sids.codebook_sizes
        sample = sample_items(sids, len(sizes), run.config.seed, items, inputs.dim, run.config.items.normalize)
        if inputs.known is not None and (shifted := shift_note(run.spark, run.config, inputs.known, sample)):
            _note(run, shifted)
        tokenizer = _tokenizer(run, inputs, sample)
        events = inputs.events
        subject = Subject(
            sids=sids,
            codebook_sizes=sizes,
            id_type=id_type,
            config=run.config,
            staging=run.staging,
            tokenizer=tokenizer,
            dim=inputs.dim or None,
            items=items,
            pairs=None if events is None else events.pairs(),
            account=None if events is None else events.account,
            attributes=read_attributes(run.spark, run.config, id_type),
            after=read_after(run.spark, run.config, id_type),
        )
        known = Known(
            run.state.rows_in,
            run.state.rows_quarantined or 0,
            fidelity=fidelity(sample, tokenizer.codebooks) if tokenizer and subject.rebuilds else (),
            sample_mean_square=mean_centred_square(sample),
        )
        measured(subject, known, run.watcher.progress, run.keep)
        run.refuse_changed_inputs()


def _items_with_sids(run: Run, inputs: ExternalInputs, sids: DataFrame) -> DataFrame | None:
    """The items table without the usable items that have no SID: search is among the same items for x and x_hat.

    Ids of up to a million such items are broadcast; where there are more, the embeddings are shuffled.
    """
    if inputs.catalogue is None:
        return None
    usable = run.staging.read(run.spark, "items").where("reason IS NULL").select("item_id")
    without = run.staging.keep(usable.join(sids.select("item_id"), "item_id", "left_anti"), "without")
    count = without.count()
    if not count:
        return inputs.catalogue.df
    _note(run, notes.items_without_sid(count))
    return inputs.catalogue.df.join(F.broadcast(without) if count <= FEW_IDS else without, "item_id", "left_anti")


def _tokenizer(run: Run, inputs: ExternalInputs, sample: ItemSample) -> Tokenizer | None:
    """The codebooks with the unit of sigma, which a note explains; None without codebooks."""
    if inputs.books is None:
        return None
    made = codebook_tokenizer(inputs.books, sample, inputs.dim, run.config.items.normalize)
    _note(run, notes.unit_of_sigma(made))
    return made.tokenizer


def _note(run: Run, note: str) -> None:
    """Add one more thing to know before the figures of the run are read."""
    run.state = replace(run.state, notes=(*run.state.notes, note))
