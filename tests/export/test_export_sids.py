"""`drq export` on a store: which run, what is refused, and what the export says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from export.small_catalogue import CODES, ORDER, SIZES, source_of, tokenizer_of
from pyspark.sql import functions as F
from runs_in_hand import run_of

from drq_spark import __version__
from drq_spark.cli import main
from drq_spark.config import canonical_json, load_config
from drq_spark.errors import ConfigError
from drq_spark.export.export_formats import FORMATS, format_of
from drq_spark.export.export_sids import choices_of
from drq_spark.schemas import CODE_USAGE, SIDS
from drq_spark.tokenizer.artifact import save_tokenizer


@pytest.fixture(scope="module")
def store(spark, tmp_path_factory) -> Path:
    """Two runs: `older` with one item, `newer` with all of them, which readers follow."""
    out = tmp_path_factory.mktemp("store")
    tokenizer_id = Path(save_tokenizer(tokenizer_of(), f"{out}/tokenizers")).name
    rows = source_of(spark).rows
    columns = {
        "margin": F.array(F.lit(0.5).cast("float")),
        "residual_norm": F.lit(0.5).cast("float"),
        "exposure": F.lit(None).cast("double"),
        "embedding_hash": F.lit(7).cast("bigint"),
    }
    for run_id, items in (("older", rows.where("item_id = 'b'")), ("newer", rows)):
        run = run_of(spark, out, run_id, tokenizer_id=tokenizer_id, rows_out=items.count(), status="published")
        run.write(SIDS, items.withColumns(columns))
        run.move_pointer()
        run.save()
    run_of(spark, out, "begun", tokenizer_id=tokenizer_id).save()
    return out


@pytest.fixture(scope="module")
def foreign(store, spark) -> str:
    """A run in the store that measured SIDs of another system."""
    config = load_config(options={"sids.path": "map.json"})
    settings = canonical_json(config.model_dump(mode="json"))
    run = run_of(spark, store, "foreign", tokenizer_id="sids-0", rows_out=1, config=settings)
    unknown = {name: F.lit(None).cast(kind) for name, kind in (("margin", "array<float>"), ("residual_norm", "float"))}
    no_items = {"exposure": F.lit(None).cast("double"), "embedding_hash": F.lit(None).cast("bigint")}
    run.write(SIDS, source_of(spark).rows.where("item_id = '10'").withColumns({**unknown, **no_items}))
    codes = [(level, code, 0, None) for level, size in enumerate(SIZES, 1) for code in range(size)]
    run.write(CODE_USAGE, spark.createDataFrame(codes, "level int, code int, items bigint, exposure double"))
    run.save()
    return "foreign"


def export(store: Path, form: str, to: Path, *more: str) -> int:
    return main(["export", form, "--out", str(store), "--to", str(to), *more])


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_without_a_run_it_is_the_one_that_readers_follow(store, tmp_path, capsys):
    assert export(store, "index-json", tmp_path / "a.json", "--set", "tokens.begin='<s>'") == 0
    assert "7 items of run newer" in capsys.readouterr().out
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert list(found) == ORDER
    assert found["b"] == ["<s>", "<a_4>", "<b_1>", "<c_299>"]


def test_a_run_by_its_id_and_once_more_only_with_overwrite(store, tmp_path, capsys):
    to = tmp_path / "codes"
    for code, more in ((0, ("--run", "older")), (2, ()), (0, ("--overwrite",))):
        assert export(store, "codes", to, *more) == code
    assert "is there already: choose another place, or replace it with --overwrite" in refused(capsys)
    items = pq.read_table(to)  # what the export says of itself is no part of the table
    assert dict(zip(items["item_id"].to_pylist(), map(tuple, items["codes"].to_pylist()), strict=True)) == CODES
    told = json.loads((to / "_export.json").read_text())
    assert (told["format"], told["run_id"], told["items"]) == ("codes", "newer", 7)
    assert (told["codebook_sizes"], told["drq_spark"]) == ([5, 2, 300], __version__)
    assert [path.name for path in tmp_path.iterdir()] == ["codes"]


@pytest.mark.parametrize(
    ("form", "more", "says"),
    [
        ("index-jsn", (), "did you mean 'index-json'? Known: codes, tokens,"),
        ("codes", ("--suffix", "all"), "--suffix: not for codes, leave it out"),
        ("tensor", ("--suffix", "nonzero"), "--suffix is 'nonzero'; for tensor it may be all, none"),
        ("lookup", ("--numbered", "--rows-of", "x"), "--numbered, --rows-of: not for lookup, leave it out"),
        ("tokens", ("--set", "seed=1"), "an export takes settings of tokens only"),
        ("tokens", ("--set", "tokens.template=x"), "token template 'x' must have {} once"),
        ("codes", ("--run", "begun"), "run begun has no SIDs yet"),
        ("codes", ("--channel", "next"), "nothing is published for the readers of next"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_nothing_is_left(store, tmp_path, capsys, form, more, says):
    assert export(store, form, tmp_path / "x", *more) == 2
    assert says in refused(capsys)
    assert list(tmp_path.iterdir()) == []


def test_sids_that_are_gone_are_no_export(store, spark, tmp_path, capsys):
    run_of(spark, store, "lost", tokenizer_id=next((store / "tokenizers").iterdir()).name, rows_out=9).save()
    assert export(store, "codes", tmp_path / "x", "--run", "lost") == 2
    assert "run lost cannot be exported, only 0 of its 9 SIDs are there" in refused(capsys)


def test_sids_of_another_system_have_tokens_and_no_codebooks(store, foreign, tmp_path, capsys):
    assert export(store, "hf-tokens", tmp_path / "hf", "--run", foreign) == 0
    assert len(json.loads((tmp_path / "hf" / "tokens.json").read_text())) == sum(SIZES)
    assert sorted(path.name for path in (tmp_path / "hf").iterdir()) == ["_export.json", "tokens.json"]
    assert export(store, "reconstruction", tmp_path / "x", "--run", foreign) == 2
    assert "reconstruction needs codebooks, and run foreign measured SIDs of another system" in refused(capsys)


def test_every_format_has_something_that_writes_it_and_a_section_of_the_page():
    from importlib import import_module

    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    for name, form in FORMATS.items():
        module, _, function = form.write.partition(":")
        assert callable(getattr(import_module(f"drq_spark.export.{module}"), function))
        assert f"\n### {name}\n" in page
        assert format_of(name) is form
        assert choices_of(name).suffix == (form.suffix or ("none",))[0]
    with pytest.raises(ConfigError):
        format_of("parquet")
