"""YAML that holds values and nothing else: each key once, and no more values than the text shows by eye.

Anchors and merges are read, for people share columns between sections with them; a few lines of them can also stand
for billions of values. So the values that a text stands for are counted while it is parsed, before any is made.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_VALUES = 10_000
"""Keys and values of one text, aliases followed; all settings together are some hundreds."""


class UnfitYaml(yaml.MarkedYAMLError):
    """YAML by its grammar, but not fit for settings."""


def parse_yaml(text: str) -> Any:
    """The value of a text.

    Raises:
        UnfitYaml: a key stands twice in one section, or anchors make it stand for more than `MAX_VALUES` values.
        yaml.YAMLError, ValueError, RecursionError: it is no YAML.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """A safe loader that counts what aliases stand for and refuses repeated keys."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values = 0  # seen so far, aliases followed
        self._sizes: dict[yaml.Node, int] = {}  # of the nodes that are complete

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """A node of the tree; an alias gives the node that it stands for, and counts as much wherever it is used."""
        is_alias, before = self.check_event(yaml.AliasEvent), self._values
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        if node is None:
            return None
        if is_alias and node not in self._sizes:
            raise UnfitYaml(problem="an alias stands inside of what it stands for", problem_mark=mark)
        self._values += self._sizes[node] if is_alias else 1
        if self._values > MAX_VALUES:
            raise UnfitYaml(problem=f"it stands for more than {MAX_VALUES:,} values", problem_mark=mark)
        if not is_alias:
            self._sizes[node] = self._values - before
            _refuse_repeated_keys(node)
        return node


def _refuse_repeated_keys(node: yaml.Node) -> None:
    """Refuse a section in which a key stands twice: the later value would win unseen."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if (key.tag, key.value) in seen:
            raise UnfitYaml(problem=f"{key.value!r} stands twice in one section", problem_mark=key.start_mark)
        seen.add((key.tag, key.value))
