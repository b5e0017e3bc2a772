"""What ``zipsgd train`` writes beside the model: the log and the picture; how it reads tables."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from zipsgd.host.cli.app import app

GOLDEN = ("--device", "golden", "--epochs", "3")


def run(*arguments: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["train", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


def test_the_log_holds_the_objects_of_json(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    done = run("sklearn:iris", *GOLDEN, "--json", "--log", log)
    assert log.read_text() == done.stdout
    done = run("sklearn:iris", *GOLDEN, "--log", log)
    assert [next(iter(json.loads(line))) for line in log.read_text().splitlines()] == (
        ["epoch"] * 3 + ["summary"]
    )
    assert "held-out" in done.stdout


def test_the_log_of_a_resumed_training_is_whole(tmp_path: Path) -> None:
    log, saved = tmp_path / "log.jsonl", tmp_path / "c.json"
    first = run("sklearn:iris", *GOLDEN, "--json", "--checkpoint", saved)
    run("sklearn:iris", *GOLDEN, "--checkpoint", saved, "--resume", "--log", log)
    assert log.read_text() == first.stdout


def test_pictures(tmp_path: Path) -> None:
    png, svg, again = (tmp_path / name for name in ("a.png", "a.svg", "b.svg"))
    for path in (png, svg, again):
        run("sklearn:iris", *GOLDEN, "--plot", path)
    assert png.read_bytes().startswith(b"\x89PNG\r\n")
    assert ET.parse(svg).getroot().tag.endswith("svg")
    assert svg.read_bytes() == again.read_bytes()
    assert sorted(tmp_path.iterdir()) == [png, svg, again]


def test_files_that_cannot_be_written_are_found_before_the_work(tmp_path: Path) -> None:
    for option in ("--log", "--plot"):
        done = run("sklearn:iris", *GOLDEN, option, tmp_path / "none" / "a.svg", code=2)
        assert "cannot be written" in done.stderr and not done.stdout
    done = run("sklearn:iris", *GOLDEN, "--plot", tmp_path / "a.pdf", code=2)
    assert "must end in .png or .svg" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    rows = [f"{i % 7 if i % 9 else ''},{'red' if i % 2 else 'blue'},{i % 5}" for i in range(60)]
    path.write_text("\n".join(["size,colour,price", *rows]))
    return path


def test_categories_and_missing_values(table: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.json"
    run(table, *GOLDEN, "--one-hot", "colour", "--impute", "-o", model)
    names = json.loads(model.read_text())["feature_names"]
    assert names == ["size", "colour=blue", "colour=red"]
    assert "a.csv:2:1: column size is empty" in (
        run(table, *GOLDEN, "--one-hot", "colour", code=2).stderr
    )
    assert "colour" in run(table, *GOLDEN, "--impute", code=2).stderr
    assert "has no named columns" in run("sklearn:iris", *GOLDEN, "--impute", code=2).stderr
    compared = ["compare", str(table), "--devices", "golden,golden", "--epochs", "1", "--impute"]
    done = CliRunner().invoke(app, [*compared, "--one-hot", "colour"])
    assert done.exit_code == 0, done.output
