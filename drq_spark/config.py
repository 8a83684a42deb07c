"""Every setting, with its default and meaning; files and --set layered on top; unknown keys are errors.

Precedence: defaults < each --config file in order < named options < --set. YAML files hold values only.
`conf/base.yaml` lists every key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from drq_spark.errors import ConfigError
from drq_spark.schemas import Metric
from drq_spark.tokenizer.keys import check_codebook_sizes

Positive = Annotated[int, Field(ge=1)]
AtLeast2 = Annotated[int, Field(ge=2)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]

Kind = Literal["drq", "rq_kmeans", "rq_vae", "rqp_vae", "drq_vae", "drq_vae_cl"]
TOKENIZERS = ", ".join(get_args(Kind))
WITHOUT_DATASET_BOOKS: frozenset[str] = frozenset({"rq_vae", "rqp_vae"})
"""Tokenizers whose books are trained together with the encoder."""
USES_BEHAVIOUR: frozenset[str] = frozenset({"drq", "drq_vae_cl"})
"""Tokenizers that learn from pairs of consecutive items where events are given."""
NEEDS_BEHAVIOUR: frozenset[str] = frozenset({"drq_vae_cl"})
"""Those of them that cannot do without."""


class Section(BaseModel):
    """Base of all sections: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Items(Section):
    """Where the items are and what their columns are called."""

    path: str | None = Field(None, description="Path, glob or table name; --items on the command line")
    id: str = Field("item_id", description="Id column: string or any integer type")
    embedding: str = Field(
        "embedding", description="array<float>, array<double>, little-endian float32 binary or ml Vector"
    )
    exposure: str | None = Field(
        None, description="How often an item is shown; without it the count of its events, else none"
    )
    name: str | None = Field(None, description="Text shown for an item in the report; the id without it")
    attributes: tuple[str, ...] = Field(
        (), description="Columns such as category and brand, coarse ones first: what they tell of the codes is measured"
    )
    dim: Positive | None = Field(None, description="Length of an embedding; the most frequent one without it")
    normalize: Literal["none", "l2"] = Field(
        "none", description="l2: every embedding is divided by its norm (cosine geometry)"
    )
    max_bad_share: Share = Field(
        0.5, description="More rows than this without a usable embedding, or of SIDs without usable codes: the input is refused"
    )


class Events(Section):
    """Where the behaviour is and what its columns are called."""

    path: str | None = Field(None, description="Path, glob or table name; --events on the command line")
    user: str = Field("user_id", description="User, session or basket column")
    item: str = Field("item_id", description="Item id column, the same ids as in the items table")
    order: str = Field("timestamp", description="Column that orders the events of a user")
    holdout: Annotated[float, Field(ge=0.0, le=0.5)] = Field(
        0.2, description="Share of users, by hash, whose pairs only judge the behaviour training"
    )
    max_pairs: Positive = Field(
        1_000_000, description="Pairs of consecutive items that train; drawn by hash where there are more"
    )


class Sids(Section):
    """SIDs that another system made: what `drq measure --sids` reads."""

    path: str | None = Field(
        None, description="index-json, Parquet, Delta or CSV by path or glob, or a table name; --sids on the command line"
    )
    id: str | None = Field(None, description="Id column; item_id or pid without it")
    column: str | None = Field(
        None,
        description="Column of code lists or token text; codes, sid or columns sid_level_0, sid_0, level_1 .. without it",
    )
    base: Literal[0, 1] = Field(0, description="The first code: 1 where codes count from 1")
    levels: Positive | None = Field(
        None, description="L; without it as many as codebooks, else the most frequent number of codes. One more only tells items apart"
    )
    codes: AtLeast2 | tuple[AtLeast2, ...] | None = Field(
        None, description="K, one number or one per level; --codes. Without it the rows of the codebooks, else the largest code + 1"
    )
    codebooks: str | None = Field(
        None, description="Codebooks behind the codes, .npz, .npy or .safetensors; --codebooks on the command line"
    )

    @model_validator(mode="after")
    def _shape(self) -> Sids:
        if isinstance(self.codes, tuple) and self.levels not in (None, len(self.codes)):
            raise ValueError(f"sids.codes lists {len(self.codes)} levels, sids.levels is {self.levels}")
        return self


