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
from drq_spark.assign.suffix import with_suffix
from drq_spark.config import Config
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.external.codebook_fidelity import Drawn, agreement, draw, fidelity, mean_centred_square, rebuilt
from drq_spark.external.codebooks import read_codebooks
from drq_spark.external.sids import SidMap, read_sids, sid_key
from drq_spark.inputs.attributes import read_attributes
from drq_spark.inputs.embeddings import row_reasons
from drq_spark.inputs.events import events_id_type, exposed, read_events
from drq_spark.inputs.identity import fingerprint_beside
from drq_spark.inputs.items import Catalogue, read_catalogue
from drq_spark.inputs.second_version import read_after
from drq_spark.measure.step import Known, measured
from drq_spark.measure.subject import Subject
from drq_spark.page.numbers import number, percent
from drq_spark.progress import SILENT, Watcher
from drq_spark.report.data import EXTERNAL
from drq_spark.report.gather import write_report
from drq_spark.runs import Outcome, Run, find_same_run, new_run
from drq_spark.schemas import FROM_ELSEWHERE, SID_QUARANTINE, SIDS, Reason, Status
from drq_spark.store import open_store
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.model import effective_rms

_BROADCAST = 1_000_000  # ids


@dataclass(frozen=True)
class Given:
    """What is there: the map, and, where they were named, codebooks (float32 [K_l, d] a level) and items."""

    sids: SidMap
    books: tuple[F32, ...] | None
    catalogue: Catalogue | None

    @property
    def dim(self) -> int:
        """D, 0 without items."""
        return self.catalogue.profile.dim if self.catalogue else 0


def measure_sids(
    spark: SparkSession, config: Config, run_date: date, started_at: datetime, watcher: Watcher = SILENT
) -> Outcome:
    """Measure the map that `sids.path` names, into the tables and the report; done before, nothing is written.

    Raises:
        ConfigError, InputRefused: before anything is written.
    """
    run, given = _begin(spark, config, run_date, started_at, watcher)
    if run.state.status == Status.MEASURED.value:
        return run.outcome(repeated=True)
    with run.tidied():
        fill(run, given)
        measure(run, given)
        with run.step("report"):
            run.state = replace(run.state, status=Status.MEASURED.value)
            write_report(run)
    return run.outcome(repeated=False)


def _begin(
    spark: SparkSession, config: Config, run_date: date, started_at: datetime, watcher: Watcher
) -> tuple[Run, Given]:
    """Read what there is, and take up the run that it belongs to, or make a new one; writes nothing."""
    store = open_store(spark, config)
    with watcher.step("read"):
        books = read_codebooks(config.sids.codebooks) if config.sids.codebooks else None
        catalogue = read_catalogue(spark, config) if config.items.path else None
        id_type = catalogue.id_type if catalogue else events_id_type(spark, config)
        sids = read_sids(spark, config, id_type, tuple(len(book) for book in books) if books else None)
        store.refuse_other_ids(SIDS, sids.id_type)
        given = Given(sids, books, catalogue)
        _check_after(config, given)
        fingerprint = _fingerprint(spark, config, given)
        watcher.note(f"{sids.rows:,} rows, {sids.codebook_sizes} codes a level, ids are {sids.id_type}")
        fresh = new_run(config, fingerprint, run_date, started_at, sids.rows, given.dim, sids.id_type)
        state = find_same_run(store, fresh) or fresh
        if state.status != Status.MEASURED.value:
            identity = f"{FROM_ELSEWHERE}{sids.fingerprint}"
            state = replace(state, started_at=started_at, tokenizer_id=identity, notes=sids.notes)
    return Run(store, config, state, watcher), given


def _check_after(config: Config, given: Given) -> None:
    """Only codebooks of the embeddings as they are tell where a second version of them would be."""
    if config.measure.embeddings_after is None:
        return
    if given.books is None or given.books[0].shape[1] != given.dim:
        raise ConfigError(
            "measure.embeddings_after needs to encode: give --items and --codebooks of the same length, or leave it out"
        )


def _fingerprint(spark: SparkSession, config: Config, given: Given) -> str:
    """Of all that goes in: map, items, codebooks, and what is beside them; `-` for what is not there."""
    items = given.catalogue.profile.fingerprint if given.catalogue else "-"
    digest = hashlib.sha256()
    for book in given.books or ():
        digest.update(f"{book.shape}".encode() + book.tobytes())
    books = digest.hexdigest()[:16] if given.books else "-"
    beside = fingerprint_beside(spark, config, given.sids.id_type)
    return ":".join(["sids", given.sids.fingerprint, items, books, beside])


