"""YAML without duplicate keys.

YAML requires the keys of a mapping to be unique (version 1.2, section 3.2.1.1), but PyYAML silently takes the last of
equal keys, and half a block is lost.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from deftx.core.errors import ConfigError


def parse(text: str, origin: str) -> Any:
    """Return the content of a YAML text, or of a JSON text, which is YAML.

    Args:
        origin: name of the text in messages.
    Raises:
        ConfigError: not YAML, or a key occurs twice in a mapping; with all such keys and their lines.
    """
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        duplicates = sorted(_find_duplicates(root)) if root else []
        content = loader.construct_document(root) if root and not duplicates else None
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is an impossible date
        raise ConfigError(f"{origin} is not YAML: {error}") from None
    if duplicates:
        lines = [
            f"  line {line}: the key {key} is already in line {first}; keep one" for line, key, first in duplicates
        ]
        raise ConfigError("\n".join([f"{origin} cannot be used:", *lines]))
    return content


def _find_duplicates(root: yaml.Node) -> Iterator[tuple[int, str, int]]:
    """Yield for each key that is already in its mapping: its line, the key, and the line of its first occurrence.

    Merge keys (`<<`) are not expanded yet, so their content may be overridden.
    """
    seen = set()  # an alias is the same node
    queue = [root]
    while queue:
        node = queue.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            queue += node.value
        if isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                queue.append(value)
                if isinstance(key, yaml.ScalarNode):
                    line = key.start_mark.line + 1
                    if (key.tag, key.value) in lines:
                        yield line, key.value, lines[key.tag, key.value]
                    lines.setdefault((key.tag, key.value), line)
