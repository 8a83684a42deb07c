"""Search in the whole catalogue: the figures of dense matrices and plain loops, under any partitioning."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pipeline.catalogues import clustered
from pipeline.direct import config, ready_tokenizer
from pyspark.sql import functions as F

from drq_spark.errors import ConsistencyError
from drq_spark.inputs.consecutive import with_following
from drq_spark.measure.behaviour import judged
from drq_spark.measure.behaviour.retrieval import Retrieved, retrieval
from drq_spark.measure.subject import Subject
from drq_spark.metrics import Metric
from drq_spark.staging import Staging
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import save_tokenizer

pytestmark = pytest.mark.timeout(900)

DIM, TIE, SEED = 6, 1e-9, 5
QUERIES, RANKED, SCORED = 40, 70, 160
SETTINGS = (
    f"seed={SEED}", "events.path=events", "events.holdout=0.5", f"measure.neighbour_queries={QUERIES}",
    f"measure.ranked_pairs={RANKED}", f"measure.scored_pairs={SCORED}",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A catalogue with SIDs, and events."""

    ids: list[Any]
    x: np.ndarray
    tokenizer: Tokenizer
    codes: np.ndarray
    events: list[tuple[str, Any, int]]
    settings: Any

    @property
    def sids(self) -> list[int]:
        return self.tokenizer.keys(self.codes).tolist()


def world(*, numbers=False, normalize="none", rows=260, tokenizer=None):
    """Clusters, 12 equal embeddings, scaled ones and zeros (where they are usable), and users with few events."""
    random = np.random.default_rng(11)
    x = clustered(rows, DIM)
    x[20:32] = x[20]
    x[40:44] = x[40] * np.array([[1.0], [2.0], [0.5], [4.0]], np.float32)
    if normalize == "none":
        x[50:53] = 0.0
    ids = [1000 - number for number in range(rows)] if numbers else [f"item-{number:03d}" for number in range(rows)]
    chosen = tokenizer or ready_tokenizer(x[:200], codes=5, levels=3, normalize=normalize)
    cluster = ready_tokenizer(x[:200], codes=8, levels=1).encode(x).codes[:, 0]
    events, popular = [], random.permutation(rows)
    for user in range(90):
        item = int(random.integers(rows))
        for place in range(1 if user % 9 == 0 else int(random.geometric(0.15))):
            events.append((f"user-{user}", ids[item], 2 * place))
            near = np.flatnonzero(cluster == cluster[item])
            item = int(random.choice(near)) if random.random() < 0.6 else int(popular[int(random.pareto(1.0)) % rows])
    events += [("user-1", -1 if numbers else "unknown", 5), ("user-2", ids[50], 1), ("user-2", ids[51], 3)]
    settings = config("items", f"items.normalize={normalize}", *SETTINGS)
    return World(ids, x, chosen, chosen.encode(x).codes, events, settings)


def subject(spark, given, folder, partitions=1, **other):
    """The tables of a world; rows of every table in another order where there are several partitions."""
    id_type = "int" if isinstance(given.ids[0], int) else "string"
    arrow_id = pa.int32() if id_type == "int" else pa.string()
    ids, embedding = pa.array(given.ids, arrow_id), pa.array(given.x.tolist(), pa.list_(pa.float32()))
    bad = pa.array([[float("nan")] * DIM, None], pa.list_(pa.float32()))
    more = pa.array([5, 6], arrow_id) if id_type == "int" else pa.array(["nan", "null"])
    items = pa.table({"item_id": pa.concat_arrays([ids, more]), "embedding": pa.concat_arrays([embedding, bad])})
    users, seen, places = zip(*given.events, strict=True)
    events = pa.table({"user": list(users), "item_id": pa.array(seen, arrow_id), "position": list(places)})
    tables = [items, pa.table({"item_id": ids, "sid": given.sids}), events]
    frames = [spark.createDataFrame(table) for table in tables]
    if partitions > 1:
        frames = [frame.repartition(partitions, F.rand(3)) for frame in frames]
    known = frames[0].select("item_id", F.lit(True).alias("known"))
    marked = frames[2].join(known, "item_id", "left").withColumn("known", F.coalesce("known", F.lit(False)))
    followed = with_following(marked, given.settings, (), Staging(str(folder)))
    values = {
        "items": frames[0],
        "pairs": followed.where("next_item_id IS NOT NULL"),
        "tokenizer": given.tokenizer,
        "dim": DIM,
        **other,
    }
    sizes = given.tokenizer.codebook_sizes
    return Subject(frames[1], sizes, id_type, given.settings, Staging(str(folder)), **values)  # type: ignore[arg-type]