def fill(run: Run, given: Given) -> None:
    """The map as the run's slice of the sids table; with items, of those that have a usable embedding.

    Raises:
        InputRefused: too few of the map's items have one; nothing is written then.
    """
    with run.step("sids"):
        rows = _with_items(run, given)
        run.save()  # killed from here on, the run is taken up again on any date
        usable = exposed(rows.where("reason IS NULL").drop("reason"), run.spark, run.config, run.state.id_type)
        unknown = {
            "sid": sid_key(given.sids.codebook_sizes),
            "margin": F.lit(None).cast("array<float>"),
            "residual_norm": F.lit(None).cast("float"),
        }
        numbered = with_suffix(usable.withColumns(unknown), None)
        run.write(SIDS, numbered)
        set_aside = given.sids.quarantined.unionByName(rows.where("reason IS NOT NULL").select("item_id", "reason"))
        run.write(SID_QUARANTINE, set_aside)
        run.check_rows()


def _with_items(run: Run, given: Given) -> DataFrame:
    """item_id, codes, exposure, embedding_hash, reason of the map's items, read from the staging folder.

    Embeddings cross into Python once and stay where they are: only ids, hashes and reasons are joined.
    """
    rows = given.sids.df
    if given.catalogue is None:
        unknown = {"exposure": "double", "embedding_hash": "bigint", "reason": "string"}
        return rows.withColumns({name: F.lit(None).cast(kind) for name, kind in unknown.items()})
    items = given.catalogue.df.select("item_id", "exposure", "embedding_hash", "embedding")
    schema = f"item_id {given.catalogue.id_type}, exposure double, embedding_hash bigint, reason string"
    checked = run.staging.keep(items.mapInArrow(row_reasons(given.dim, run.config.items.normalize), schema), "items")
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


def measure(run: Run, given: Given) -> None:
    """Compute all figures that there can be into their tables.

    Raises:
        InputRefused: the second version of the embeddings cannot be used.
    """
    with run.step("measure"):
        sids = run.rows(SIDS, "measure --sids")
        items, id_type, sizes = _items_with_sids(run, given, sids), given.sids.id_type, given.sids.codebook_sizes
        drawn = draw(sids, len(sizes), run.config.seed, items, given.dim, run.config.items.normalize)
        tokenizer = _tokenizer(run, given, drawn)
        subject = Subject(
            sids=sids,
            codebook_sizes=sizes,
            id_type=id_type,
            config=run.config,
            staging=run.staging,
            tokenizer=tokenizer,
            dim=given.dim or None,
            items=items,
            events=read_events(run.spark, run.config, id_type),
            attributes=read_attributes(run.spark, run.config, id_type),
            after=read_after(run.spark, run.config, id_type),
        )
        known = Known(
            run.state.rows_in,
            run.state.rows_quarantined or 0,
            fidelity=fidelity(drawn, tokenizer.codebooks) if tokenizer and subject.rebuilds else (),
            spread=mean_centred_square(drawn),
        )
        for table, df in measured(subject, known, run.watcher.progress).items():
            run.write(table, df)


def _items_with_sids(run: Run, given: Given, sids: DataFrame) -> DataFrame | None:
    """The items table without the usable items that have no SID: search is among the same items for x and x_hat.

    Ids of up to a million such items are broadcast; where there are more, the embeddings are shuffled.
    """
    if given.catalogue is None:
        return None
    usable = run.staging.read(run.spark, "items").where("reason IS NULL").select("item_id")
    without = run.staging.keep(usable.join(sids.select("item_id"), "item_id", "left_anti"), "without")
    count = without.count()
    if not count:
        return given.catalogue.df
    note = f"{count:,} items of the items table have no SID and are left out."
    run.state = replace(run.state, notes=(*run.state.notes, note))
    return given.catalogue.df.join(F.broadcast(without) if count <= _BROADCAST else without, "item_id", "left_anti")


def _tokenizer(run: Run, given: Given, drawn: Drawn) -> Tokenizer | None:
    """The codebooks with the unit of sigma; None without codebooks.

    Where items have as many numbers as codewords, z = x is assumed. Where nothing is known of the latents, what the
    SIDs rebuild stands for them.
    """
    if given.books is None:
        return None
    dim = given.books[0].shape[1]
    latents = drawn.x if drawn.x is not None and given.dim == dim else None
    (unit,) = effective_rms(rebuilt(drawn.codes, given.books) if latents is None else latents, [None])
    units = (unit,) * len(given.books)
    tokenizer = Tokenizer(EXTERNAL, dim, run.config.items.normalize, given.books, latent_rms=units)
    note = f"η = 1 is {number(unit)}, the spread per effective coordinate of"
    if latents is None:
        note += (
            f" the sums of the codewords of {len(drawn.codes):,} items: the latents are not known. They spread wider, "
            "so that capacity is overstated."
        )
    else:
        share, checked = agreement(drawn.codes, latents, tokenizer)
        note += (
            f" the embeddings of {len(latents):,} items: the codebooks are taken to quantize them as they are. The "
            f"nearest codewords give the SIDs of {percent(share)} of {checked:,} items; where that is little, an "
            "encoder or a beam lies between, or codes were moved apart."
        )
    run.state = replace(run.state, notes=(*run.state.notes, note))
    return tokenizer
