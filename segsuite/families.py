"""How a name of a family (dataset, encoder, loss, model, upsampler) becomes its class.

A family's `__init__` holds one literal dict from name to "package.module:Class". The classes are imported only when
asked for, so that names can be checked, listed and completed on a login node without importing torch.
"""

import importlib
from collections.abc import Mapping
from typing import Any

from segsuite.errors import ConfigError, unknown_name


def resolve(kind: str, table: Mapping[str, str], name: str) -> Any:
    """The class that `table` gives for `name`.

    Raises ConfigError with the nearest valid name when `name` is not in the table.
    """
    if name not in table:
        raise ConfigError(unknown_name(kind, name, table))
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
