"""Made-up runs that hang together: skewed use of codes, and figures from the same formulas as in a real run."""

from __future__ import annotations

import numpy as np

from drq_spark.formulas import usage
from drq_spark.formulas.duplicates import (
    collision_mass,
    duplicate_rate,
    exact_duplicate_rate,
    excess_duplicate_rate,
    shared_rate,
)
from drq_spark.formulas.entropy import conditional_entropies
from drq_spark.formulas.overlap import effective_capacity, expected_overlaps, geometry
from drq_spark.formulas.ratios import ratio
from drq_spark.report.data import (
    AtRisk,
    Branch,
    Bucket,
    Confusion,
    Example,
    Explored,
    Gain,
    GateResult,
    LevelUsage,
    MetricRow,
    Neighbour,
    ReportData,
)
from drq_spark.report.overlap_maps import overlap_map

ETAS = (0.1, 0.2, 0.5, 1.0)
HOSTILE = (
    "<script>alert(1)</script>",
    '" onmouseover="alert(2)',
    "' onload='alert(3)",
    "</svg></style><img src=x onerror=alert(4)>",
    "&lt;b&gt; {{ 7 * 7 }} ${7*7}",
    "\u202egnol" + "x" * 500,
)
NAMES = (
    "Trail running shoe, women, blue",
    "Trail running shoe, men, black",
    "Espresso machine 15 bar",
    "Cotton T-shirt, 3 pack",
    "Phone case for 6.1 inch, clear",
    "Garden hose 25 m with reel",
    "Kinderfahrrad 20 Zoll, grün",
    "有機緑茶 100g",
)


