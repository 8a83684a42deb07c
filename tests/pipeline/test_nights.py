"""Whole runs against what their rows say, with figures, codes and tables read without Spark."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable
from pipeline.catalogues import listing, write
from pipeline.killing import content, published_codes, run_killed
from pipeline.nights import command
from pipeline.reference import codes_of, expected_figures, rows_of, stored_figures

from drq_spark import Tokenizer, figures
from drq_spark.metrics import Metric
from drq_spark.reference import Artifact
from drq_spark.runs import Run
from drq_spark.schemas import (
    ATTRIBUTE_GAINS,
    BEHAVIOUR_ITEMS,
    BEHAVIOUR_PAIRS,
    NIGHT_SIDS,
    PROBE_EVENTS,
    PROBE_FIGURES,
    TABLES,
    USER_STATES,
)

pytestmark = pytest.mark.timeout(1800)  # the first test here waits for three whole runs
OF_BEHAVIOUR = (BEHAVIOUR_ITEMS, BEHAVIOUR_PAIRS)
OF_PROBES = (PROBE_EVENTS, PROBE_FIGURES, USER_STATES)
WRITTEN = tuple(table for table in TABLES if table not in (*OF_BEHAVIOUR, *OF_PROBES, ATTRIBUTE_GAINS, NIGHT_SIDS))
WHICH = ("first", "second", "third")
ETAS = (0.1, 0.2, 0.5, 1.0)
COUNTS = {Metric.ITEMS, Metric.DEAD_CODES, Metric.UNIQUE_SIDS, Metric.LARGEST_BUCKET, Metric.OCCUPIED_PREFIXES}


def _is_of_whole_sids(metric, level):
    return level == 0 and metric in ("expected_overlap", "effective_capacity", "distribution", "geometry")


def _has_its_own_tests(metric, level, weighting, eta):
    """Figures that are drawn or perturbed, of whole SIDs, of prices or events: other tests have plain references."""
    if _is_of_whole_sids(metric, level):
        return True
    drawn = ("auc", "hit_rate", "raw_hit_rate", "retention", "neighbour_recall", "behaviour_pairs", "bucket_spread")
    of_events = ("events", "event_", "judging_users")
    own = ("uncertain_share", "residual_share_unseen", "flip_rate", "sid_survival", "priced_overlap")
    return metric in own or metric.startswith((*drawn, *of_events))


def _needs_a_run(metric, level, weighting, eta):
    """Figures of events and of nights."""
    kept = ("neighbour_recall", "uncertain_share", "residual_share_unseen", "priced_overlap")
    of_runs = ("quarantine_rate", "churn", "churn_matched")
    if _is_of_whole_sids(metric, level) or metric.startswith(kept):
        return False
    return metric in of_runs or _has_its_own_tests(metric, level, weighting, eta)


def run_row(nights, name):
    """The row of a run in the runs table."""
    return rows_of(nights.out, "runs", getattr(nights, name).run_id)[0]


def artifact_of(nights, name):
    """The tokenizer of a run, as its files say."""
    return Artifact.read(nights.out / "tokenizers" / run_row(nights, name)["tokenizer_id"])


def previous_codes(nights, name):
    """Codes that churn compares with: the run that was published when this one began."""
    before = {"first": None, "second": nights.first, "third": nights.second}[name]
    return None if before is None else codes_of(nights.out, before.run_id)


class TestOutcome:
    def test_good_runs_end_with_0_and_a_failing_gate_with_4(self, nights):
        assert [getattr(nights, name).exit_code for name in WHICH] == [0, 0, 4]

    def test_only_the_failing_gate_says_anything_on_stderr_and_that_in_one_line(self, nights):
        assert nights.first.stderr == nights.second.stderr == ""
        assert nights.third.stderr.count("\n") == 1
        assert "unique_sids" in nights.third.stderr
        assert "pointer was not moved" in nights.third.stderr

    def test_behaviour_is_shown_where_there_are_events(self, nights):
        auc = stored_figures(nights.out, nights.second.run_id)["auc_sum_popularity", 0, "items", None]
        assert f"AUC of behaviour pairs, SIDs {auc:.3f}" in " ".join(nights.second.stdout.split())
        assert "behaviour" not in nights.first.stdout

    def test_the_pointer_follows_the_last_run_that_passed(self, nights):
        pointer = DeltaTable(str(nights.out / "tables" / "published")).to_pyarrow_table().to_pylist()
        assert [row["run_id"] for row in pointer] == [nights.second.run_id]
        assert pointer[0]["rows"] == len(nights.second.vectors)
        assert pointer[0]["tokenizer_id"] == run_row(nights, "second")["tokenizer_id"]

    def test_the_pointers_version_of_sids_holds_the_run(self, nights):
        pointer = DeltaTable(str(nights.out / "tables" / "published")).to_pyarrow_table().to_pylist()[0]
        sids = DeltaTable(str(nights.out / "tables" / "sids"), version=pointer["sids_version"])
        rows = sids.to_pyarrow_table(filters=[("run_id", "=", pointer["run_id"])])
        assert {row["item_id"]: tuple(row["codes"]) for row in rows.to_pylist()} == codes_of(
            nights.out, nights.second.run_id
        )

    def test_status_says_how_it_ended(self, nights):
        assert [run_row(nights, name)["status"] for name in WHICH] == ["published", "published", "gate_failed"]

    def test_nothing_but_tables_tokenizers_and_the_report_stays(self, nights):
        assert {path.name for path in nights.out.iterdir()} == {"tables", "tokenizers", "report.html"}

    def test_the_run_compared_with_is_the_published_one(self, nights):
        before = [run_row(nights, name)["previous_run_id"] for name in WHICH]
        assert before == [None, nights.first.run_id, nights.second.run_id]


class TestRows:
    @pytest.mark.parametrize("name", WHICH)
    def test_every_row_in_is_a_row_out_or_in_quarantine(self, nights, name):
        night, row = getattr(nights, name), run_row(nights, name)
        assert set(codes_of(nights.out, night.run_id)) == set(night.vectors)
        assert len(rows_of(nights.out, "sids", night.run_id)) == row["rows_out"] == len(night.vectors)
        assert row["rows_quarantined"] == night.quarantined == len(rows_of(nights.out, "sid_quarantine", night.run_id))
        assert row["rows_in"] == row["rows_out"] + row["rows_quarantined"]

    def test_each_bad_row_is_in_quarantine_with_its_reason(self, nights):
        rows = rows_of(nights.out, "sid_quarantine", nights.first.run_id)
        found = sorted(((row["item_id"], row["reason"]) for row in rows), key=lambda row: (row[0] or "", row[1]))
        assert tuple(found) == nights.messy.quarantine

    @pytest.mark.parametrize("name", WHICH)
    def test_every_code_is_the_nearest_codeword_in_float64(self, nights, name):
        artifact, night = artifact_of(nights, name), getattr(nights, name)
        expected = {item: artifact.encode(x).codes for item, x in night.vectors.items()}
        assert codes_of(nights.out, night.run_id) == expected

    @pytest.mark.parametrize("name", WHICH)
    def test_margins_residuals_and_keys_belong_to_the_codes(self, nights, name):
        artifact, night = artifact_of(nights, name), getattr(nights, name)
        for row in rows_of(nights.out, "sids", night.run_id):
            path = artifact.encode(night.vectors[row["item_id"]])
            assert row["margin"] == pytest.approx(path.margins, rel=1e-5, abs=1e-7)
            assert row["residual_norm"] == pytest.approx(math.sqrt(path.left[-1]), rel=1e-6)
            assert row["sid"] == artifact.key(row["codes"])

    @pytest.mark.parametrize("name", WHICH)
    def test_suffixes_number_the_items_of_a_sid_from_0_by_exposure_and_id(self, nights, name):
        buckets = defaultdict(list)
        for row in rows_of(nights.out, "sids", getattr(nights, name).run_id):
            buckets[row["sid"]].append((-(row["exposure"] or 0.0), row["item_id"], row["suffix"]))
        for members in buckets.values():
            assert [suffix for _, _, suffix in sorted(members)] == list(range(len(members)))
        assert max(map(len, buckets.values())) > 1

    @pytest.mark.parametrize("name", WHICH)
    def test_exposure_is_the_column_else_the_count_of_events_else_null(self, nights, name):
        night = getattr(nights, name)
        found = {row["item_id"]: row["exposure"] for row in rows_of(nights.out, "sids", night.run_id)}
        assert found == (night.exposure or dict.fromkeys(night.vectors))


class TestFigures:
    @pytest.mark.parametrize("name", WHICH)
    def test_every_figure_equals_a_plain_reference(self, nights, name):
        night = getattr(nights, name)
        expected = expected_figures(
            artifact_of(nights, name),
            night.vectors,
            night.exposure,
            night.quarantined,
            ETAS,
            previous_codes(nights, name),
        )
        stored = stored_figures(nights.out, night.run_id)
        found = {key: value for key, value in stored.items() if not _has_its_own_tests(*key)}
        assert set(found) == set(expected)
        wrong = {key: (found[key], expected[key]) for key in found if not _agree(key[0], found[key], expected[key])}
        assert wrong == {}

    @pytest.mark.parametrize("name", WHICH)
    def test_an_array_has_the_figures_of_the_run(self, nights, name):
        """Those that need no events; all items are queries and all SIDs are compared, so that nothing is drawn."""
        tokenizer = Tokenizer.load(nights.out / "tokenizers" / run_row(nights, name)["tokenizer_id"])
        night = getattr(nights, name)
        x = np.stack(list(night.vectors.values()))
        exposure = None if night.exposure is None else [night.exposure[item] for item in night.vectors]
        found = {
            (row.metric, row.level, row.weighting, row.eta): row.value
            for row in figures(tokenizer, x, exposure=exposure, settings={"measure.neighbour_queries": 700}).rows
        }
        stored = {
            key: value for key, value in stored_figures(nights.out, night.run_id).items() if not _needs_a_run(*key)
        }
        assert set(found) - {("quarantine_rate", 0, "items", None)} == set(stored)
        wrong = {key: (found[key], value) for key, value in stored.items() if not _agree(key[0], found[key], value)}
        assert wrong == {}

    @pytest.mark.parametrize("name", WHICH)
    def test_the_share_decided_in_float64_is_a_share_for_every_level(self, nights, name):
        figures = stored_figures(nights.out, getattr(nights, name).run_id)
        shares = [figures["uncertain_share", level, "items", None] for level in (1, 2, 3, 4)]
        assert all(0 <= share <= 1 for share in shares)

    def test_the_unit_of_sigma_is_the_rms_per_effective_coordinate_of_the_sample(self, nights):
        rows = rows_of(nights.out, "sample", nights.first.run_id)
        artifact = artifact_of(nights, "first")
        z = np.array([artifact.latent(artifact.prepared(np.array(row["embedding"], np.float32))) for row in rows])
        for weight, rms in zip(artifact.weights, artifact.header["latent_rms"], strict=True):
            covariance = np.cov((z * weight).T, bias=True)
            assert rms == pytest.approx(math.sqrt(np.trace(covariance @ covariance) / np.trace(covariance)), rel=1e-9)

    def test_code_and_prefix_usage_count_the_items(self, nights):
        run_id, codes = nights.second.run_id, codes_of(nights.out, nights.second.run_id)
        shown = nights.second.exposure
        usage = {(row["level"], row["code"]): row for row in rows_of(nights.out, "code_usage", run_id)}
        counted = Counter((level, code) for item in codes.values() for level, code in enumerate(item, start=1))
        assert {key: row["items"] for key, row in usage.items() if row["items"]} == counted
        assert len(usage) == sum(len(book) for book in artifact_of(nights, "second").codebooks)
        prefixes = {(row["level"], row["prefix"]): row["items"] for row in rows_of(nights.out, "prefix_usage", run_id)}
        assert {level for level, _ in prefixes} == {1, 2, 3}
        assert prefixes == Counter((level, _key(code[:level])) for code in codes.values() for level in (1, 2, 3))
        assert sum(row["exposure"] for key, row in usage.items() if key[0] == 1) == sum(shown.values())

    def test_the_largest_buckets_are_listed_with_their_items(self, nights):
        buckets = rows_of(nights.out, "sid_usage", nights.first.run_id)
        codes = codes_of(nights.out, nights.first.run_id)
        counted = Counter(codes.values())
        expected = sorted(counted.items(), key=lambda bucket: (-bucket[1], bucket[0]))[:50]
        ordered = sorted(buckets, key=lambda bucket: bucket["rank"])
        assert [(tuple(bucket["codes"]), bucket["items"]) for bucket in ordered] == expected
        for bucket in ordered:
            members = [item for item, code in codes.items() if code == tuple(bucket["codes"])]
            assert bucket["distinct_embeddings"] == len({nights.first.vectors[item].tobytes() for item in members})
            assert bucket["examples"] == sorted(members)[:5]


def _agree(metric, found, expected):
    if metric in COUNTS:
        return found == expected
    return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-13)


def _key(codes):
    key = 0
    for code in codes:
        key = key * 6 + code
    return key


class TestTables:
    @pytest.mark.parametrize("table", OF_BEHAVIOUR, ids=lambda table: table.name)
    def test_only_the_night_with_events_has_pairs(self, nights, table):
        filled = [name for name in WHICH if rows_of(nights.out, table.name, getattr(nights, name).run_id)]
        assert filled == ["second"]

    @pytest.mark.parametrize("table", WRITTEN, ids=lambda table: table.name)
    def test_another_engine_reads_the_columns_and_comments_that_are_declared(self, nights, table):
        delta = DeltaTable(str(nights.out / "tables" / table.name))
        fields = json.loads(delta.schema().to_json())["fields"]
        assert [field["name"] for field in fields] == table.column_names()
        assert [field["metadata"]["comment"] for field in fields] == [column.comment for column in table.columns]
        assert [not field["nullable"] for field in fields] == [column.required for column in table.columns]
        assert delta.metadata().description == table.comment
        assert delta.metadata().partition_columns == (["run_id"] if table.by_run else [])
        assert delta.to_pyarrow_table().num_rows > 0

    @pytest.mark.parametrize(
        "table", [table for table in (*WRITTEN, *OF_BEHAVIOUR) if table.key], ids=lambda table: table.name
    )
    def test_no_two_rows_have_one_key(self, nights, table):
        rows = DeltaTable(str(nights.out / "tables" / table.name)).to_pyarrow_table(columns=list(table.key)).to_pylist()
        assert max(Counter(tuple(row.values()) for row in rows).values(), default=1) == 1

    @pytest.mark.parametrize("table", [table for table in TABLES if table.constraints], ids=lambda table: table.name)
    def test_constraints_are_part_of_the_table(self, nights, table):
        declared = DeltaTable(str(nights.out / "tables" / table.name)).metadata().configuration
        assert {
            name.removeprefix("delta.constraints."): rule for name, rule in declared.items() if "constraints" in name
        } == dict(table.constraints)


class TestReport:
    def test_names_from_the_table_cannot_run(self, nights, tmp_path):
        code, _, _ = command(["report", "--out", str(nights.out), "--run", nights.first.run_id])
        page = (nights.out / "report.html").read_text()
        assert code == 0
        assert "&lt;script&gt;alert(" in page
        assert "<script>alert(" not in page


class TestAgain:
    @pytest.mark.parametrize(("name", "code", "date"), [("first", 0, "2026-05-05"), ("third", 4, "2026-01-03")])
    def test_a_finished_run_is_not_repeated_on_any_date_and_says_so(self, nights, name, code, date):
        night, before = getattr(nights, name), listing(nights.out)
        again = command(["run", "--out", str(nights.out), "--run-date", date, *night.arguments])
        assert again[0] == code
        assert "Nothing was written" in again[1]
        assert night.run_id in again[1]
        assert listing(nights.out) == before

    def test_ids_of_another_type_are_refused_in_one_line_and_nothing_changes(self, nights, tmp_path):
        before = listing(nights.out)
        items = write(_numbered(nights.messy.rows), tmp_path / "numbers")
        code, _, said = command(["run", "--out", str(nights.out), "--items", items, *nights.first.arguments[2:]])
        assert (code, said.count("\n")) == (3, 1)
        assert "bigint" in said
        assert listing(nights.out) == before


@pytest.fixture(scope="module")
def killed(nights, tmp_path_factory):
    """The folder as the first night left it."""
    return Path(shutil.copytree(nights.after_first, tmp_path_factory.mktemp("killed") / "out"))


@pytest.mark.faults
class TestKilled:
    """Readers notice nothing, and the next attempt ends as if nothing had been."""

    def test_a_killed_run_leaves_readers_alone_and_ends_like_one_that_was_not_killed(self, nights, killed, monkeypatch):
        out, first, second = killed, nights.first.run_id, nights.second
        arguments = ["run", "--out", str(out), "--run-date", second.date, *second.arguments]
        before = first, codes_of(nights.out, first)

        run_killed("sid_quarantine", arguments)  # amid assign: SIDs are written, their quarantine is not
        assert rows_of(out, "sids", second.run_id)
        assert not rows_of(out, "sid_quarantine", second.run_id)
        assert published_codes(out) == before

        arguments[4] = "2026-07-07"  # on another day it is still the same run
        run_killed("published", arguments)  # everything is there, only the pointer has not moved
        assert [row["status"] for row in rows_of(out, "runs", second.run_id)] == ["passed"]
        assert published_codes(out) == before

        save = Run.save

        def fails_at_the_end(run):
            if run.state.status == "published":
                raise RuntimeError("lost")
            save(run)

        with monkeypatch.context() as patch:
            patch.setattr(Run, "save", fails_at_the_end)
            with pytest.raises(RuntimeError, match="lost"):
                command(arguments)
        assert published_codes(out)[0] == second.run_id

        assert command(arguments)[0] == 0
        assert published_codes(out) == (second.run_id, codes_of(nights.out, second.run_id))
        assert content(out, second.run_id) == content(nights.out, second.run_id)
        assert content(out, first) == content(nights.out, first)
        assert {row["run_id"] for row in DeltaTable(str(out / "tables" / "runs")).to_pyarrow_table().to_pylist()} == {
            first,
            second.run_id,
        }
        assert not any("staging" in name for name in listing(out))


def _numbered(rows):
    return rows.with_ids(range(len(rows))).table()
