"""The assignment of a run, written into its tables: of all items, or of those that have changed."""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.assign.assignment import Assignment, assign_items
from drq_spark.assign.assignment_worker import Totals
from drq_spark.assign.differences import differences, refuse_upheaval, to_encode
from drq_spark.assign.night import night_rows
from drq_spark.assign.spread import spread
from drq_spark.assign.suffix import long_sids, of_same_sids, places_of_readers, with_suffix
from drq_spark.inputs.events import exposed
from drq_spark.inputs.items import Catalogue
from drq_spark.runs import Run
from drq_spark.schemas import ASSIGNMENT_TOTALS, CURRENT_SIDS, NIGHT_SIDS, SID_QUARANTINE, SIDS
from drq_spark.sids_of_run import changed_by


def assign_all(run: Run, catalogue: Catalogue, marked: DataFrame) -> None:
    """Encode every item, and leave the run the embeddings of those that figures are going to draw.

    Args:
        run: The run.
        catalogue: Its items.
        marked: See `assignment.assign_items`.
    """
    done, numbered = _assigned(run, catalogue, marked)
    run.kept_embeddings = done.kept
    run.write(SIDS, numbered)
    run.write(SID_QUARANTINE, done.quarantined)
    run.write(ASSIGNMENT_TOTALS, done.totals_table())


def assign_changes(run: Run, catalogue: Catalogue) -> None:
    """Encode items that are new or have another embedding; all others keep what they have.

    A night writes what differs from the run whose SIDs it carries over. Any other run writes all rows, those that are
    carried over as they are.

    Raises:
        InputRefused: more changes at once than a night may bring.
    """
    base = run.base
    assert base is not None  # the run carries SIDs over
    found = differences(catalogue.df, base, run.staging)
    refuse_upheaval(found, run.config)
    run.watcher.note(
        f"{found.to_encode - found.changed:,} new items, {found.changed:,} with another embedding, {found.gone:,} gone"
    )
    changed = to_encode(catalogue.df, found)
    if run.config.collisions.policy == "spread":
        changed = run.staging.keep(changed, "to_encode")  # read twice, and the catalogue is much longer
    done, shown = _assigned(run, replace(catalogue, df=changed))
    numbered = run.staging.keep(shown, "numbered")
    rows = night_rows(numbered, found.rows, base, run.config.nightly.keep_gone if run.state.is_night else 0)
    if run.state.is_night:
        run.write(NIGHT_SIDS, rows)
    else:
        run.write(SIDS, _carried_over(run, catalogue, base, rows))
    run.write(SID_QUARANTINE, done.quarantined)


def _assigned(run: Run, catalogue: Catalogue, marked: DataFrame | None = None) -> tuple[Assignment, DataFrame]:
    """What was encoded, and its rows with exposure and suffix, after what the policy does with items of one SID."""
    settings, tokenizer = run.config.collisions, run.tokenizer()
    done = assign_items(catalogue, tokenizer, run.staging, run.config.assign.device, marked)
    run.watcher.note(_encoded_by(done.totals))
    done = replace(done, rows=exposed(done.rows, catalogue.events, run.config))
    if settings.policy == "none":
        return done, done.rows.withColumn("suffix", F.lit(0))
    places = places_of_readers(run)
    if settings.policy == "spread":
        done = spread(done, catalogue.df, places, tokenizer, settings, run.staging)
    if places is not None:
        places = of_same_sids(places, done.rows, done.totals.items)
    return done, with_suffix(done.rows, places, long_sids(done.rows, run), settings.numbering, run.staging)


def _encoded_by(totals: Totals) -> str:
    """How many items were encoded, and by what."""
    if not totals.compiled:
        return f"{totals.items:,} items encoded by numpy"
    products = f", {totals.on_gpu:,} with products of a GPU" if totals.on_gpu else ""
    return f"{totals.items:,} items encoded, {totals.compiled:,} by compiled code{products}"


def _carried_over(run: Run, catalogue: Catalogue, base: DataFrame, changes: DataFrame) -> DataFrame:
    """All rows of a run that is no night: those of the base that stay, under the name of this run, and the others."""
    own = [name for name in CURRENT_SIDS.column_names() if name not in ("tokenizer_id", "run_id", "run_date")]
    rows = changed_by(base, changes, own).where("gone_nights = 0")
    shown = catalogue.df.select("item_id", "exposure")
    return exposed(rows.join(shown, "item_id"), catalogue.events, run.config)
