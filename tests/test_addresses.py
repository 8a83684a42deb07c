"""What opens a place is shown nowhere, and what only looks like it stays."""

from __future__ import annotations

import pytest
from pipeline.nights import command

from drq_spark.addresses import has_secret, short_path, without_secrets
from drq_spark.config import Items, load_config
from drq_spark.errors import ConfigError

WITH_SECRET = {
    "s3a://KEY:SECRET@bucket/items": "s3a://bucket/items",
    "s3a://KEY:SEC/RE+T@bucket/items": "s3a://bucket/items",
    "s3a://KEY:SEC@RET@bucket/items": "s3a://bucket/items",
    "sftp://team:12SECRET@host:22/items": "sftp://host:22/items",
    "https://SECRET@host/items": "https://host/items",
    "https://host/items?SECRET": "https://host/items",
    "https://account.blob.core.windows.net/c/items.parquet?sv=1&sig=SECRET": "https://account.blob.core.windows.net/c/items.parquet",
    "s3://bucket/items?endpoint_override=SECRET": "s3://bucket/items",
    "gs://bucket/items#access_token=SECRET": "gs://bucket/items",
    "jdbc:postgresql://me:SECRET@host/db?password=SECRET": "jdbc:postgresql://host/db",
}
PLAIN = [
    "/data/items?/day=2026-01-01",
    "s3a://bucket/day=2026-01-0?/country=se/*.parquet",
    "abfss://container@account.dfs.core.windows.net/items",
    "hdfs://name:8020/shop/items@v3",
    "hdfs://me@name/items",
    "main.shop.items",
    "dbfs:/mnt/items",
    "item:1@2 is no address",
]


@pytest.mark.parametrize(("address", "shown"), WITH_SECRET.items(), ids=WITH_SECRET)
def test_passwords_tokens_and_queries_are_left_out(address, shown):
    assert has_secret(address)
    assert without_secrets(address) == shown
    assert without_secrets(f"cannot read {address!r}: no") == f"cannot read {shown!r}: no"
    assert "SECRET" not in short_path(address)


@pytest.mark.parametrize("address", PLAIN)
def test_what_opens_nothing_stays(address):
    assert without_secrets(address) == address
    assert not has_secret(address)


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("/data/shop/items.parquet", "shop/items.parquet"),
        ("items.parquet", "items.parquet"),
        ("s3://bucket/a/b/", "a/b"),
        ("catalog.schema.items", "catalog.schema.items"),
        ("", ""),
    ],
)
def test_a_path_shows_its_end_only(path, short):
    assert short_path(path) == short


@pytest.mark.parametrize("setting", ["items.path", "events.path", "sids.path", "sids.codebooks", "store.out",
                                     "measure.embeddings_after"])  # fmt: skip
@pytest.mark.parametrize("address", WITH_SECRET)
def test_settings_hold_no_secret_for_every_run_keeps_them_in_a_table(setting, address):
    with pytest.raises(ConfigError, match="settings are kept in tables") as refused:
        load_config(options={setting: address})
    assert "SECRET" not in str(refused.value)


def test_nor_does_the_error_that_a_notebook_shows():
    with pytest.raises(ValueError, match="settings are kept in tables") as refused:
        Items(path="s3a://KEY:SECRET@bucket/items")
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--items", "s3a://KEY:SECRET@bucket/items", "--out", "out"],
        ["run", "--items", "items", "--out", "s3://bucket/out?token=SECRET"],
        ["publish", "--out", "s3://KEY:SECRET@bucket/out"],
        ["inspect", "sftp://KEY:SECRET@bucket/out"],
        ["run", "--set", "s3a://KEY:SECRET@bucket/items"],
    ],
    ids=" ".join,
)
def test_no_command_repeats_a_secret(arguments):
    code, said, refused = command(arguments)
    assert (code, refused.count("\n")) == (2, 1), refused
    assert "SECRET" not in said + refused
