"""Delta tables of a run: created from `schemas`, written one run's slice at a time, read by run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.files import absolute, alone_on_disk, ensure_writable, one_line, remove_empty_folder, remove_folder
from drq_spark.outside_faults import setup_fault
from drq_spark.rows import one_row
from drq_spark.schemas import LIVE, Table
from drq_spark.table_names import delta_schema, is_delta_table, is_pattern, quoted, quoted_name

RANKER_HEADER = "ranker.json"
_MESSAGE_LENGTH = 300
_HISTORY = 100  # commits in which the latest one of a run is looked for; the others are those of OPTIMIZE and such


@dataclass(frozen=True)
class Store:
    """Where a team's tables, tokenizers and reports are.

    Attributes:
        spark: The session that reads and writes the tables.
        out: Folder, a path or URI.
        schema_name: catalog.schema of the tables; None for Delta folders in `out`/tables.
        channel: Whose readers' tables are meant where every channel has one of its own.
    """

    spark: SparkSession
    out: str
    schema_name: str | None = None
    channel: str = LIVE

    def in_channel(self, channel: str) -> Store:
        """The same place, for the readers of a channel."""
        return replace(self, channel=channel)

    def name_of(self, table: Table) -> str:
        """What a table is called, in the catalog or the folder."""
        return self._of_channel(table.name) if table.by_channel else table.name

    def _of_channel(self, name: str) -> str:
        return name if self.channel == LIVE else f"{name}_{self.channel}"

    @property
    def tokenizers(self) -> str:
        """Folder of the tokenizer artifacts."""
        return f"{self.out}/tokenizers"

    @property
    def rankers(self) -> str:
        """Folder of the rankers that move the states of users."""
        return f"{self.out}/rankers"

    def ranker_header(self, ranker_id: str) -> str:
        """The file that tells what a ranker is; where it is missing the ranker was not written to its end."""
        return f"{self.rankers}/{ranker_id}/{RANKER_HEADER}"

    @property
    def report(self) -> str:
        """The report of the latest run of the channel."""
        return f"{self.out}/{self._of_channel('report')}.html"

    def staging(self, owner: str) -> str:
        """Folder for what an owner of the lease needs only while it works; nobody else writes or deletes there."""
        return f"{self.out}/staging/{owner}"

    def clear_staging(self, owner: str) -> None:
        """Delete that folder, and those above it where nothing else is in them."""
        remove_folder(self.staging(owner))
        remove_empty_folder(f"{self.out}/staging")
        remove_empty_folder(self.out)

    def location(self, table: Table) -> str:
        """Path or qualified name of a table, for people."""
        name = self.name_of(table)
        return f"{self.schema_name}.{name}" if self.schema_name else f"{self.out}/tables/{name}"

    def exists(self, table: Table) -> bool:
        """Whether the table has been created."""
        if self.schema_name:
            return self.spark.catalog.tableExists(self._identifier(table))
        return is_delta_table(self.spark, self.location(table))

    def read(self, table: Table, run_id: str | None = None, version: int | None = None) -> DataFrame:
        """Rows of a table, of one run or of all, as they are or as they were in a version of the table.

        Columns that an earlier version of this package did not know are NULL.
        """
        df = self._rows(table, version)
        known = set(df.columns)
        unknown = {new.name: F.lit(None).cast(new.type) for new in table.columns if new.name not in known}
        df = df.withColumns(unknown) if unknown else df
        return df if run_id is None else df.where(F.col("run_id") == run_id)

    def _rows(self, table: Table, version: int | None = None) -> DataFrame:
        reader = self.spark.read if version is None else self.spark.read.option("versionAsOf", version)
        if self.schema_name:
            return reader.table(self._identifier(table))
        return reader.format("delta").load(self.location(table))

    def write(self, table: Table, df: DataFrame, run_id: str, id_type: str = "string", first: bool = False) -> int:
        """Replace the run's slice of a table, or all of one that is not kept by run, in one commit.

        Args:
            table: Which.
            df: The rows of the slice.
            run_id: Whose slice it is.
            id_type: Spark SQL type of the item ids.
            first: That the table is known to hold no slice of the run. Then nothing is looked for that would have to
                go, which on a laptop is most of the time that a small commit takes.

        Returns:
            The new version of the table.

        Raises:
            ConfigError: the place cannot be written.
            InputRefused: the table is there with item ids of another type.
        """
        self.put(table, df, run_id, id_type, first)
        return self.version(table)

    def put(self, table: Table, df: DataFrame, run_id: str, id_type: str = "string", first: bool = False) -> None:
        """`write`, for whoever needs no version.

        Raises:
            ConfigError, InputRefused: as `write`.
        """
        self._ensure(table, id_type)
        writer = df.select(*table.column_names()).write.format("delta").option("userMetadata", run_id)
        if table.by_run and first:
            writer = writer.mode("append")
        else:
            writer = writer.mode("overwrite")
            if table.by_run:
                writer = writer.option("replaceWhere", f"run_id = '{run_id}'")
        self._save(writer, table)

    def put_version(self, table: Table, df: DataFrame, version: int, id_type: str) -> None:
        """Replace the rows of a table that say which version (column) of another table they are of, in one commit.

        Raises:
            ConfigError, InputRefused: as `write`.
        """
        writer = df.select(*table.column_names()).write.format("delta")
        if self._ensure(table, id_type):
            writer = writer.mode("append")
        else:
            writer = writer.mode("overwrite").option("replaceWhere", f"version = {version}")
        self._save(writer, table)

    def _save(self, writer: DataFrameWriter, table: Table) -> None:
        if self.schema_name:
            writer.saveAsTable(self._identifier(table))
        else:
            writer.save(self.location(table))

    def merge(self, table: Table, rows: DataFrame, deleted: str, run_id: str) -> int:
        """Put rows into a table in place of those with the same key, in one commit.

        Args:
            table: Which; it is there.
            rows: Its columns, and what the condition needs.
            deleted: SQL condition on a row, called `new`, that says that the row with its key is to go.
            run_id: Who does so; kept with the commit.

        Returns:
            The new version of the table.
        """
        metadata = "spark.databricks.delta.commitInfo.userMetadata"
        same = " AND ".join(f"old.`{name}` = new.`{name}`" for name in table.key)
        values = {name: f"new.`{name}`" for name in table.column_names()}
        updated = ", ".join(f"old.`{name}` = {value}" for name, value in values.items())
        inserted = ", ".join(f"`{name}`" for name in values)
        with self._set(metadata, run_id):
            self.spark.sql(
                f"MERGE INTO {self._identifier(table)} AS old USING {{rows}} AS new ON {same} "
                f"WHEN MATCHED AND {deleted} THEN DELETE WHEN MATCHED THEN UPDATE SET {updated} "
                f"WHEN NOT MATCHED AND NOT ({deleted}) THEN INSERT ({inserted}) VALUES ({', '.join(values.values())})",
                rows=rows,
            )
        return self.version(table)

    def mark(self, table: Table, run_ids: Sequence[str], values: Mapping[str, str]) -> None:
        """Set text columns of the rows of some runs, in one commit."""
        changed = ", ".join(f"`{name}` = '{value}'" for name, value in values.items())
        self.spark.sql(f"UPDATE {self._identifier(table)} SET {changed} WHERE run_id IN ({_listed(run_ids)})")

    def remove(self, table: Table, ids: Sequence[str], column: str = "run_id") -> None:
        """Delete the rows of some runs, or of what else a column has the ids of, in one commit."""
        self.spark.sql(f"DELETE FROM {self._identifier(table)} WHERE {column} IN ({_listed(ids)})")

    def optimize(self, table: Table) -> None:
        """Put the rows of many small files of a table, or of each of its partitions, into few."""
        self.spark.sql(f"OPTIMIZE {self._identifier(table)}")

    def vacuum(self, table: Table, hours: float) -> None:
        """Delete the files that no version of the last hours has."""
        check = "spark.databricks.delta.retentionDurationCheck.enabled"
        with self._set(check, "false"):
            self.spark.sql(f"VACUUM {self._identifier(table)} RETAIN {hours} HOURS")

    @contextmanager
    def _set(self, name: str, value: str) -> Iterator[None]:
        """Another setting of Spark for a while."""
        before = self.spark.conf.get(name, None)
        self.spark.conf.set(name, value)
        try:
            yield
        finally:
            if before is None:
                self.spark.conf.unset(name)
            else:
                self.spark.conf.set(name, before)

    def last_writer(self, table: Table) -> str | None:
        """Run that the latest commit with rows in it is of; None where the table is not there, or is empty yet."""
        if not self.exists(table):
            return None
        history = self.spark.sql(f"DESCRIBE HISTORY {self._identifier(table)} LIMIT {_HISTORY}")
        row = history.where("userMetadata IS NOT NULL").orderBy(F.desc("version")).select("userMetadata").first()
        return None if row is None else str(row.userMetadata)

    def put_term(self, table: Table, df: DataFrame, term: int) -> None:
        """Replace all of a table that is not kept by run, unless that was done for this term or a later one before.

        Of two that do so at once one is left out, or has an error of Delta that tells of a concurrent transaction.

        Raises:
            ConfigError: the place cannot be written.
        """
        rows = df.select(*table.column_names())
        options = {"txnAppId": f"drq_spark.{table.name}", "txnVersion": str(term)}
        if self.schema_name:
            self._ensure(table, "")
            rows.writeTo(self._identifier(table)).options(**options).overwrite(F.lit(True))
            return
        with alone_on_disk(f"{self.out}/tables/.{table.name}.lock"):  # there Delta lets two processes write one version
            self._ensure(table, "")
            rows.write.format("delta").mode("overwrite").options(**options).save(self.location(table))

    def refuse_other_ids(self, table: Table, id_type: str) -> None:
        """Check before anything is written that a table, where it is there, takes ids of this type.

        Raises:
            InputRefused: it has another.
        """
        present = self._columns(table)
        if present is not None:
            self._check_id_type(table, id_type, present)

    def version(self, table: Table) -> int:
        """Version of the latest commit of a table."""
        return int(one_row(self.spark.sql(f"DESCRIBE HISTORY {self._identifier(table)} LIMIT 1")).version)

    def _identifier(self, table: Table) -> str:
        if self.schema_name:
            return quoted_name(self.location(table))
        return f"delta.{quoted(self.location(table))}"

    def _ensure(self, table: Table, id_type: str) -> bool:
        """Create the table, or check the one that is there; whether it was created."""
        present = self._columns(table)
        if present is not None:
            self._check_id_type(table, id_type, present)
            self._add_columns(table, id_type, present)
            return False
        partitioning = "PARTITIONED BY (run_id)" if table.by_run else ""
        # constraints as properties: a table that is there has them, wherever its maker was killed
        rules = ", ".join(f"'delta.constraints.{name}' = '{condition}'" for name, condition in table.constraints)
        properties = f"TBLPROPERTIES ({rules})" if rules else ""
        try:
            self.spark.sql(
                f"CREATE TABLE IF NOT EXISTS {self._identifier(table)} ({table.ddl(id_type)}) USING DELTA "
                f"{partitioning} COMMENT '{table.comment}' {properties}"
            )
        except PySparkException as error:
            if (fault := setup_fault(error)) is not None:
                raise fault from None
            reason = one_line(error)[:_MESSAGE_LENGTH]
            raise ConfigError(f"table {self.location(table)} cannot be created: {reason}") from None
        return True

    def _columns(self, table: Table) -> dict[str, str] | None:
        """Names and types of the columns that a table has; None where it has not been created."""
        if self.schema_name:
            return dict(self._rows(table).dtypes) if self.exists(table) else None
        found = delta_schema(self.spark, self.location(table))
        return None if found is None else {field.name: field.dataType.simpleString() for field in found}

    def _add_columns(self, table: Table, id_type: str, present: Mapping[str, str]) -> None:
        """Give a table that an earlier version has made the columns that it did not know."""
        missing = [column for column in table.columns if column.name not in present]
        if missing:
            added = ", ".join(
                f"`{column.name}` {column.type.format(id=id_type)} COMMENT '{column.comment}'" for column in missing
            )
            self.spark.sql(f"ALTER TABLE {self._identifier(table)} ADD COLUMNS ({added})")

    def _check_id_type(self, table: Table, id_type: str, present: Mapping[str, str]) -> None:
        for column in table.columns:
            if "{id}" in column.type and present.get(column.name) != column.type.format(id=id_type):
                raise InputRefused(
                    f"table {self.location(table)} has {column.name} as {present.get(column.name)}, this run's ids are "
                    f"{id_type}: use another --out"
                )


def _listed(texts: Sequence[str]) -> str:
    """Run ids, of digits, letters and hyphens, as literals of SQL."""
    return ", ".join(f"'{text}'" for text in texts)


def open_store(spark: SparkSession, config: Config) -> Store:
    """The store that the settings name.

    Raises:
        ConfigError: none is named, or its folder cannot be written.
    """
    store = named_store(spark, config)
    ensure_writable(store.out)
    return store


def named_store(spark: SparkSession, config: Config) -> Store:
    """The same for whoever only reads.

    Raises:
        ConfigError: none is named.
    """
    if config.store.out is None:
        raise ConfigError("no place for the results: give --out DIR or set store.out")
    out = absolute(config.store.out)
    if is_pattern(out):
        raise ConfigError(
            f"{out!r} cannot hold a run: Spark takes * ? [ {{ in a path for a pattern, choose another --out"
        )
    return Store(spark, out, config.store.schema_name, config.store.channel)