class Run:
    """Collects metric rows of a made-up run of `items` items, K codes on each of L levels."""

    def __init__(self, codes: int, levels: int, items: int, exposure: bool, seed: int = 3) -> None:
        self.rng = np.random.default_rng(seed)
        self.codes, self.levels, self.items, self.exposure = codes, levels, items, exposure
        self.rows: list[MetricRow] = []
        self.usage = tuple(self._usage(level) for level in range(1, levels + 1))
        self.books = [
            self.rng.normal(size=(codes, 8)).astype(np.float32) * np.float32(2.6 / level**0.8)
            for level in range(1, levels + 1)
        ]

    def _usage(self, level: int) -> LevelUsage:
        shares = self.rng.lognormal(sigma=0.25 + 0.3 * level, size=self.codes)
        dead = self.rng.random(self.codes) < 0.03 * (level - 1)
        shares[dead] = 0
        counts = self.rng.multinomial(self.items, shares / shares.sum())
        exposure = counts * self.rng.lognormal(sigma=1.4, size=self.codes) if self.exposure else None
        return LevelUsage(counts.astype(np.int64), exposure)

    def add(
        self,
        metric: str,
        value: float,
        level: int = 0,
        weighting: str = "items",
        eta: float | None = None,
        error: float | None = None,
        ruler: str | None = None,
    ) -> None:
        """One row of the metrics table."""
        ruler = "latent" if ruler is None and eta is not None else ruler
        self.rows.append(MetricRow(metric, level, weighting, eta, float(value), error, ruler))

    def level_figures(self) -> None:
        """Usage and capacity of every level under both weightings."""
        for level, (use, book) in enumerate(zip(self.usage, self.books, strict=True), 1):
            for weighting, counts in (("items", use.items), ("exposure", use.exposure)):
                if counts is not None:
                    self._weighted(level, weighting, counts, book)

    def _weighted(self, level: int, weighting: str, counts: np.ndarray, book: np.ndarray) -> None:
        for metric in ("utilization", "dead_codes", "perplexity", "inverse_simpson", "gini", "distribution"):
            self.add(metric, getattr(usage, metric)(counts), level, weighting)
        small = self.codes <= 512  # all pairs of a large codebook take too long for a test
        overlaps = expected_overlaps([counts], book, ETAS)[0] if small else np.array(ETAS) ** 2 / 60 * level + 1e-3
        for eta, overlap in zip(ETAS, overlaps, strict=True):
            self.add("expected_overlap", overlap, level, weighting, eta)
            self.add("priced_overlap", min(1.1 * overlap, 1.0), level, weighting, eta)
            self.add("effective_capacity", effective_capacity(overlap), level, weighting, eta)
            self.add("geometry", min(1.0, geometry(counts, overlap)), level, weighting, eta)

    def sid_figures(self, quarantined: int) -> None:
        """Figures of whole SIDs, fidelity and entropies."""
        unique, distinct = round(0.93 * self.items), round(0.965 * self.items)
        shared = round(0.112 * self.items)
        self.add("items", self.items)
        self.add("quarantine_rate", ratio(quarantined, self.items + quarantined))
        self.add("unique_sids", unique)
        self.add("duplicate_rate", duplicate_rate(unique, self.items))
        self.add("shared_rate", shared_rate(shared, self.items))
        self.add("exact_duplicate_rate", exact_duplicate_rate(distinct, self.items))
        self.add("excess_duplicate_rate", excess_duplicate_rate(unique, distinct, self.items))
        self.add("largest_bucket", 187)
        self.add("collision_mass", collision_mass(1.4 * self.items, self.items))
        if self.exposure:
            self.add("collision_mass", 4.1e-5, weighting="exposure")
        self.add("moved_items", round(0.03 * self.items))
        self.add("unplaced_items", 3)
        self.add("unique_sids_encoded", round(0.9 * self.items))
        self.add("relative_mse", 0.3142)
        self.add("relative_mse_encoded", 0.3119)
        self.add("residual_share_new", 0.33, error=0.01)
        self.add("residual_share_unseen", 0.32)
        self.add("mean_cosine", 0.8361)
        entropies: list[float] = []
        for level in range(1, self.levels + 1):
            nats = min(0.96 * 0.9 ** (level - 1) * np.log(self.codes), np.log(unique) - sum(entropies[-1:]))
            entropies.append(sum(entropies[-1:]) + nats)
            self.add("occupied_prefixes", min(unique, 0.97 * float(self.codes) ** level) // 1, level)
            self.add("residual_share", 0.68**level, level)
            self.add("mean_margin", 0.21 / level, level)
            self.add("uncertain_share", 3e-6 * level, level)
            self.add("code_drift", 0.002 * level, level)
        for weighting in ("items", "exposure") if self.exposure else ("items",):
            values = entropies if weighting == "items" else [0.8 * value for value in entropies]
            for level, (whole, step) in enumerate(zip(values, conditional_entropies(values), strict=True), 1):
                self.add("prefix_entropy", whole, level, weighting)
                self.add("conditional_entropy", step, level, weighting)

    def noise_figures(self) -> None:
        """What noise does by each ruler, and whole SIDs."""
        for eta in ETAS:
            kept = 1 / (1 / (0.7 * self.items) + 2e-6 * eta)
            self.add("effective_capacity", kept, 0, "items", eta, 0.04 * kept)
            self.add("expected_overlap", 1 / kept, 0, "items", eta, 0.04 / kept)
        for ruler, sizes in (("latent", ETAS), ("input", (0.1, 0.2, 0.3)), ("after", (None,))):
            for size in sizes:
                strength, stays = size or 0.25, 1.0
                for level in range(1, self.levels + 1):
                    flipped = 1 - np.exp(-0.35 * level**0.7 * strength)
                    stays *= 1 - 0.6 * flipped
                    self.add("flip_rate", flipped, level, "items", size, 0.004, ruler)
                    self.add("sigma", 0.03 * strength, level, "items", size, None, ruler)
                    if ruler != "latent":
                        self.add("effective_capacity", self.codes * 0.8**level, level, "items", size, None, ruler)
                self.add("sid_survival", stays, 0, "items", size, 0.006, ruler)

    def segment_figures(self) -> None:
        """Use of the codes by head, torso and tail."""
        for segment, least, part in (("head", 812.0, 0.9), ("torso", 31.0, 0.97), ("tail", 0.0, 1.0)):
            self.add("segment_threshold", least, 0, segment)
            for level, use in enumerate(self.usage, 1):
                for metric in ("utilization", "perplexity", "inverse_simpson", "gini", "dead_codes"):
                    self.add(metric, part * getattr(usage, metric)(use.items), level, segment)

    def behaviour_figures(self) -> None:
        """Neighbours, hit rates, retention and AUC, with their standard errors."""
        self.add("harmful_shared_rate", 0.081)
        self.add("exact_duplicate_bucket_rate", 0.012)
        self.add("bucket_spread", 0.0123)
        counts = {"": 1_204_000, "_without_user": 31_002, "_without_position": 0, "_of_unknown_items": 61_730}
        for name, count in {**counts, "_tied": 1_201, "_repeated": 92_770}.items():
            self.add(f"events{name}", count)
        self.add("event_pairs", 458_110)
        self.add("event_users", 75_001)
        self.add("judging_users", 15_020)
        self.add("behaviour_pairs", 91_224)
        for most, recall, raw, retention in ((20, 0.377, 0.113, 0.73), (200, 0.521, 0.318, 0.96)):
            self.add(f"neighbour_recall_{most}", recall, error=0.011)
            self.add(f"raw_hit_rate_{most}", raw, error=0.009)
            self.add(f"hit_rate_{most}", raw * retention, error=0.008)
            self.add(f"retention_{most}", retention, error=0.04)
        for name, uniform in (("raw", 0.806), ("sum", 0.883), ("concatenation", 0.871), ("prefix", 0.79)):
            self.add(f"auc_{name}_uniform", uniform, error=0.004)
            self.add(f"auc_{name}_popularity", uniform - 0.035, error=0.005)

    def churn_figures(self) -> None:
        """Churn since the run before."""
        self.add("churn", 0.86)
        for level in range(1, self.levels + 1):
            self.add("churn", 1 - 0.6**level, level)
            self.add("churn_matched", 1 - 0.9**level, level)


def gate_rules(failed: bool) -> tuple[GateResult, ...]:
    """The default rules and what became of them."""
    used = 0.4414 if failed else 0.941
    return (
        GateResult("quarantine_rate at most 0.1", "quarantine_rate", 0, 0.0023, True),
        GateResult("utilization at least 0.5", "utilization", 3, used, not failed),
        GateResult("relative_mse at most 0.95", "relative_mse", 0, 0.3142, True),
        GateResult("excess_duplicate_rate at most 0.5", "excess_duplicate_rate", 0, 0.035, True),
        GateResult("churn_matched of level 1 at most 0.2", "churn_matched", 1, None, True),
    )


def build(
    codes: int = 256,
    levels: int = 3,
    items: int = 1_284_407,
    *,
    exposure: bool = True,
    churn: bool = True,
    failed: bool = False,
    names: tuple[str, ...] = NAMES,
) -> ReportData:
    """A whole made-up run."""
    run = Run(codes, levels, items, exposure)
    quarantine = {"null": 1203, "wrong_dimension": 1411, "duplicate_id": 318, "not_finite": 9}
    run.level_figures()
    run.sid_figures(sum(quarantine.values()))
    run.noise_figures()
    run.behaviour_figures()
    if exposure:
        run.segment_figures()
    if churn:
        run.churn_figures()
    return ReportData(
        run={
            "run_id": "2026-03-02-7f3a91",
            "run_date": "2026-03-02",
            "status": "gate_failed" if failed else "published",
            "package_version": "0.1.0",
            "input_fingerprint": "4c1f9a0e77d2b356",
            "config_fingerprint": "a81d33f0c2e94b17",
            "source": "shop.catalogue.items",
        },
        seconds={"sample": 41.2, "train": 312.9, "assign": 655.0, "measure": 148.3, "publish": 3.4},
        rows_in=items + sum(quarantine.values()),
        rows_out=items,
        quarantine=quarantine,
        tokenizer_id="9d0c6a7be1f24d58",
        kind="rq_kmeans",
        dim=768,
        latent_dim=768,
        codebook_sizes=(codes,) * levels,
        normalize="l2",
        training={"seed": 0, "versions": {"numpy": "2.4.6"}, "held_out": {"relative_mse": [0.68, 0.46, 0.31]}},
        sigma_units=(0.04317, 0.04317, 0.04317),
        headline_eta=0.5,
        metrics=tuple(run.rows),
        gate=gate_rules(failed),
        usage=run.usage,
        buckets=tuple(_bucket(run, rank, names) for rank in range(1, 13)),
        examples=tuple(_example(run, index, names) for index in range(6)),
        config={
            "items": {"path": "shop.catalogue.items", "exposure": "views"},
            "measure": {"etas": list(ETAS)},
            "seed": 0,
        },
        previous_run_id="2026-03-01-51c02e" if churn else None,
        overlap=tuple(overlap_map(use.items, book, 0.5) for use, book in zip(run.usage, run.books, strict=True)),
        tree=_tree(run) if levels > 2 else (),
        confusions=tuple(_confusion(run, level, rank, names) for level in range(1, levels + 1) for rank in range(10)),
        at_risk=tuple(
            AtRisk(names[rank % len(names)], _codes(run), 1 + rank % levels, margin, 17.0 if exposure else None)
            for rank, margin in enumerate(3.0 ** np.arange(-12, -2))
        ),
        gains=tuple(
            Gain(step, attribute, level, estimator, 3.1 / level, size / level, 0.1 * size * level**2)
            for step, attribute in enumerate(("category" if names is NAMES else names[0], "brand"), 1)
            for level in range(1, levels + 1)
            for estimator, size in (("plug_in", 0.61 / step), ("grassberger", 0.44 / step))
        ),
        explored=_explored(run, names),
    )


def _explored(run: Run, names: tuple[str, ...]) -> Explored:
    """600 items by SID, some with one SID."""
    codes = np.array(sorted(_codes(run) for _ in range(600)), np.int32)
    codes[10:14] = codes[10]
    margin, exposure = run.rng.random(600), run.rng.lognormal(sigma=1.4, size=600) if run.exposure else None
    titles = tuple(f"{names[i % len(names)]} {i}" for i in range(600))
    return Explored(tuple(f"item-{i}" for i in range(600)), titles, codes, margin, exposure, run.items)


def _tree(run: Run) -> tuple[Branch, ...]:
    """The 12 most used first codes, each with 8 second ones."""
    first = run.usage[0].items
    branches = []
    for code in np.argsort(-first)[:12].tolist():
        if not first[code]:
            continue
        shares = np.sort(run.rng.dirichlet(np.full(30, 0.4)))[::-1]
        parts = np.floor(shares[:8] * first[code]).astype(int).tolist()
        children = [Branch(place, part) for place, part in enumerate(parts) if part]
        rest = int(first[code]) - sum(parts)
        branches.append(Branch(code, int(first[code]), (*children, *([Branch(None, rest)] if rest else []))))
    return tuple(branches)


def _confusion(run: Run, level: int, rank: int, names: tuple[str, ...]) -> Confusion:
    some = tuple(names[(rank + step) % len(names)] for step in range(3))
    return Confusion(level, 17 + rank, 3 * rank, max(1, 3120 // (level + rank)), some, some[::-1][:2])


def _codes(run: Run) -> tuple[int, ...]:
    return tuple(run.rng.integers(0, run.codes, run.levels).tolist())


def _bucket(run: Run, rank: int, names: tuple[str, ...]) -> Bucket:
    items = max(2, 187 // rank)
    distinct = (1, items, max(1, items // 3))[rank % 3]
    some = tuple(names[(rank + step) % len(names)] for step in range(min(5, items)))
    return Bucket(rank, _codes(run), items, 1234.5 * items if run.exposure else None, distinct, some)


def _example(run: Run, index: int, names: tuple[str, ...]) -> Example:
    codes = _codes(run)
    near = []
    for step in range(4):
        shared = max(0, run.levels - step)
        near.append(Neighbour(names[(index + step + 1) % len(names)], codes[:shared] + _codes(run)[shared:], shared))
    return Example(names[index % len(names)], codes, 90210.0 if run.exposure else None, tuple(near))