def hashed(spark, tag, rows):
    """xxhash64 of a text, a row of texts and numbers, and the seed, for each row."""
    columns = [f"column {number}" for number in range(len(rows[0]))]
    df = spark.createDataFrame([(number, *row) for number, row in enumerate(rows)], ["number", *columns])
    found = df.select("number", F.xxhash64(F.lit(tag), *columns, F.lit(SEED)).alias("hash")).collect()
    return [row.hash for row in sorted(found, key=lambda row: row.number)]


class Reference:
    """The same figures by dense matrices and loops."""

    def __init__(self, spark, given):
        self.world = given
        x = given.x if given.tokenizer.normalize == "none" else given.tokenizer.prepare_input(given.x)
        self.x, self.decoded = x.astype(np.float64), given.tokenizer.decode(given.codes)
        self.raw, self.kept = cosines(self.x), cosines(self.decoded)
        self.keys = hashed(spark, "query", [(str(item),) for item in given.ids])
        self.order = sorted(range(len(self.keys)), key=lambda row: self.keys[row])
        self.pairs, self.users, self.count = self.drawn_pairs(spark)

    def drawn_pairs(self, spark):
        place = {item: row for row, item in enumerate(self.world.ids)}
        sequences = defaultdict(list)
        for user, item, position in self.world.events:
            sequences[user].append((position, str(item), item))
        found = []
        for user, sequence in sequences.items():
            for (position, _, item), (_, _, after) in pairwise(sorted(sequence, key=lambda event: event[:2])):
                if item in place and after in place and item != after:
                    found.append((user, position, item, after))
        pair = hashed(spark, "pair", [(user, position, str(a), str(b)) for user, position, a, b in found])
        user = hashed(spark, "user", [(user,) for user, *_ in found])
        rows = sorted(
            ((p % 2**64) >> 1, u, place[a], place[b])
            for p, u, (_, _, a, b) in zip(pair, user, found, strict=True)
            if (((u % 2**64) >> 11) + 0.5) / 2**53 < 0.5
        )
        return [row[2:] for row in rows[:SCORED]], [row[1] for row in rows[:SCORED]], len(rows)

    def hits(self, similarity, k):
        found = []
        for query, target in self.pairs[:RANKED]:
            others = [similarity[query, row] - similarity[query, target] for row in range(len(self.x)) if row != query]
            better, ties = sum(gap > TIE for gap in others), sum(abs(gap) <= TIE for gap in others)
            found.append(min(1.0, max(0.0, (k - better) / ties)))
        return np.array(found)

    def recalls(self, k):
        found = []
        for query in self.order[:QUERIES]:
            others = [row for row in range(len(self.x)) if row != query]
            nearest = sorted(others, key=lambda row: (-round(self.raw[query, row], 8), self.keys[row]))[:k]
            scores = np.sort(self.kept[query, others])[::-1]
            cut = scores[k - 1]
            above, ties = (scores > cut + TIE).sum(), (np.abs(scores - cut) <= TIE).sum()
            gaps = self.kept[query, nearest] - cut
            found.append(((gaps > TIE) + (np.abs(gaps) <= TIE) * (k - above) / ties).sum() / k)
        return np.array(found)

    def scores(self):
        codes = self.world.codes
        tables = self.world.tokenizer.tables or self.world.tokenizer.codebooks
        levels = [table.astype(np.float64)[codes[:, level]] for level, table in enumerate(tables)]
        same = np.array([[len(list(takewhile(bool, a == b))) for b in codes] for a in codes])
        return {
            "raw": centred(self.x),
            "sum": centred(sum(levels)),
            "concatenation": centred(np.hstack(levels)),
            "prefix": same,
        }

    def figures(self):
        users, n = np.array(self.users), len(self.x)
        found = {"behaviour_pairs": (self.count, None)}
        for k in (20, 200):
            values = self.recalls(k)
            found[f"neighbour_recall_{k}"] = (
                values.mean(), values.std(ddof=1) / np.sqrt(len(values)) * np.sqrt(1 - len(values) / n)
            )  # fmt: skip
            raw, kept, own = self.hits(self.raw, k), self.hits(self.kept, k), users[:RANKED]
            ratio = kept.sum() / raw.sum()
            found[f"raw_hit_rate_{k}"] = (raw.mean(), by_user((raw - raw.mean()) / len(raw), own))
            found[f"hit_rate_{k}"] = (kept.mean(), by_user((kept - kept.mean()) / len(raw), own))
            found[f"retention_{k}"] = (ratio, by_user((kept - ratio * raw) / raw.sum(), own))
        left, right = np.array(self.pairs).T
        uniform = [self.order[number % n] for number in range(len(left))]
        partners = {"uniform": uniform, "popularity": np.random.default_rng(SEED).permutation(right)}
        for name, score in self.scores().items():
            for kind, partner in partners.items():
                others = [(score[a, b], u) for a, b, u in zip(left, partner, users, strict=True) if a != b]
                found[f"auc_{name}_{kind}"] = area([*zip(score[left, right], users, strict=True)], others)
        return found


