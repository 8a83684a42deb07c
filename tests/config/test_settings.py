"""Settings: what wins over what, and one line for whatever is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from drq_spark.config import Config, Section, canonical_json, load_config
from drq_spark.config.section import LATER
from drq_spark.config.setting_words import taken
from drq_spark.errors import ConfigError
from drq_spark.metrics import Metric

WHERE_ONLY = {
    "items.path", "events.path", "sids.path", "sids.codebooks", "measure.embeddings_after",
    "store.out", "store.schema_name", "tokenizer.source",
}  # fmt: skip


def written(folder: Path, text: str, name: str = "own.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def refusal(*arguments: Any, **named: Any) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(*arguments, **named)
    assert error.value.exit_code == 2
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 2000
    return message


def leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


# ---- precedence ----


def test_nothing_given_is_the_defaults():
    assert load_config() == Config()
    assert load_config([], {}, []) == Config()


def test_later_files_win_then_options_then_set(tmp_path):
    first = written(tmp_path, "tokenizer: {levels: 4, codes: 16}\nseed: 1\nsample: {size: 10, holdout: 0.2}", "1.yaml")
    second = written(tmp_path, "tokenizer: {codes: 32}\nseed: 2\nsample: {size: 20}", "2.yaml")
    by_file = load_config([first, second])
    assert (by_file.tokenizer.levels, by_file.tokenizer.codes, by_file.seed) == (4, 32, 2)
    assert (by_file.sample.size, by_file.sample.holdout) == (20, 0.2)
    assert load_config([second, first]).seed == 1
    options = {"seed": 3, "sample.size": 30}
    by_option = load_config([first, second], options)
    assert (by_option.seed, by_option.sample.size, by_option.sample.holdout, by_option.tokenizer.codes) == (
        3,
        30,
        0.2,
        32,
    )
    by_set = load_config([first, second], options, ["seed=4", "seed=5", " sample.size =40"])
    assert (by_set.seed, by_set.sample.size, by_set.sample.holdout) == (5, 40, 0.2)


def test_lists_are_replaced_not_joined(tmp_path):
    rules = "gate: {rules: [{metric: gini, maximum: 0.5}]}"
    assert len(load_config([written(tmp_path, rules)]).gate.rules) == 1
    assert load_config(settings=["gate.rules=[]"]).gate.rules == ()


def test_values_of_set_are_yaml():
    config = load_config(
        settings=["tokenizer.codes=[8, 9, 10]", "items.dim=null", "items.path=a=b", "items.exposure=n"]
    )
    assert config.tokenizer.codebook_sizes == (8, 9, 10)
    assert (config.items.dim, config.items.path, config.items.exposure) == (None, "a=b", "n")


def test_layers_are_left_as_they_were(tmp_path):
    """An anchor used twice is two sections: --set on one must not move the other, nor the caller's dictionary."""
    options = {"train": {"kmeans": {"start_price": 1.0}}}
    assert load_config(options=options, settings=["train.kmeans.start_price=2"]).train.kmeans.start_price == 2
    assert options == {"train": {"kmeans": {"start_price": 1.0}}}
    shared = written(tmp_path, "items: &columns {path: a}\nevents: *columns")
    config = load_config([shared], settings=["items.path=b"])
    assert (config.items.path, config.events.path) == ("b", "a")


@pytest.mark.parametrize("text", ["", "# nothing", "---\n", "null"])
def test_an_empty_file_changes_nothing(tmp_path, text):
    assert load_config([written(tmp_path, text)]) == Config()


# ---- unknown keys ----


@pytest.mark.parametrize(
    ("setting", "unknown", "nearest"),
    [
        ("tokeniser.levels=3", "tokeniser", "tokenizer"),
        ("sead=3", "sead", "seed"),
        ("tokenizer.level=3", "tokenizer.level", "levels"),
        ("items.embeding=x", "items.embeding", "embedding"),
        ("train.kmeans.start_iteration=3", "train.kmeans.start_iteration", "start_iterations"),
        ("train.drq_vae.epoch=3", "train.drq_vae.epoch", "epochs"),
        ("measure.eta=[1]", "measure.eta", "etas"),
        ("gate.rules=[{metric: gini, maximun: 1}]", "gate.rules.0.maximun", "maximum"),
        (
            "gate.rules=[{metric: gini, maximum: 1}, {metrik: gini, metric: gini, minimum: 1}]",
            "gate.rules.1.metrik",
            "metric",
        ),
    ],
)
def test_unknown_keys_name_the_nearest(setting, unknown, nearest):
    message = refusal(settings=[setting])
    assert f"unknown setting {unknown!r}: did you mean {nearest!r}?" in message


