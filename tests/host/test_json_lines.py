from __future__ import annotations

import ast
import json
import math
from pathlib import Path

import numpy as np

from zipsgd import host
from zipsgd.host.json_lines import json_line


def test_numbers_that_json_does_not_have_are_null() -> None:
    record = {
        "loss": math.inf,
        "score": np.float64("nan"),
        "losses": {0.5: -math.inf, 0.25: 1.5},
        "ways": ({"share": math.inf}, [math.nan, 2, None, True, "inf"]),
    }
    assert json.loads(json_line(record), parse_constant=lambda word: f"not JSON: {word}") == {
        "loss": None,
        "score": None,
        "losses": {"0.5": None, "0.25": 1.5},
        "ways": [{"share": None}, [None, 2, None, True, "inf"]],
    }


def test_nothing_else_prints_json() -> None:
    """Commands echo no text of `json.dumps`, which has such numbers."""
    for path in Path(host.__path__[0]).rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if type(node) is ast.Call]
        dumps = [call for call in calls if ast.unparse(call.func) == "json.dumps"]
        echoed = [call for call in calls if ast.unparse(call.func) == "typer.echo"]
        assert not any(call in ast.walk(echo) for echo in echoed for call in dumps), path