class Sample(Section):
    """Which items train the codebooks."""

    size: Positive = Field(
        200_000, description="Items in the sample, exactly, or all valid items where there are fewer"
    )
    exposure_power: Annotated[float, Field(ge=0.0)] = Field(
        0.0, description="alpha: items are drawn in proportion to exposure^alpha; 0 is uniform"
    )
    holdout: Annotated[float, Field(ge=0.0, le=0.5)] = Field(
        0.1, description="Share of the sample kept out of the fit to judge it"
    )


class KMeans(Section):
    """Dataset-level residual k-means, shared by every tokenizer that has its books fitted that way."""

    start_iterations: Positive = Field(
        4, description="Lloyd iterations from random items, with restarts, before codes are balanced"
    )
    balance_iterations: Annotated[int, Field(ge=0)] = Field(
        20,
        description="Iterations in which a price on much used codes spreads the items; it falls to what tokenizer.balance keeps",
    )
    final_iterations: Positive = Field(
        4, description="Iterations that end the fit of a level: plain Lloyd, or of the prices alone where they are kept"
    )
    start_price: Annotated[float, Field(ge=0.0)] = Field(
        1.5,
        description="Weight of the price when it starts to fall, in mean gaps between the best and the second best code",
    )
    restart_share: Share = Field(
        0.2, description="A code with at most this share of the mean count starts again elsewhere"
    )
    beam_rounds: Annotated[int, Field(ge=0)] = Field(
        16, description="Rounds of joint refinement of all levels on the codes of the beam, where tokenizer.beam is above 1; 0 for none"
    )
    beam_noise: Annotated[float, Field(ge=0.0)] = Field(
        0.7,
        description="Noise on the codewords in the first of these rounds, in RMS of what the codes leave; it falls to 0",
    )


class DrqVae(Section):
    """The continuous VAE of `drq_vae` (DRQ, arXiv 2606.01844): it starts at PCA and is frozen before the books are fitted."""

    latent_dim: Positive = Field(128, description="d; at most the dimension of the embeddings")
    hidden: Positive = Field(512, description="Width of the hidden layer of encoder and decoder")
    beta: Annotated[float, Field(ge=0.0)] = Field(
        0.1, description="Weight of the KL term, in coordinates of unit variance"
    )
    epochs: Positive = Field(20, description="Passes over the sample; the best held-out state is kept")
    batch_size: Positive = Field(512, description="Rows a step")
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(5e-4, description="Adam's peak learning rate")


class EndToEnd(Section):
    """What the tokenizers have in common whose books are trained together with encoder and decoder."""

    latent_dim: Positive = Field(256, description="d; at most the dimension of the embeddings")
    hidden: Positive = Field(512, description="Width of the hidden layer of encoder and decoder")
    steps: Positive = Field(4000, description="Optimizer steps, at most `epochs` passes over the sample")
    epochs: Positive = Field(20, description="Passes over the sample, at most; the best held-out state is kept")
    batch_size: Positive = Field(512, description="Rows a step")
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(1e-3, description="Adam's peak learning rate")
    commitment: Annotated[float, Field(ge=0.0)] = Field(
        0.25, description="Weight of the pull of the latents towards their codewords"
    )


class RqVae(EndToEnd):
    """The RQ-VAE of `rq_vae` (Lee et al. 2022, TIGER): books learned by gradient, started at PCA and k-means."""

    estimator: Literal["straight_through", "rotation"] = Field(
        "straight_through", description="How gradients pass the codes: copied, or turned and scaled (rotation trick)"
    )
    start: Literal["kmeans", "random"] = Field(
        "kmeans", description="First books: k-means of the first latents; random is the naive one and collapses"
    )


class RqpVae(EndToEnd):
    """The RQP-VAE of `rqp_vae`: an RQ-VAE whose books are moving averages, with revival of dead codes."""

    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.99, description="Of the moving averages, a step")
    revive_below: Share = Field(
        0.1, description="A code used less than this share of the mean moves to a random residual of the batch"
    )


