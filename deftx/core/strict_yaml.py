"""YAML in which no key stands twice.

YAML wants the keys of a mapping to be unique (version 1.2, section 3.2.1.1), but PyYAML takes the last of equal ones
without a word, and half a block is lost.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from deftx.core.errors import ConfigError


def parse(text: str, origin: str) -> Any:
    """The content of a YAML text, or of a JSON text, which is YAML.

    Args:
        origin: what the text is called in messages.
    Raises:
        ConfigError: not YAML; or with every key that stands twice in a mapping, and its lines.
    """
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        twice = sorted(_repeated(root)) if root else []
        content = loader.construct_document(root) if root and not twice else None
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is a date that there is not
        raise ConfigError(f"{origin} is not YAML: {error}") from None
    if twice:
        lines = [f"  line {line}: the key {key} stands in line {first} already; keep one" for line, key, first in twice]
        raise ConfigError("\n".join([f"{origin} cannot be used:", *lines]))
    return content


def _repeated(root: yaml.Node) -> Iterator[tuple[int, str, int]]:
    """Line of each key that stands in its mapping already, the key, and the line where it did.

    Nodes are as written: merge keys (`<<`) bring in nothing yet, so that what they bring in may be overridden.
    """
    seen = set()  # an alias is the same node again
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        if isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                waiting.append(value)
                if isinstance(key, yaml.ScalarNode):
                    line = key.start_mark.line + 1
                    if (key.tag, key.value) in lines:
                        yield line, key.value, lines[key.tag, key.value]
                    lines.setdefault((key.tag, key.value), line)