def test_unknown_keys_like_no_other_get_the_list_alone():
    message = refusal(settings=["verbosity=3"])
    assert "unknown setting 'verbosity': Known here: " in message


def test_all_faults_are_in_one_line(tmp_path):
    message = refusal([written(tmp_path, "sead: 1\ntokenizer: {levels: x}\nsample: {size: 0}")])
    for part in ("unknown setting 'sead'", "tokenizer.levels: ", "not 'x'", "sample.size: ", "not 0"):
        assert part in message


@pytest.mark.parametrize("setting", ["x.y.z=1", ".seed=1", "items..path=1", "a.=1"])
def test_odd_keys_are_unknown_settings(setting):
    assert "unknown setting" in refusal(settings=[setting])


@pytest.mark.parametrize("setting", ["seed", "=1", "", " =1", "seed: 1"])
def test_set_without_key_or_value_is_refused(setting):
    assert refusal(settings=[setting]).startswith("--set takes section.key=value")


@pytest.mark.parametrize("text", [">f4", '">f4"'])
def test_a_set_value_that_would_begin_a_block_of_yaml_is_the_text_itself(text):
    assert load_config(settings=[f"items.bytes={text}"]).items.bytes == ">f4"
    assert "items.bytes" in refusal(settings=[f"items.bytes={text}x"])


def test_keys_that_are_no_text_are_refused(tmp_path):
    assert "1" in refusal([written(tmp_path, "1: 2")])
    assert "items" in refusal([written(tmp_path, "items: {2: 3}")])


# ---- files that are none ----


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        ("a: [", "is not YAML"),
        ("a: b: c", "is not YAML"),
        ("\tseed: 1", "is not YAML"),
        ("seed: \x01", "is not YAML"),
        ("seed: 2024-13-45", "is not YAML"),
        ("seed: !!int x", "is not YAML"),
        ("[" * 2000, "is not YAML"),
        ("seed: !unknown 1", "is not YAML"),
        ("- seed", "must hold sections with keys, not list"),
        ("seed", "must hold sections with keys, not str"),
        ("3", "must hold sections with keys, not int"),
        ("train: &t {kmeans: *t}", "an alias stands inside of what it stands for"),
        ("seed: 1\n---\nseed: 2", "is not YAML"),
    ],
)
def test_what_is_not_a_config_file_is_refused(tmp_path, text, saying):
    file = written(tmp_path, text)
    message = refusal([file])
    assert saying in message
    assert str(file) in message


def test_files_that_cannot_be_read_are_refused(tmp_path):
    assert "cannot be read" in refusal([tmp_path / "nothing.yaml"])
    assert "cannot be read" in refusal([tmp_path])
    (tmp_path / "bytes.yaml").write_bytes(b"seed: \xff\xfe\xfa")
    assert "cannot be read" in refusal([tmp_path / "bytes.yaml"])


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch {mark}']",
        "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{mark}']]",
        "!!python/object/new:subprocess.Popen [['touch', '{mark}']]",
        "!!python/name:os.system",
        "!!python/module:this",
    ],
)
def test_yaml_never_runs_anything(tmp_path, value):
    mark = tmp_path / "ran"
    text = value.replace("{mark}", str(mark))
    assert "is not YAML" in refusal([written(tmp_path, f"seed: {text}")])
    assert "is not YAML" in refusal(settings=[f"seed={text}"])
    assert not mark.exists()


