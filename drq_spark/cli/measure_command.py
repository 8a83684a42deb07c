"""`drq measure`: one word for two things, the figures of a run and those of SIDs that another system made."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from drq_spark.cli.options import (
    After,
    Codes,
    ConfigFiles,
    DriverMemory,
    Events,
    Items,
    OutOfRun,
    RunDate,
    RunId,
    SchemaOfRun,
    Settings,
    codes_per_level,
    named,
)
from drq_spark.cli.surroundings import config_of, day, finish, now, session, store_of, watcher
from drq_spark.errors import ConfigError
from drq_spark.files import absolute

if TYPE_CHECKING:
    from drq_spark.config import Config

Sids = Annotated[
    str | None, typer.Option("--sids", help="SIDs of another system, measured instead: file, glob or table name.")
]
Codebooks = Annotated[
    str | None, typer.Option("--codebooks", help="Codebooks of these SIDs: .npz, .npy or .safetensors.")
]


def measure(
    out: OutOfRun,
    run_id: RunId = None,
    schema: SchemaOfRun = None,
    sids: Sids = None,
    items: Items = None,
    events: Events = None,
    codebooks: Codebooks = None,
    codes: Codes = None,
    config: ConfigFiles = None,
    settings: Settings = None,
    run_date: RunDate = None,
    embeddings_after: After = None,
    driver_memory: DriverMemory = None,
) -> None:
    """Compute the figures of a run; with --sids those of SIDs that another system made."""
    if sids is None:
        refused = {"--items": items, "--events": events, "--codebooks": codebooks, "--codes": codes,
                   "--config": config, "--set": settings, "--run-date": run_date}  # fmt: skip
        if unused := list(named(refused)):
            raise ConfigError(
                f"{', '.join(unused)} are for --sids; a run is measured by the settings that it began with"
            )
        measure_run(out, run_id, schema, embeddings_after)
        return
    if run_id is not None:
        raise ConfigError("--run is not for --sids: they make a run of their own")
    options = {"store.out": absolute(out), "store.schema_name": schema, "sids.path": sids, "sids.codebooks": codebooks,
               "sids.codes": codes_per_level(codes), "items.path": items, "events.path": events,
               "measure.embeddings_after": embeddings_after}  # fmt: skip
    measure_external(config_of(config, named(options), settings), run_date)


def measure_run(out: str, run_id: str | None, schema: str | None, embeddings_after: str | None) -> None:
    """The figures of a run that has SIDs, by the settings that it began with."""
    from drq_spark import pipeline, runs

    resumed = runs.resume(store_of(out, schema), run_id, watcher())
    if embeddings_after is not None:
        resumed.look_at_second_version(embeddings_after)  # before the inputs are pinned
    with resumed.tidied():
        pipeline.measure(resumed, pipeline.catalogue_of(resumed))


def measure_external(config: Config, run_date: datetime | None) -> None:
    """The figures of SIDs that another system made, in a run of their own."""
    from drq_spark.external.measure_sids import measure_sids
    from drq_spark.store import open_store

    spark = session(config)
    done = measure_sids(spark, config, day(run_date), now(), watcher())
    finish(done, config, open_store(spark, config))
