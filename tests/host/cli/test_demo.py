from __future__ import annotations

import struct
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zipsgd.host.cli.app import app
from zipsgd.host.cli.demo import OPTIONS, RUNS, Curve, curves, digits


@pytest.fixture(scope="module")
def found() -> dict[tuple[int, str], Curve]:
    return {(curve.bits, curve.rounding): curve for curve in curves(digits(), OPTIONS, "sim")}


def test_digits_are_two_classes() -> None:
    dataset = digits()
    assert dataset.classification
    assert dataset.features.shape[0] == 1797


def test_the_effect_is_there(found: dict[tuple[int, str], Curve]) -> None:
    loss = {key: curve.final.train for key, curve in found.items()}
    assert set(loss) == {(64, "float64"), *RUNS}
    base = loss[64, "float64"]
    assert loss[8, "double"] < 1.001 * base
    assert loss[4, "double"] < 1.005 * base
    assert loss[4, "nearest"] > 1.01 * base
    assert loss[3, "double"] < loss[4, "nearest"] < loss[3, "nearest"]
    assert loss[3, "nearest"] > 1.05 * base


def test_the_command_prints_a_table_and_writes_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "demo.png"
    result = CliRunner().invoke(app, ["demo", "-o", str(path)])
    assert result.exit_code == 0, result.output
    for text in ("float64", "nearest", "What you see", "Next:", str(path)):
        assert text in result.stdout
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", content[16:24])
    assert width >= 600 and height >= 400
    assert list(tmp_path.iterdir()) == [path]