def test_a_bomb_of_aliases_is_one_short_line(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    says = "holds no settings: it stands for more than 10,000 values (line 5)"
    assert says in refusal([written(tmp_path, "\n".join(lines))])
    assert says in refusal([written(tmp_path, "\n".join([*lines, "seed: *a9"]))])


def test_a_bomb_of_merges_is_one_short_line(tmp_path):
    """Each section merges the one before it nine times: no value is made of what the last one stands for."""
    lines = ["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 30))]
    assert "more than 10,000 values" in refusal([written(tmp_path, "\n".join(lines))])
    inline = "{a: &a {x: 1}, b: &b {<<: [*a, *a]}, " + ", ".join(f"c{i}: [*b]" for i in range(5000)) + "}"
    assert "more than 10,000 values" in refusal(settings=[f"items={inline}"])


def test_anchors_and_merges_that_people_write_are_read(tmp_path):
    text = "items: &columns {path: a, id: sku}\nsids: {<<: *columns, path: b}\n"
    config = load_config([written(tmp_path, text)])
    assert (config.sids.path, config.sids.id, config.items.path) == ("b", "sku", "a")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("seed: 1\nsample: {size: 3}\nseed: 2\n", "'seed' stands twice in one section (line 3)"),
        ("sample:\n  size: 3\n  holdout: 0.1\n  'size': 4\n", "'size' stands twice in one section (line 4)"),
        ("gate: {rules: [{metric: gini, maximum: 1, maximum: 2}]}", "'maximum' stands twice in one section"),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path, text, key):
    file = written(tmp_path, text)
    assert refusal([file]) == f"config file {file} holds no settings: {key}"


# ---- values out of range ----


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("seed=-1", "seed"), ("seed=2147483648", "seed"), ("seed=x", "seed"), ("seed=", "seed"), ("seed=1.5", "seed"),
        ("seed=2024-01-01", "seed"), ("seed=.nan", "seed"),
        ("items.dim=0", "items.dim"), ("items.normalize=l1", "items.normalize"), ("items.id=5", "items.id"),
        ("items.id=null", "items.id"), ("items.max_bad_share=1.5", "items.max_bad_share"), ("items=5", "items"),
        ("items=null", "items"), ("events.user=[a]", "events.user"),
        ("sample.size=0", "sample.size"), ("sample.size=1e99", "sample.size"), ("sample.holdout=0.6", "sample.holdout"),
        ("sample.exposure_power=-1", "sample.exposure_power"), ("sample.exposure_power=.inf", "sample.exposure_power"),
        ("train.kmeans.start_price=.nan", "train.kmeans.start_price"), ("train.device=tpu", "train.device"),
        ("train.max_memory_gb=0", "train.max_memory_gb"), ("train.threads=0", "train.threads"),
        ("train.drq_vae.learning_rate=0", "train.drq_vae.learning_rate"),
        ("tokenizer.name=nothing", "tokenizer.name"), ("tokenizer.levels=0", "tokenizer.levels"),
        ("tokenizer.levels=27", "tokenizer.levels"), ("tokenizer.codes=0", "tokenizer.codes"),
        ("tokenizer.codes=1", "tokenizer.codes"), ("tokenizer.codes=[8, 8]", "tokenizer.codes"),
        ("tokenizer.codes=[8, 8, 1]", "tokenizer.codes"), ("tokenizer.codes=[]", "tokenizer.codes"),
        ("tokenizer.codes=x", "tokenizer.codes"), ("tokenizer.codes=2097152", "tokenizer.codes"),
        ("measure.etas=[]", "measure.headline_eta"), ("measure.etas=[0.1]", "measure.headline_eta"),
        ("measure.etas=[0, 0.5]", "measure.etas"), ("measure.headline_eta=0.3", "measure.headline_eta"),
        ("measure.top_buckets=0", "measure.top_buckets"),
        ("gate.rules=[{metric: gini}]", "gate.rules.0"), ("gate.rules=[{metric: nothing, maximum: 1}]", "gate.rules.0"),
        ("gate.rules=[{maximum: 1}]", "gate.rules.0.metric"), ("gate.rules=5", "gate.rules"),
        ("gate.rules=[{metric: gini, minimum: 2, maximum: 1}]", "minimum 2.0 is above maximum 1.0"),
        ("gate.rules=[{metric: gini, minimum: .nan}]", "gate.rules.0.minimum"),
        ("store.out=7", "store.out"),
    ],
)  # fmt: skip
def test_values_out_of_range_are_one_line_that_names_the_setting(setting, path):
    assert path in refusal(settings=[setting])


