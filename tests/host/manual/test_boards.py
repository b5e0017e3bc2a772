"""``docs/boards.md`` against the boards that it is made from, and what it promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from amaranth.hdl import Fragment
from typer.testing import CliRunner

from zipsgd.boards.catalogue import BOARDS
from zipsgd.boards.description import Board
from zipsgd.boards.prediction import FEATURES, SKLEARN_UPDATES_PER_S, predict, predicted_job
from zipsgd.hdl.contract.presets import ENGINES
from zipsgd.hdl.device.lights import TICK_S, Light
from zipsgd.hdl.memory.plan import SamplePlan
from zipsgd.host.cli.app import app
from zipsgd.host.manual.boards import update_page
from zipsgd.host.options.engine_choice import engine_config

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "boards.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
EACH = pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))


def test_page_is_up_to_date() -> None:
    """If not: ``python -m zipsgd.host.manual.boards docs/boards.md``."""
    assert update_page(PAGE) == PAGE
    assert all(f"| {light.value} | `{light.name}` |" in PAGE for light in Light)
    assert f"on for {TICK_S} s at least" in PAGE


def test_figures_of_the_readme() -> None:
    updates = f"{SKLEARN_UPDATES_PER_S / 1e6:.0f} million feature updates"
    assert updates in PAGE and f"and {updates}" in README
    assert f"{SKLEARN_UPDATES_PER_S / FEATURES / 1e6:.1f} million samples (README)" in PAGE


def test_its_commands_exist() -> None:
    commands = set(re.findall(r"zipsgd ([a-z]+)", PAGE))
    assert {"build", "flash", "detect", "selftest", "train", "report", "boards"} <= commands
    for command in commands - {"that"}:
        shown = CliRunner().invoke(app, [command, "--help"])
        assert shown.exit_code == 0, command
        for option in re.findall(rf"zipsgd {command}\b[^\n`#]*?(--[a-z-]+)", PAGE):
            assert option in shown.stdout


@EACH
def test_the_largest_data_set_is_the_largest(board: Board) -> None:
    config, samples = board.engine, predict(board).samples
    memory = board.samples.build(config, board.clock_hz)
    Fragment.get(memory, None)  # or Amaranth warns that it is not used
    port = memory.port.signature
    beats = predicted_job(config, 1, 1).group_beats(config)
    groups, depth = samples // config.banks, board.samples.bytes * 8 // port.width
    SamplePlan(beats=groups * beats).check(config.beat_bits, port.width, depth)
    with pytest.raises(ValueError, match="use fewer copies"):
        SamplePlan(beats=(groups + 1) * beats).check(config.beat_bits, port.width, depth)


@EACH
def test_predictions_are_within_their_bounds(board: Board) -> None:
    found = predict(board)
    assert 0.45 < found.samples_per_s / found.bound_per_s <= 1
    assert found.samples_per_s * found.cycles_a_sample <= board.clock_hz * 1.0001


def test_a_prediction_by_hand() -> None:
    """16 x 1: 6 chunks of 4 planes and 2 beats of labels, 26 beats of 16 bits a sample."""
    found = predict(BOARDS["ulx3s-85f"])
    assert found.samples == (32 << 20) // (26 * 2)
    assert found.bound_per_s == 100e6 / 26
    assert found.upload_s == pytest.approx(found.samples * 52 * 10 / 3e6)


@EACH
def test_options_of_train_name_the_engine(board: Board) -> None:
    words = board.train_options.split()
    given = dict(zip(words[::2], words[1::2], strict=True))
    named = engine_config(
        given.get("--engine", "default"),
        int(given["--lanes"]) if "--lanes" in given else None,
        int(given["--banks"]) if "--banks" in given else None,
    )
    assert named == board.engine
    assert board.engine.losses == ENGINES["default"].losses or "--engine" in given
