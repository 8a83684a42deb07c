"""Where the tokenizer of a run comes from, and which run's SIDs it carries over: decided before anything is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from drq_spark.config import Config
from drq_spark.errors import ConfigError, InputRefused, Overtaken
from drq_spark.files import absolute
from drq_spark.kinds import KINDS
from drq_spark.run_state import TRAINED, Origin, RunState, find_run, followed
from drq_spark.schemas import CURRENT_SIDS, LIVE, Mode
from drq_spark.store import Store
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import load_tokenizer, save_tokenizer, tokenizer_id

FOLLOWED = "published"
"""Value of tokenizer.source: the tokenizer of the run that readers follow."""
_OF_A_TOKENIZER = ("tokenizer", "train", "sample", "seed")


@dataclass(frozen=True)
class Start:
    """How a run begins.

    Attributes:
        config: The settings; those that describe a tokenizer are the tokenizer's own.
        origin: What the runs table tells of it.
        tokenizer: What is there already; None where the run trains one.
        base: The run whose SIDs are carried over, or that a retraining begins at; None for neither.
        notes: What to know of it.
        branches: Whether the base is of the readers of `live`, and nothing is published in the channel of the run yet.
    """

    config: Config
    origin: Origin = TRAINED
    tokenizer: Tokenizer | None = None
    base: RunState | None = None
    notes: tuple[str, ...] = ()
    branches: bool = False

    def check(self, dim: int, id_type: str) -> None:
        """Refuse a catalogue that the tokenizer, or the SIDs that are carried over, cannot be of.

        Raises:
            InputRefused: embeddings or ids are of another kind.
        """
        if self.tokenizer is not None and self.tokenizer.dim != dim:
            raise InputRefused(
                f"the embeddings have {dim} numbers, the tokenizer takes {self.tokenizer.dim}: this is another "
                "catalogue, or another embedding model: drq nightly --retrain trains a tokenizer for it, and drq run "
                "one that begins anew"
            )
        if self.base is not None and self.base.id_type != id_type:
            raise InputRefused(
                f"the ids are {id_type}, those of the published run {self.base.run_id} are {self.base.id_type}: this "
                "is another catalogue, use another --out"
            )


def start_of(store: Store, config: Config, run_date: date, *, night: bool, retrain: bool = False) -> Start:
    """How a run with these settings begins; a night with nothing to stand on trains a tokenizer, as any first run.

    Args:
        store, config, run_date: Of the run.
        night: Whether it is a night.
        retrain: Whether that night trains its tokenizer anew, from the one that readers follow.

    Raises:
        ConfigError: the tokenizer that is named is not there.
        Overtaken: a night of an earlier day than the run that readers follow.
    """
    source = FOLLOWED if night else config.tokenizer.source
    if source is None:
        return Start(config)
    base, branches = _followed(store), False
    if base is None and store.channel != LIVE:  # a new channel begins where the readers of the first one are
        base = _followed(store.in_channel(LIVE))
        branches = base is not None
    start = _started(store, config, run_date, source, base, night=night, retrain=retrain)
    return replace(start, branches=branches and start.base is not None)


def _started(
    store: Store, config: Config, run_date: date, source: str, base: RunState | None, *, night: bool, retrain: bool
) -> Start:
    """`start_of`, where the tokenizer's source and the run that readers follow are known."""
    if night and base is not None and run_date < base.run_date:
        raise Overtaken(
            f"readers follow run {base.run_id} of {base.run_date}, later than this night's {run_date}: a night changes "
            "what is there, and cannot come before it"
        )
    if night and base is None:
        return Start(config)
    if source != FOLLOWED:
        return _with_artifact(store, config, absolute(source), base)
    if base is None:
        raise ConfigError(f"no run in {store.out} is published yet: let drq run train a tokenizer first")
    if retrain:
        return _from_base(config, base)
    return _with_base(store, config, base, Mode.NIGHT if night else Mode.GIVEN)


def _from_base(config: Config, base: RunState) -> Start:
    """A training that begins at the tokenizer of the run that readers follow."""
    resolved, notes = _settings_of(config, base)
    train = resolved.train.model_copy(update={"stability": config.train.stability})
    settings = resolved.model_copy(update={"train": train})
    return Start(settings, Origin(Mode.RETRAINED.value, base_run_id=base.run_id), base=base, notes=notes)


def _with_base(store: Store, config: Config, base: RunState, mode: Mode) -> Start:
    """The tokenizer and the SIDs of the run that readers follow."""
    resolved, notes = _settings_of(config, base)
    tokenizer = load_tokenizer(f"{store.tokenizers}/{base.tokenizer_id}")
    return Start(resolved, Origin(mode.value, base.tokenizer_id, base.run_id), tokenizer, base, notes)


def _settings_of(config: Config, base: RunState) -> tuple[Config, tuple[str, ...]]:
    """The settings with those that describe the tokenizer of a run, and a note of what was given in vain."""
    kept = base.settings()
    own = {name: getattr(kept, name) for name in _OF_A_TOKENIZER}
    items = config.items.model_copy(update={"normalize": kept.items.normalize})
    resolved = config.model_copy(update={**own, "items": items})
    usual = Config()
    unheeded = [name for name in _OF_A_TOKENIZER if getattr(config, name) not in (getattr(usual, name), own[name])]
    notes = tuple(f"{name}: the settings of the published tokenizer count, not those given" for name in unheeded)
    return resolved, notes


def _with_artifact(store: Store, config: Config, folder: str, base: RunState | None) -> Start:
    """The tokenizer in a folder; SIDs are carried over where readers follow a run of the same one."""
    tokenizer = load_tokenizer(folder)
    identity = tokenizer_id(tokenizer)
    if base is not None and base.tokenizer_id == identity:
        return _with_base(store, config, base, Mode.GIVEN)
    save_tokenizer(tokenizer, store.tokenizers)
    if tokenizer.kind not in KINDS:
        raise ConfigError(f"tokenizer {folder} is of kind {tokenizer.kind!r}, which this drq_spark does not know")
    described = {"name": tokenizer.kind, "levels": tokenizer.levels, "codes": tokenizer.codebook_sizes}
    settings = type(config.tokenizer)(**described, source=config.tokenizer.source)
    items = config.items.model_copy(update={"normalize": tokenizer.normalize})
    resolved = config.model_copy(update={"tokenizer": settings, "items": items})
    return Start(resolved, Origin(Mode.GIVEN.value, identity), tokenizer)


def _followed(store: Store) -> RunState | None:
    """The run that readers follow: the one whose SIDs are in current_sids, which comes before the pointer."""
    run_id = store.last_writer(CURRENT_SIDS)
    run_id = run_id or followed(store)
    return None if run_id is None else find_run(store, run_id)


def unchanged(start: Start, fresh: RunState) -> RunState | None:
    """The run that readers of the channel follow, where a night of the same settings and rows would find nothing to do.

    So would a second retraining: the first one has been trained on these rows.
    """
    base = start.base
    if base is None or start.branches or not (fresh.is_night or fresh.mode == base.mode == Mode.RETRAINED.value):
        return None
    known_by = ("config_fingerprint", "input_fingerprint", "package_version")
    same = all(getattr(base, name) == getattr(fresh, name) for name in known_by)
    return base if same else None
