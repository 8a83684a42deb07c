"""Maps of other systems a second time: small programs over Python values, no code of the package."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Codes = Mapping[Any, Sequence[int]]
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def random_codes(items: int = 60, sizes: Sequence[int] = (8, 6, 5), seed: int = 1) -> dict[str, tuple[int, ...]]:
    """SIDs by id, skewed so that some are shared; the largest code of every level is in use."""
    random = np.random.default_rng(seed)
    drawn = [np.minimum(random.geometric(0.35, items) - 1, size - 1) for size in sizes]
    codes = {f"item-{i:03d}": tuple(int(level[i]) for level in drawn) for i in range(items)}
    return {**codes, "item-000": tuple(size - 1 for size in sizes), "item-001": (0,) * len(sizes)}


def tokens(codes: Sequence[int]) -> list[str]:
    return [f"<{LETTERS[level]}_{code}>" for level, code in enumerate(codes)]


def index_json(path: Path, codes: Mapping[Any, Sequence[Any]], indent: int | None = None) -> str:
    """Lists as they are."""
    path.write_text(json.dumps({str(item): list(row) for item, row in codes.items()}, indent=indent))
    return str(path)


def parquet(path: Path, **columns: Any) -> str:
    pq.write_table(pa.table(columns), path)
    return str(path)


def written(form: str, codes: Codes, folder: Path) -> str:
    """The same map in one of the forms."""
    ids, rows = list(codes), [list(row) for row in codes.values()]
    levels = len(rows[0])
    column = [[row[level] for row in rows] for level in range(levels)]
    folder.mkdir(parents=True, exist_ok=True)
    if form == "index-json of tokens":
        return index_json(folder / "map.index.json", {item: tokens(row) for item, row in codes.items()})
    if form == "index-json of numbers, indented":
        return index_json(folder / "map", codes, indent=2)
    if form == "Parquet":
        return parquet(folder / "map.parquet", item_id=ids, codes=pa.array(rows, pa.list_(pa.int64())))
    if form == "Parquet with pid and int32":
        return parquet(folder / "map.parquet", pid=ids, codes=pa.array(rows, pa.list_(pa.int32())))
    if form == "Parquet, a folder":
        for part in range(3):
            parquet(folder / f"part-{part}.parquet", item_id=ids[part::3], codes=rows[part::3])
        return str(folder)
    if form == "lists of tokens":
        return parquet(folder / "map.parquet", item_id=ids, codes=[tokens(row) for row in rows])
    if form == "token text":
        return parquet(folder / "map.parquet", item_id=ids, sid=["".join(tokens(row)) for row in rows])
    if form == "token text with marks":
        inside = ["".join(tokens(row)).replace("<", "<s_") for row in rows]
        text = [f"<|sid_begin|>{one}<|sid_end|>" for one in inside]
        return parquet(folder / "map.parquet", item_id=ids, sid=text)
    if form == "plain text":
        return parquet(folder / "map.parquet", item_id=ids, sid=["-".join(map(str, row)) for row in rows])
    if form == "columns from 0":
        return parquet(folder / "map.parquet", item_id=ids, sid=["x"] * len(ids),
                       **{f"sid_level_{i}": values for i, values in enumerate(column)})  # fmt: skip
    if form == "columns from 1":
        return parquet(folder / "map.parquet", item_id=ids, **{f"level_{i + 1}": v for i, v in enumerate(column)})
    if form == "JSON lines":
        (folder / "map.txt").write_text("".join(json.dumps({"title": i, "codes": r, "item_id": i}) + "\n"
                                                for i, r in zip(ids, rows, strict=True)))  # fmt: skip
        return str(folder / "map.txt")
    if form == "a list of objects":
        objects = [{"item_id": i, "sid": "".join(tokens(r)), "old": {"a": 1}} for i, r in zip(ids, rows, strict=True)]
        (folder / "map").write_text(json.dumps(objects, indent=1))
        return str(folder / "map")
    if form == ".npz with ids":
        np.savez_compressed(folder / "map.npz", item_ids=np.array(ids), codes=np.array(rows), embeds=np.zeros((9, 4)))
        return str(folder / "map.npz")
    lines = {
        "TSV": [["item_id", "title", "codes"], *([i, "a, b", ",".join(map(str, r))] for i, r in codes.items())],
        "CSV without a header": [[i, *r] for i, r in codes.items()],
        "semicolons, no header": [[i, "".join(tokens(r))] for i, r in codes.items()],
        "CSV of columns": [["item_id", *(f"sid_{i}" for i in range(levels))], *([i, *r] for i, r in codes.items())],
        "CSV of text": [["item_id", "codes"], *([i, f'"{",".join(map(str, r))}"'] for i, r in codes.items())],
        "CSV of lists": [["item_id", "codes"], *([i, f'"{list(r)}"'] for i, r in codes.items())],
    }[form]
    between = {"TSV": "\t", "semicolons, no header": ";"}.get(form, ",")
    (folder / "map.csv").write_text("".join(between.join(map(str, line)) + "\n" for line in lines))
    return str(folder / "map.csv")


FORMS = (
    "index-json of tokens", "index-json of numbers, indented", "Parquet", "Parquet with pid and int32",
    "Parquet, a folder", "lists of tokens", "token text", "token text with marks", "plain text", "columns from 0",
    "columns from 1", "CSV of columns", "CSV of text", "CSV of lists", "JSON lines",
    "a list of objects", ".npz with ids", "TSV", "CSV without a header", "semicolons, no header",
)  # fmt: skip


def figures(codes: Codes, sizes: Sequence[int], exposure: Mapping[Any, float] | None = None) -> dict[Any, float]:
    """(metric, level, weighting) -> value of all figures that need the codes alone."""
    found: dict[Any, float] = {}
    weights = {"items": dict.fromkeys(codes, 1.0), **({"exposure": exposure} if exposure else {})}
    for weighting, weight in weights.items():
        before = 0.0
        for level, size in enumerate(sizes, start=1):
            used = [sum(weight[item] for item, row in codes.items() if row[level - 1] == code) for code in range(size)]
            whole = sum(used)
            shares = [n / whole for n in used]
            found["utilization", level, weighting] = sum(n > 0 for n in used) / size
            found["dead_codes", level, weighting] = sum(n == 0 for n in used)
            found["perplexity", level, weighting] = math.exp(-sum(p * math.log(p) for p in shares if p))
            found["inverse_simpson", level, weighting] = 1 / sum(p * p for p in shares)
            found["distribution", level, weighting] = 1 / (size * sum(p * p for p in shares))
            apart = sum(abs(a - b) for a in shares for b in shares)
            found["gini", level, weighting] = apart / (2 * size)
            prefixes: dict[Any, float] = {}
            for item, row in codes.items():
                prefixes[tuple(row[:level])] = prefixes.get(tuple(row[:level]), 0.0) + weight[item]
            entropy = -sum(n / whole * math.log(n / whole) for n in prefixes.values() if n)
            found["prefix_entropy", level, weighting] = entropy
            found["conditional_entropy", level, weighting] = max(0.0, entropy - before)
            before = entropy
            if weighting == "items":
                found["occupied_prefixes", level, weighting] = len(prefixes)
    buckets = Counter(tuple(row) for row in codes.values())
    items = len(codes)
    found["items", 0, "items"] = items
    found["unique_sids", 0, "items"] = len(buckets)
    found["duplicate_rate", 0, "items"] = 1 - len(buckets) / items
    found["shared_rate", 0, "items"] = sum(n for n in buckets.values() if n > 1) / items
    found["largest_bucket", 0, "items"] = max(buckets.values())
    found["collision_mass", 0, "items"] = sum(n * n for n in buckets.values()) / items**2
    if exposure:
        shown = Counter()  # type: ignore[var-annotated]
        for item, row in codes.items():
            shown[tuple(row)] += exposure[item]
        found["collision_mass", 0, "exposure"] = sum(n * n for n in shown.values()) / sum(shown.values()) ** 2
    return found


def plain(text: str) -> str:
    """Console output without what depends on the width of the screen."""
    return re.sub(r"\s+", " ", text)