class Contrast(Section):
    """What the trainings on pairs of items that follow one another (InfoNCE) have in common."""

    steps: Positive = Field(1200, description="Optimizer steps, at most 8 passes over the pairs")
    batch_size: Annotated[int, Field(ge=2)] = Field(
        1024, description="Pairs a step, fewer where there are few; the others of a batch are negatives"
    )
    temperature: Annotated[float, Field(gt=0.0)] = Field(0.1, description="Of the softmax over a batch")
    popularity_correction: Share = Field(
        0.5, description="Share of ln q (q: how often an item is in a pair) that is taken off its logit"
    )


class Behaviour(Contrast):
    """The behaviour encoder of `drq`: items that follow one another come near (InfoNCE over the pairs of events)."""

    dim: Positive = Field(64, description="Length of the behaviour part of the latent")
    hidden: Positive = Field(256, description="Width of the hidden layer")
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(1e-3, description="AdamW's peak learning rate")
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(1e-3, description="AdamW's weight decay")


class DrqVaeCl(Contrast):
    """The contrastive stage of `drq_vae_cl`, after the VAE of `drq_vae` and before the books."""

    weight: Annotated[float, Field(ge=0.0)] = Field(
        0.1, description="Of InfoNCE beside the loss of the VAE: behaviour against fidelity"
    )
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(5e-4, description="Adam's peak learning rate")


class Drq(Section):
    """`drq`: how much fidelity the behaviour may cost."""

    fidelity_slack: Share = Field(
        0.01, description="Share by which behaviour may raise the relative error of items that the fit did not see"
    )


