"""How run.jsonl and the tokenizer beside it were made; at commit 4ef0715, before the layout of rooms.

    PYTHONPATH=. python tests/golden/make_run.py

It trains the tokenizer only where there is none: a processor of another kind may train another one, while what a given
tokenizer makes of the catalogue is the same everywhere.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))


def golden_rows(spark, folder: Path) -> dict[str, list[list[object]]]:
    """Rows of the tables of a run on the golden catalogue with the golden tokenizer, without its ids."""
    from golden.catalogue import SETTINGS, write_catalogue

    from drq_spark import load_config, load_tokenizer, pipeline, save_tokenizer
    from drq_spark.progress import SILENT
    from drq_spark.tokenizer.artifact import tokenizer_id

    config = load_config(options={**SETTINGS, **write_catalogue(folder)})
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    run, catalogue = pipeline.begin(spark, config, date(2026, 1, 1), now, SILENT)
    pipeline.sample(run, catalogue)
    if not (HERE / "tokenizer").exists():
        pipeline.train(run)
        Path(f"{folder}/out/tokenizers/{run.state.tokenizer_id}").rename(HERE / "tokenizer")
    tokenizer = load_tokenizer(str(HERE / "tokenizer"))
    save_tokenizer(tokenizer, run.store.tokenizers)
    run.state = replace(run.state, tokenizer_id=tokenizer_id(tokenizer))
    pipeline.assign(run, catalogue)
    pipeline.measure(run, catalogue)
    return {name: rows_of(spark, f"{folder}/out/tables/{name}") for name in TABLES}


TABLES = {
    "sample": "sample_key split_key item_id exposure",
    "behaviour_pairs": "pair_key item_id next_item_id held_out",
    "sids": "item_id codes sid suffix margin residual_norm exposure embedding_hash",
    "sid_quarantine": "item_id reason",
    "code_usage": "level code items exposure",
    "prefix_usage": "level prefix items exposure",
    "sid_usage": "rank sid items exposure distinct_embeddings examples",
    "code_confusion": "level ruler eta code other items",
    "items_at_risk": "rank item_id at_level smallest_margin",
    "attribute_gains": "step attribute level estimator conditional_entropy gain permuted_gain",
    "metrics": "metric level weighting eta ruler value standard_error",
}
"""What is kept of each table; rows are in the order of these columns."""


def rows_of(spark, path: str) -> list[list[object]]:
    """Rows of a table with the columns that are kept."""
    columns = TABLES[Path(path).name].split()
    rows = spark.read.format("delta").load(path).select(*columns).collect()
    return sorted((list(row) for row in rows), key=repr)


if __name__ == "__main__":
    from drq_spark.session import local_session

    session = local_session("golden", master="local[2]", memory="2g", shuffle_partitions=4, small_data=True)
    with tempfile.TemporaryDirectory() as scratch:
        found = golden_rows(session, Path(scratch))
    lines = [json.dumps({"table": name, "row": row}) for name, rows in found.items() for row in rows]
    (HERE / "run.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
