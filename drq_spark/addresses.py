"""Addresses of tables and files as they may be shown: without what opens them, nor where a machine keeps them."""

from __future__ import annotations

import re

_SCHEME = r"(?<![\w+.-])[A-Za-z][\w+.-]+:/{1,3}"
_SECRETS = (
    # name:password@, where the password may hold a slash or an @; digits up to a slash are a port
    re.compile(rf"(?P<kept>{_SCHEME})[^\s/?#@:]*:(?!\d{{1,5}}(?:[/?#]|$))[^\s@]*@(?:[^\s/@]*@)*"),
    re.compile(r"(?P<kept>\bhttps?://)[^\s/@]+@"),  # a token; elsewhere a name alone opens nothing
    re.compile(r"(?P<kept>\bhttps?://[^\s'\"?#]*)[?#][^\s'\"]*"),
    # elsewhere a question mark may be that of a glob
    re.compile(rf"(?P<kept>{_SCHEME}[^\s'\"?#]*)[?#][\w.~%+-]+=[^\s'\"]*"),
)


def without_secrets(text: str) -> str:
    """A text with every password and every query of the URIs in it left out.

    >>> without_secrets("cannot read s3a://KEY:SECRET@bucket/items, https://host/items.parquet?sig=SECRET")
    'cannot read s3a://bucket/items, https://host/items.parquet'
    """
    for secret in _SECRETS:
        text = secret.sub(r"\g<kept>", text)
    return text


def has_secret(address: str) -> bool:
    """Whether an address carries a password or a query."""
    return without_secrets(address) != address


def short_path(path: str) -> str:
    """The last two parts of a path: enough to know a table by, and nothing of the machine that it lies on.

    >>> short_path("/data/shop/items.parquet"), short_path("s3://bucket/night/items"), short_path("shop.items")
    ('shop/items.parquet', 'night/items', 'shop.items')
    """
    return "/".join([part for part in without_secrets(path).split("/") if part][-2:])