class Train(Section):
    """How the driver trains."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the first GPU where there is one")
    threads: Positive | None = Field(None, description="CPU threads; all cores without it")
    max_memory_gb: Annotated[float, Field(gt=0.0)] = Field(
        4.0, description="Training that needs more than this on the driver is refused before the first job"
    )
    kmeans: KMeans = KMeans()
    drq: Drq = Drq()
    behaviour: Behaviour = Behaviour()
    drq_vae: DrqVae = DrqVae()
    drq_vae_cl: DrqVaeCl = DrqVaeCl()
    rq_vae: RqVae = RqVae()
    rqp_vae: RqpVae = RqpVae()


class TokenizerSettings(Section):
    """Which tokenizer, and the shape of its SIDs."""

    name: Kind = Field("drq", description="Name in the registry of trainers")
    levels: Positive = Field(3, description="L, codes in a SID")
    codes: Positive | tuple[Positive, ...] = Field(256, description="K, codes a level: one number, or one per level")

    balance: Share | None = Field(
        None,
        description="Prices that even out the use of codes: 0 none, 1 uniform; 0.5 for drq, else 0. Not for rq_vae, rqp_vae",
    )
    balance_by: Literal["items", "exposure"] = Field("items", description="Even out the items or the exposure of codes")
    beam: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="Paths kept while encoding: 1 is greedy and cheapest; 4 for drq, else 1"
    )

    @property
    def kept_balance(self) -> float:
        """`balance`, or the default of the kind."""
        if self.balance is not None:
            return self.balance
        return 0.5 if self.name == "drq" else 0.0

    @property
    def beam_width(self) -> int:
        """`beam`, or the default of the kind."""
        if self.beam is not None:
            return self.beam
        return 4 if self.name == "drq" else 1

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """K per level."""
        return (self.codes,) * self.levels if isinstance(self.codes, int) else self.codes

    @model_validator(mode="after")
    def _shape(self) -> TokenizerSettings:
        if not isinstance(self.codes, int) and len(self.codes) != self.levels:
            raise ValueError(f"tokenizer.codes lists {len(self.codes)} levels, tokenizer.levels is {self.levels}")
        check_codebook_sizes(self.codebook_sizes)
        if self.name in WITHOUT_DATASET_BOOKS and (self.balance is not None or self.beam is not None):
            raise ValueError(f"tokenizer.balance and tokenizer.beam are not for {self.name}: its books are trained, not fitted")
        if self.balance_by == "exposure" and self.kept_balance == 0:
            raise ValueError("tokenizer.balance_by is exposure, but tokenizer.balance keeps no prices: set it above 0")
        return self


class Measure(Section):
    """Which figures."""

    etas: tuple[Annotated[float, Field(gt=0.0)], ...] = Field(
        (0.1, 0.2, 0.5, 1.0), description="Perturbation scales of the capacity curve, in RMS per effective coordinate"
    )
    headline_eta: Annotated[float, Field(gt=0.0)] = Field(
        0.5, description="The scale of the headline capacity; one of etas"
    )
    rhos: tuple[Annotated[float, Field(gt=0.0)], ...] = Field(
        (0.1, 0.2, 0.3), description="Noise on the embeddings, in their norm: the same for every tokenizer"
    )
    embeddings_after: str | None = Field(
        None,
        description="A second version of the items table: how far embeddings really move; --embeddings-after on the command line",
    )
    top_buckets: Positive = Field(50, description="Largest buckets kept by name")
    overlap_items: Annotated[int, Field(ge=100)] = Field(
        20_000, description="Items drawn for the overlap of whole SIDs; all SIDs where there are not more"
    )
    perturbed_items: Annotated[int, Field(ge=100)] = Field(
        100_000, description="Items, by hash, that are encoded again with noise"
    )
    neighbour_queries: Positive = Field(
        500, description="Items, by hash, whose nearest neighbours are looked for in the whole catalogue"
    )
    ranked_pairs: Positive = Field(
        2_000, description="Pairs of consecutive items, by hash, whose rank in the whole catalogue is counted"
    )
    scored_pairs: Positive = Field(20_000, description="Pairs, by hash, that the AUC is computed of")

    @model_validator(mode="after")
    def _headline(self) -> Measure:
        if self.headline_eta not in self.etas:
            raise ValueError(f"measure.headline_eta {self.headline_eta} is not one of measure.etas {list(self.etas)}")
        return self


class GateRule(Section):
    """A bound on one figure; without a level it must hold for every row of the metric."""

    metric: Metric = Field(description="Name in the metrics table")
    level: int | None = Field(None, description="Level from 1; 0 for whole SIDs; every level without it")
    weighting: Literal["items", "exposure"] = Field("items", description="Figures by items or by exposure")
    eta: float | None = Field(
        None, description="Perturbation scale, for capacity figures; the headline scale without it"
    )
    minimum: float | None = Field(None, description="Lowest value that passes")
    maximum: float | None = Field(None, description="Highest value that passes")

    @model_validator(mode="after")
    def _bounded(self) -> GateRule:
        if self.minimum is None and self.maximum is None:
            raise ValueError(f"gate rule on {self.metric.value!r} needs a minimum or a maximum")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(
                f"gate rule on {self.metric.value!r}: minimum {self.minimum} is above maximum {self.maximum}"
            )
        return self


class Gate(Section):
    """What a run must reach before readers follow it."""

    rules: tuple[GateRule, ...] = Field(
        (
            GateRule(metric=Metric.QUARANTINE_RATE, maximum=0.1),
            GateRule(metric=Metric.UTILIZATION, minimum=0.5),
            GateRule(metric=Metric.RELATIVE_MSE, maximum=0.95),
            GateRule(metric=Metric.EXCESS_DUPLICATE_RATE, maximum=0.9),
        ),
        description="All must hold",
    )


class Store(Section):
    """Where tables and tokenizers go."""

    out: str | None = Field(None, description="Folder of the run; --out on the command line")
    schema_name: str | None = Field(
        None, description="catalog.schema for the tables; without it Delta folders under out/tables"
    )


class Config(Section):
    """All settings of a run."""

    items: Items = Items()
    events: Events = Events()
    sids: Sids = Sids()
    sample: Sample = Sample()
    tokenizer: TokenizerSettings = TokenizerSettings()
    train: Train = Train()
    measure: Measure = Measure()
    gate: Gate = Gate()
    store: Store = Store()
    seed: int = Field(0, ge=0, lt=2**31, description="Of the sample and of training")

    @property
    def trains_on_events(self) -> bool:
        """Whether pairs of consecutive items are drawn and handed to training."""
        return self.events.path is not None and self.tokenizer.name in USES_BEHAVIOUR

    @property
    def from_elsewhere(self) -> bool:
        """Whether the SIDs are another system's."""
        return self.sids.path is not None

    def require_sources(self) -> None:
        """Refuse settings that need what no source can give.

        Raises:
            ConfigError: SIDs from elsewhere are named; or the tokenizer needs events, or exposure that is to be evened
                out, and none is named.
        """
        if self.from_elsewhere:
            raise ConfigError("sids.path names SIDs that are there already: drq measure judges them, drq run makes its own")
        if self.tokenizer.balance_by == "exposure" and self.items.exposure is None and self.events.path is None:
            raise ConfigError(
                "tokenizer.balance_by is exposure, but no exposure is known: set items.exposure, give --events, "
                "or balance by items"
            )
        if self.events.path is None and self.tokenizer.name in NEEDS_BEHAVIOUR:
            raise ConfigError(
                f"tokenizer {self.tokenizer.name} learns from events and there are none: give --events PATH_OR_TABLE, "
                "or choose another --tokenizer"
            )

    def fingerprint(self) -> str:
        """sha256 (16 hex digits) of everything that can change a result; where the run is written is left out."""
        places: dict[str, Any] = {
            "store": True, "items": {"path"}, "events": {"path"}, "sids": {"path", "codebooks"},
            "measure": {"embeddings_after"},
        }  # fmt: skip
        settings = self.model_dump(mode="json", exclude=places)
        return hashlib.sha256(canonical_json(settings).encode()).hexdigest()[:16]


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no white space: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def load_config(
    files: Sequence[Path] = (), options: Mapping[str, Any] | None = None, settings: Sequence[str] = ()
) -> Config:
    """Layer files, named options ("a.b" -> value) and `--set` texts ("a.b=value") over the defaults.

    Raises:
        ConfigError: a file that cannot be read, an unknown key, or a value out of range; one line, all faults.
    """
    layers = [
        *(_read_yaml(file) for file in files),
        *(_nested(key, value) for key, value in (options or {}).items()),
        *(_setting(text) for text in settings),
    ]
    try:
        return Config.model_validate(reduce(_merged, layers, {}))
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(fault) for fault in error.errors())) from None


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {file} cannot be read: {error}") from None
    loaded = _parse_yaml(text, f"config file {file}")
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"config file {file} must hold sections with keys, not {type(loaded).__name__}")
    return loaded