def test_the_value_refused_is_shown_but_never_a_page_of_it():
    assert "not 'tpu'" in refusal(settings=["train.device=tpu"])
    assert "not -1" in refusal(settings=["seed=-1"])
    assert len(refusal(options={"seed": "x" * 10_000})) < 300


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("tokenizer.codes=abc", "tokenizer.codes: must be an integer of 1 or more, or a list of them, not 'abc'"),
        ("tokenizer.codes=[8, x]", "tokenizer.codes: must be an integer of 1 or more, or a list of them, not [8, 'x']"),
        ("tokenizer.beam=99", "tokenizer.beam: must be an integer from 1 to 64, or null, not 99"),
        ("sids.codes=1", "sids.codes: must be an integer of 2 or more, or a list of them, or null, not 1"),
        ("seed=", "seed: must be an integer from 0 to 2147483647, not null"),
        ("measure.etas=[0, 0.5]", "measure.etas: must be a list in which each is a number above 0, not [0, 0.5]"),
        ("items.normalize=L2", "items.normalize: must be 'none' or 'l2', not 'L2': did you mean 'l2'?"),
        ("items.id=5", "items.id: must be text, not 5; in quotes it is text"),
        ("items.attributes=brand", "items.attributes: must be a list in which each is text, not 'brand'"),
        ("items=5", "items: must be a section with keys, not 5"),
        ("gate.rules=[7]", "gate.rules.0: must be a section with keys, not 7"),
        ("gate.rules=[{metric: gini, minimum: x}]", "gate.rules.0.minimum: must be a number, or null, not 'x'"),
        ("tokenizer.codes=[8, 8]", "tokenizer.codes lists 2 levels, tokenizer.levels is 3"),
        ("tokenizer.name=RQ-VAE", "tokenizer.name: no tokenizer is called 'RQ-VAE': did you mean 'rq_vae'? Known: "),
    ],
)
def test_a_fault_is_told_once_with_type_and_range(setting, message):
    told = refusal(settings=[setting])
    assert told.startswith(message)
    assert told == message or message.endswith("Known: ")


def test_figures_of_the_gate_have_a_nearest_name():
    told = refusal(settings=["gate.rules=[{metric: utilisation, minimum: 1}]"])
    assert "must be one of items, quarantine_rate, " in told
    assert told.endswith("not 'utilisation': did you mean 'utilization'?")
    missing = refusal(settings=["gate.rules=[{maximum: 1}]"])
    assert missing.startswith("gate.rules.0.metric: is missing; it must be one of items, ")


def test_every_setting_can_be_told_in_words():
    for path, _ in leaves(Config().model_dump(mode="json")):
        section: Any = Config
        *above, name = path.split(".")
        for part in above:
            section = section.model_fields[part].annotation
        assert taken(section.model_fields[name]), path


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        Config().items.id = "other"  # type: ignore[misc]


def test_codebook_sizes():
    assert load_config(settings=["tokenizer.codes=7", "tokenizer.levels=2"]).tokenizer.codebook_sizes == (7, 7)
    assert load_config(settings=["tokenizer.codes=[7, 8]", "tokenizer.levels=2"]).tokenizer.codebook_sizes == (7, 8)


@pytest.mark.parametrize("name", ["rq_vae", "rqp_vae"])
@pytest.mark.parametrize("setting", ["tokenizer.balance=0.5", "tokenizer.beam=4"])
def test_trained_books_take_neither_prices_nor_beams(name, setting):
    with pytest.raises(ConfigError, match=f"not for {name}"):
        load_config(settings=[f"tokenizer.name={name}", setting])


def test_only_kept_prices_can_go_by_exposure():
    with pytest.raises(ConfigError, match="keeps no prices"):
        load_config(settings=["tokenizer.name=rq_kmeans", "tokenizer.balance_by=exposure"])
    config = load_config(settings=["tokenizer.balance_by=exposure"])
    with pytest.raises(ConfigError, match="no exposure is known: set"):
        config.require_sources()
    load_config(options={"items.exposure": "views"}, settings=["tokenizer.balance_by=exposure"]).require_sources()


def test_defaults_of_the_kinds():
    kinds = {name: load_config(options={"tokenizer.name": name}).tokenizer for name in ("drq", "rq_kmeans", "drq_vae")}
    assert [(kind.kept_balance > 0, kind.beam_width) for kind in kinds.values()] == [(True, 4), (False, 1), (False, 1)]
    assert load_config(options={"tokenizer.balance": 0.0, "tokenizer.beam": 1}).tokenizer.kept_balance == 0


# ---- fingerprint ----

CANDIDATES = [7, 200, 0.2, 0.5, "other", "l2", "exposure", "straight_through", "rotation", "random", "cpu", "drq_vae",
              "gpu", [9, 9, 9], [0.5], ["brand"], 1, "float16", "part", "all",
              "spread", "apart", "unique0", "advised", "content",
              [{"metric": "gini", "maximum": 1}], "<item_L0_C{}>"]  # fmt: skip


def another(path: str, value: Any) -> Config:
    """The default settings with another valid value at one place."""
    for candidate in CANDIDATES:
        if candidate == value:
            continue
        try:
            return load_config(options={path: candidate})
        except ConfigError:
            continue
    raise AssertionError(f"no other value for {path}: add one to CANDIDATES")