def cosines(vectors):
    """Of all pairs, 0 with a row of zeros."""
    norm = np.sqrt((vectors**2).sum(axis=1))
    return vectors @ vectors.T / np.where(norm > 0, norm, 1)[:, None] / np.where(norm > 0, norm, 1)


def centred(vectors):
    """Cosines about the mean, to 6 digits."""
    return cosines(vectors - vectors.mean(axis=0)).round(6)


def by_user(deviations, users):
    """Error from the sums of every user."""
    sums = [sum(d for d, u in zip(deviations, users, strict=True) if u == user) for user in set(users.tolist())]
    return np.sqrt(len(sums) / (len(sums) - 1) * sum(total**2 for total in sums))


def area(positive, negative):
    """All comparisons one by one, and the error by users."""
    won = np.array([[1.0 if p > n else 0.5 if p == n else 0.0 for n, _ in negative] for p, _ in positive])
    value = won.mean()
    parts = [(won.mean(axis=1) - value) / len(positive), (won.mean(axis=0) - value) / len(negative)]
    return value, by_user(np.concatenate(parts), np.array([user for _, user in [*positive, *negative]]))


def figures_of(rows):
    """name -> value and error."""
    assert {(row.level, row.weighting, row.eta, row.ruler) for row in rows} <= {(0, "items", None, None)}
    assert len({row.metric for row in rows}) == len(rows)
    return {row.metric: (row.value, row.standard_error) for row in rows}


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, (value, error) in expected.items():
        assert found[name][0] == pytest.approx(value, rel=1e-12), name
        assert found[name][1] == (None if error is None else pytest.approx(error, rel=1e-9)), name


@pytest.fixture(scope="module")
def strings():
    """Text ids, embeddings as they are."""
    return world()


@pytest.fixture(scope="module")
def reference(spark, strings):
    """Its figures."""
    expected = Reference(spark, strings)
    assert len(expected.pairs) == SCORED < expected.count
    assert len(set(strings.sids)) < 110  # SIDs are shared
    return expected.figures()


class TestFigures:
    def test_the_case_has_ties_and_is_neither_perfect_nor_chance(self, reference):
        for name in ("neighbour_recall_20", "neighbour_recall_200", "raw_hit_rate_20", "hit_rate_20", "hit_rate_200"):
            assert 0.1 < reference[name][0] < 0.98, name
        assert reference["raw_hit_rate_20"] != reference["hit_rate_20"]
        assert reference["auc_raw_uniform"][0] > 0.6

    @pytest.mark.parametrize("partitions", [1, 3, 7])
    def test_are_those_of_dense_matrices(self, spark, strings, reference, tmp_path, partitions):
        assert_same(figures_of(retrieval(subject(spark, strings, tmp_path, partitions)).figures), reference)

    def test_of_numbers_and_embeddings_of_unit_length(self, spark, tmp_path):
        given = world(numbers=True, normalize="l2")
        assert_same(
            figures_of(retrieval(subject(spark, given, tmp_path, 3)).figures), Reference(spark, given).figures()
        )

    @pytest.mark.parametrize("partitions", [1, 7])
    def test_embeddings_that_somebody_wants_come_along(self, spark, strings, reference, tmp_path, partitions):
        given = subject(spark, strings, tmp_path, partitions)
        wanted = given.sids.where("item_id < 'item-040'").select("sid", "item_id")
        found = retrieval(given, wanted=wanted)
        assert_same(figures_of(found.figures), reference)
        rows = sorted((row.sid, row.embedding) for row in found.vectors.collect())
        joined = given.items.join(wanted, "item_id").collect()
        assert rows == sorted((row.sid, row.embedding) for row in joined)
        assert len(rows) == 40

    def test_every_name_is_one_of_the_metrics(self, reference):
        assert set(reference) <= {metric.value for metric in Metric}


