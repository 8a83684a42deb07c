"""All figures of a run a second time: plain loops over items, float64, no code of the package but its reference.

Works from the user's own rows and from the artifact as `drq_spark.reference` reads it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from deltalake import DeltaTable

from drq_spark.arrays import F32, F64
from drq_spark.reference import Artifact, SidPath

Figures = dict[tuple[str, int, str, float | None], float]


def rows_of(out: Path, table: str, run_id: str) -> list[dict[str, Any]]:
    """Rows of one run, read without Spark."""
    delta = DeltaTable(str(out / "tables" / table))
    return delta.to_pyarrow_table(filters=[("run_id", "=", run_id)]).to_pylist()


def codes_of(out: Path, run_id: str) -> dict[Any, tuple[int, ...]]:
    """item_id -> codes of one run."""
    return {row["item_id"]: tuple(row["codes"]) for row in rows_of(out, "sids", run_id)}


def stored_figures(out: Path, run_id: str) -> Figures:
    """The metrics table of one run; of what is perturbed only the latents."""
    rows = [row for row in rows_of(out, "metrics", run_id) if row["ruler"] in (None, "latent")]
    figures = {(row["metric"], row["level"], row["weighting"], row["eta"]): row["value"] for row in rows}
    assert len(figures) == len(rows)
    return figures


def expected_figures(
    artifact: Artifact,
    vectors: Mapping[Any, F32],
    exposure: Mapping[Any, float] | None,
    quarantined: int,
    etas: Sequence[float],
    before: Mapping[Any, tuple[int, ...]] | None,
) -> Figures:
    """Every figure but uncertain_share, which is about float32 and has no second definition."""
    items = sorted(vectors)
    x = {item: artifact.prepared(vectors[item]) for item in items}
    encoded = {item: artifact.encode(vectors[item]) for item in items}
    codes = {item: encoded[item].codes for item in items}
    weights = {"items": dict.fromkeys(items, 1.0)}
    if exposure is not None and sum(exposure.values()) > 0:
        weights["exposure"] = {item: exposure[item] for item in items}
    figures: Figures = {("items", 0, "items", None): len(items)}
    figures["quarantine_rate", 0, "items", None] = quarantined / (quarantined + len(items))
    for weighting, weight in weights.items():
        figures |= _usage(artifact, codes, weight, weighting, etas)
        figures |= _prefixes(codes, weight, weighting)
    figures |= _collisions(codes, vectors, weights)
    if "exposure" in weights:
        figures |= _segments(artifact, codes, vectors, weights["exposure"])
    figures |= _fidelity(artifact, x, encoded)
    return figures | (_churn(artifact, before, codes) if before is not None else {})


def _sums(keys: Mapping[Any, Any], weight: Mapping[Any, float]) -> dict[Any, float]:
    sums: dict[Any, float] = {}
    for item, key in keys.items():
        sums[key] = sums.get(key, 0.0) + weight[item]
    return sums


def _entropy(counts: Sequence[float]) -> float:
    total = sum(counts)
    return -sum(n / total * math.log(n / total) for n in counts if n > 0)


def _usage(artifact: Artifact, codes: Any, weight: Any, weighting: str, etas: Sequence[float]) -> Figures:
    figures: Figures = {}
    for level, book in enumerate(artifact.codebooks, start=1):
        size, weight_of = len(book), artifact.weights[level - 1]
        used = _sums({item: code[level - 1] for item, code in codes.items()}, weight)
        counts = [used.get(code, 0.0) for code in range(size)]
        share = [n / sum(counts) for n in counts]
        simpson = sum(p * p for p in share)
        spread = sum(abs(a - b) for a in counts for b in counts)
        plain = {
            "utilization": sum(n > 0 for n in counts) / size,
            "dead_codes": sum(n == 0 for n in counts),
            "perplexity": math.exp(_entropy(counts)),
            "inverse_simpson": 1 / simpson,
            "gini": spread / (2 * size * sum(counts)),
            "distribution": 1 / (size * simpson),
        }
        figures |= {(name, level, weighting, None): value for name, value in plain.items()}
        for eta in etas:
            sigma = eta * artifact.header["latent_rms"][level - 1]
            figures["sigma", level, "items", eta] = sigma
            overlap = sum(
                share[i] * share[j] * math.erfc(_apart(book[i], book[j], weight_of) / (2 * math.sqrt(2) * sigma))
                for i in range(size)
                for j in range(size)
            )
            figures["expected_overlap", level, weighting, eta] = overlap
            figures["effective_capacity", level, weighting, eta] = 1 / overlap
            figures["geometry", level, weighting, eta] = simpson / overlap
    return figures


def _apart(a: F64, b: F64, weight: F64) -> float:
    """Distance of two codewords in the metric that codes are chosen by."""
    return math.dist((weight * a).tolist(), (weight * b).tolist())


def _prefixes(codes: Any, weight: Any, weighting: str) -> Figures:
    figures: Figures = {}
    levels, shorter = len(next(iter(codes.values()))), 0.0
    for level in range(1, levels + 1):
        counts = _sums({item: code[:level] for item, code in codes.items()}, weight)
        entropy = _entropy(list(counts.values()))
        figures["prefix_entropy", level, weighting, None] = entropy
        figures["conditional_entropy", level, weighting, None] = entropy - shorter
        if weighting == "items":
            figures["occupied_prefixes", level, "items", None] = len(counts)
        shorter = entropy
    return figures


def _collisions(codes: Any, vectors: Mapping[Any, F32], weights: Mapping[str, Mapping[Any, float]]) -> Figures:
    items, buckets = len(codes), Counter(codes.values())
    distinct = len({vectors[item].tobytes() for item in codes})
    plain = {
        "unique_sids": len(buckets),
        "duplicate_rate": 1 - len(buckets) / items,
        "exact_duplicate_rate": 1 - distinct / items,
        "excess_duplicate_rate": (distinct - len(buckets)) / items,
        "largest_bucket": max(buckets.values()),
    }
    figures: Figures = {(name, 0, "items", None): value for name, value in plain.items()}
    for weighting, weight in weights.items():
        mass = _sums(codes, weight)
        total = sum(mass.values())
        figures["collision_mass", 0, weighting, None] = sum(v * v for v in mass.values()) / total**2
        for name, chosen in _sharing(codes, vectors).items():
            figures[name, 0, weighting, None] = sum(weight[item] for item in chosen) / total
    return figures


def _sharing(codes: Any, vectors: Mapping[Any, F32]) -> dict[str, set[Any]]:
    """Items that share their SID with some other; with another embedding; with the same one only."""
    shared, harmful = set(), set()
    for item, code in codes.items():
        others = [other for other, same in codes.items() if same == code and other != item]
        if others:
            shared.add(item)
        if any(vectors[other].tobytes() != vectors[item].tobytes() for other in others):
            harmful.add(item)
    return {"shared_rate": shared, "harmful_shared_rate": harmful, "exact_duplicate_bucket_rate": shared - harmful}


def _segments(artifact: Artifact, codes: Any, vectors: Mapping[Any, F32], exposure: Mapping[Any, float]) -> Figures:
    """Head, torso and tail: groups of nearly equal exposure from the most exposed down, to a third and two thirds."""
    group = {item: math.floor(math.log(e) / math.log(2) * 64) for item, e in exposure.items() if e > 0}
    total, carried = sum(exposure.values()), 0.0
    members: dict[str, list[Any]] = {"head": [], "torso": [], "tail": []}
    for number in sorted(set(group.values()), reverse=True):
        here = [item for item, other in group.items() if other == number]
        name = "head" if carried < total / 3 else "torso" if carried < 2 * total / 3 else "tail"
        members[name] += here
        carried += sum(exposure[item] for item in here)
    members["tail"] += [item for item in codes if item not in group]
    figures: Figures = {}
    for name, chosen in members.items():
        figures["items", 0, name, None] = len(chosen)
        if not chosen:
            continue
        if name != "tail":
            figures["segment_threshold", 0, name, None] = min(exposure[item] for item in chosen)
        ones = {item: float(item in chosen) for item in codes}
        usage = _usage(artifact, codes, ones, name, ())
        figures |= {key: value for key, value in usage.items() if key[0] != "distribution"}
        sharing = _sharing(codes, vectors)
        for rate in ("shared_rate", "harmful_shared_rate"):
            figures[rate, 0, name, None] = len(sharing[rate] & set(chosen)) / len(chosen)
    return figures


def _fidelity(artifact: Artifact, x: Mapping[Any, F64], encoded: Mapping[Any, SidPath]) -> Figures:
    mean = np.mean(list(x.values()), axis=0)
    total = sum(float(np.square(row - mean).sum()) for row in x.values())
    latents = [artifact.weights[-1] * artifact.latent(row) for row in x.values()]
    latent_total = sum(float(np.square(z - np.mean(latents, axis=0)).sum()) for z in latents)
    decoded = {item: artifact.decode(encoded[item].codes) for item in x}
    lost = sum(float(np.square(x[item] - decoded[item]).sum()) for item in x)
    cosine = sum(_cosine(x[item], decoded[item]) for item in x)
    figures: Figures = {
        ("relative_mse", 0, "items", None): lost / total,
        ("mean_cosine", 0, "items", None): cosine / len(x),
    }
    for level in range(len(artifact.codebooks)):
        figures["residual_share", level + 1, "items", None] = (
            sum(encoded[item].left[level] for item in x) / latent_total
        )
        figures["mean_margin", level + 1, "items", None] = sum(encoded[item].margins[level] for item in x) / len(x)
    return figures


def _cosine(a: F64, b: F64) -> float:
    norms = math.sqrt(float((a * a).sum())) * math.sqrt(float((b * b).sum()))
    return float((a * b).sum()) / norms if norms > 0 else 0.0


def _churn(artifact: Artifact, before: Mapping[Any, tuple[int, ...]], after: Mapping[Any, tuple[int, ...]]) -> Figures:
    both = [(before[item], after[item]) for item in after if item in before]
    figures: Figures = {("churn", 0, "items", None): sum(old != new for old, new in both) / len(both)}
    for level, book in enumerate(artifact.codebooks):
        table = np.zeros((len(book), len(book)), int)
        for old, new in both:
            table[old[level], new[level]] += 1
        stayed = max(int(table[range(len(book)), names].sum()) for names in map(list, permutations(range(len(book)))))
        figures["churn", level + 1, "items", None] = 1 - int(np.trace(table)) / len(both)
        figures["churn_matched", level + 1, "items", None] = 1 - stayed / len(both)
    return figures