def _setting(text: str) -> dict[str, Any]:
    """`section.key=value` of --set as a layer."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes section.key=value, not {text!r}")
    return _nested(key.strip(), _parse_yaml(value, f"--set {text}"))


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no such date, for one
        raise ConfigError(f"{where} is not YAML: {' '.join(str(error).split())}") from None


def _nested(key: str, value: Any) -> dict[str, Any]:
    head, dot, tail = key.partition(".")
    return {head: _nested(tail, value) if dot else value}


def _merged(below: Mapping[Any, Any], above: Mapping[Any, Any]) -> dict[Any, Any]:
    """The upper layer's values over the lower one's, section by section; both stay as they are."""
    both = (key for key, value in above.items() if isinstance(value, dict) and isinstance(below.get(key), dict))
    return {**below, **above, **{key: _merged(below[key], above[key]) for key in both}}


def _repr(value: Any) -> str:
    """`repr`, cut where a message would become a page."""
    short = Repr()
    short.maxstring = short.maxother = 100
    short.maxlevel = 2
    return short.repr(value)


def _explain(fault: Mapping[str, Any]) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    if fault["type"] != "extra_forbidden":
        message = fault["msg"].removeprefix("Value error, ")
        return f"{path}: {message}" + (f", not {_repr(fault['input'])}" if fault["type"] != "value_error" else "")
    known = _known_keys(fault["loc"][:-1])
    near = get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.0)
    return f"unknown setting {path!r}: did you mean {near[0]!r}? Known here: {', '.join(known)}"


def _known_keys(location: Sequence[Any]) -> list[str]:
    section: Any = Config
    for part in location:
        # a number is an index into the list of gate rules
        section = section.model_fields[part].annotation if isinstance(part, str) else GateRule
    return sorted(section.model_fields)