class TestParts:
    def test_without_events_the_neighbours_are_left(self, spark, strings, reference, tmp_path):
        found = figures_of(retrieval(subject(spark, strings, tmp_path, 3, pairs=None)).figures)
        assert_same(found, {name: value for name, value in reference.items() if name.startswith("neighbour")})

    def test_without_a_tokenizer_embeddings_and_prefixes_are_left(self, spark, strings, reference, tmp_path):
        kept = ("auc_raw", "auc_prefix", "behaviour_pairs")
        found = figures_of(retrieval(subject(spark, strings, tmp_path, 3, tokenizer=None)).figures)
        assert_same(found, {name: value for name, value in reference.items() if name.startswith(kept)})

    def test_without_items_the_sids_are_left(self, spark, strings, reference, tmp_path):
        kept = ("auc_sum", "auc_concatenation", "auc_prefix", "behaviour_pairs")
        found = figures_of(retrieval(subject(spark, strings, tmp_path, items=None, dim=None)).figures)
        assert_same(found, {name: value for name, value in reference.items() if name.startswith(kept)})

    def test_without_all_of_them_nothing_is(self, spark, strings, tmp_path):
        nothing = Retrieved([], None)
        assert retrieval(subject(spark, strings, tmp_path, tokenizer=None, pairs=None)) == nothing
        assert retrieval(subject(spark, strings, tmp_path, items=None, pairs=None)) == nothing

    def test_a_catalogue_too_small_for_k_has_no_figure_of_k(self, spark, tmp_path):
        small = world(rows=60)
        found = figures_of(retrieval(subject(spark, small, tmp_path)).figures)
        assert not [name for name in found if name.endswith("_200")]
        assert {"neighbour_recall_20", "retention_20"} <= set(found)
        tiny = World(small.ids[:20], small.x[:20], small.tokenizer, small.codes[:20], small.events, small.settings)
        assert not [
            name for name in figures_of(retrieval(subject(spark, tiny, tmp_path)).figures) if name.endswith("_20")
        ]

    def test_no_pair_has_no_figure_but_its_number(self, spark, strings, tmp_path):
        lonely = strings.events[:1]
        given = World(strings.ids, strings.x, strings.tokenizer, strings.codes, lonely, strings.settings)
        found = figures_of(retrieval(subject(spark, given, tmp_path)).figures)
        assert found.pop("behaviour_pairs") == (0.0, None)
        assert set(found) == {"neighbour_recall_20", "neighbour_recall_200"}


CONNECT = """
import json, sys
from drq_spark.config import Config
from drq_spark.measure.behaviour.retrieval import retrieval
from drq_spark.measure.subject import Subject
from drq_spark.staging import Staging
from drq_spark.tokenizer.artifact import load_tokenizer

folder, artifact, settings = sys.argv[1:4]
tokenizer = load_tokenizer(artifact)
tables = [spark.read.parquet(f"{folder}/{name}") for name in ("sids", "items", "pairs")]
config = Config.model_validate_json(settings)
subject = Subject(tables[0], tokenizer.codebook_sizes, "string", config, Staging(f"{folder}/staging"),
    tokenizer, 6, tables[1], tables[2])
print(json.dumps({row.metric: (row.value, row.standard_error) for row in retrieval(subject).figures}))
"""


class TestConnect:
    def test_figures_are_those_of_dense_matrices(self, spark, strings, reference, tmp_path, run_connect):
        given = subject(spark, strings, tmp_path)
        for name in ("sids", "items", "pairs"):
            getattr(given, name).write.parquet(f"{tmp_path}/{name}")
        artifact = save_tokenizer(strings.tokenizer, str(tmp_path / "tokenizers"))
        arguments = ["script", str(tmp_path), artifact, strings.settings.model_dump_json()]
        said = json.loads(run_connect(f"import sys; sys.argv = {arguments!r}{CONNECT}").splitlines()[-1])
        assert_same({name: tuple(figure) for name, figure in said.items()}, reference)


class TestChoice:
    def test_no_more_pairs_than_there_is_memory_for(self, spark, strings, tmp_path, monkeypatch, caplog):
        monkeypatch.setattr(judged, "_VECTOR_BYTES", 4 * DIM * 3 * 50)
        given = subject(spark, strings, tmp_path)
        found = judged.judged_of(given, judged.choose(given))
        assert len(found.pairs) == 50
        assert "judged on 50 pairs, not 160" in caplog.text

    def test_items_changed_since_are_a_defect(self, spark, strings, tmp_path):
        given = subject(spark, strings, tmp_path)
        fewer = subject(spark, strings, tmp_path, items=given.items.where("item_id <> 'item-007'"))
        with pytest.raises(ConsistencyError, match="259 items have a usable embedding, but 260 have a SID"):
            retrieval(fewer)