@pytest.mark.parametrize("path", [path for path, _ in leaves(Config().model_dump(mode="json"))])
def test_the_fingerprint_is_of_every_setting_but_those_that_change_no_result(path):
    value = dict(leaves(Config().model_dump(mode="json")))[path]
    changed = another(path, value)
    assert changed != Config()
    assert (changed.fingerprint() == Config().fingerprint()) == (
        path in {*WHERE_ONLY, "store.wait_minutes", "store.channel", "assign.device"} or path.startswith("tokens.")
    )


def test_places_are_marked_once():
    assert {f"{section}.{name}" for section, names in Config().place_names().items() for name in names} == WHERE_ONLY


@pytest.mark.parametrize(
    ("options", "fingerprint"),
    [
        ({}, "9c68124597671300"),
        ({"tokenizer.levels": 4, "seed": 7}, "e48b5ebcc1bad268"),
        ({"tokenizer.levels": 4, "seed": 7, **dict.fromkeys(WHERE_ONLY, "somewhere")}, "e48b5ebcc1bad268"),
    ],
    ids=["defaults", "others", "places"],
)
def test_runs_of_earlier_versions_are_known_by_their_fingerprint(options, fingerprint):
    """Written down from the version before places were marked: another value would take up no earlier run."""
    then = {  # defaults that have changed since
        "train.behaviour.steps": 1200, "train.behaviour.learning_rate": 1e-3, "train.drq.fidelity_slack": 0.01,
        "measure.overlap_items": 20_000,
    }  # fmt: skip
    assert load_config(options=then | options).fingerprint() == fingerprint


def test_a_later_setting_counts_once_it_is_used():
    class Before(Section):
        size: int = 3

    class Now(Before):
        shift: Annotated[int, LATER] = 0
        inner: Before = Before()

    assert Now().deciding() == {"size": 3, "inner": {"size": 3}}
    assert Now(shift=1, size=4).deciding() == {"size": 4, "shift": 1, "inner": {"size": 3}}


def test_the_fingerprint_is_of_values_not_of_how_they_are_given(tmp_path):
    by_file = load_config([written(tmp_path, "seed: 3\ntokenizer: {codes: [256, 256, 256]}")])
    by_set = load_config(settings=["tokenizer.codes=[256,256,256]", "seed=3"])
    assert by_file.fingerprint() == by_set.fingerprint()
    assert load_config(settings=["seed=0", "items.dim=null"]).fingerprint() == Config().fingerprint()
    assert len(Config().fingerprint()) == 16


def test_canonical_json_does_not_depend_on_order():
    assert canonical_json({"b": [1, 2.5], "a": {"d": None, "c": "é"}}) == '{"a":{"c":"é","d":null},"b":[1,2.5]}'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


# ---- round trip ----

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)
RULES = st.builds(
    lambda metric, level, weighting, low, gap: {
        "metric": metric.value, "level": level, "weighting": weighting, "minimum": low, "maximum": low + gap,
    },
    st.sampled_from(Metric), st.none() | st.integers(0, 5), st.sampled_from(["items", "exposure"]),
    st.floats(-9, 9), st.floats(0, 9),
)  # fmt: skip
OWN = st.fixed_dictionaries(
    {},
    optional={
        "items.id": TEXT,
        "items.path": st.none() | TEXT,
        "items.dim": st.none() | st.integers(1, 10**6),
        "items.max_bad_share": st.floats(0, 1),
        "tokenizer": st.lists(st.integers(2, 300), min_size=1, max_size=6).map(
            lambda codes: {"levels": len(codes), "codes": codes}
        ),
        "train.kmeans.start_price": st.floats(0, 1e300),
        "measure": st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=4).map(
            lambda etas: {"etas": etas, "headline_eta": etas[0]}
        ),
        "gate.rules": st.lists(RULES, max_size=3),
        "seed": st.integers(0, 2**31 - 1),
    },
)


@settings(deadline=None, max_examples=30)
@given(OWN)
def test_what_is_dumped_loads_as_the_same(tmp_path_factory, own):
    config = load_config(options=own)
    dumped = config.model_dump(mode="json")
    assert load_config(options=dumped) == config
    file = written(tmp_path_factory.getbasetemp(), yaml.safe_dump(dumped, allow_unicode=True), "dump.yaml")
    again = load_config([file])
    assert again == config
    assert again.fingerprint() == config.fingerprint()
    assert Config.model_validate_json(config.model_dump_json()) == config
