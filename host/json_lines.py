"""What ``--json`` prints."""

from __future__ import annotations

import json
import math
from typing import Any


def json_line(record: dict[str, Any]) -> str:
    """One line; infinite numbers and NaN, which JSON does not have, are null."""
    return json.dumps(_finite(record), allow_nan=False)


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(each) for key, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
    return value
