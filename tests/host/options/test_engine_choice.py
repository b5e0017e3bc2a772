"""`--engine`: names and changes, and the small engine from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.parameters import Loss
from zipsgd.hdl.contract.presets import ENGINES
from zipsgd.host.cli.app import app
from zipsgd.host.errors import InputError
from zipsgd.host.options.engine_choice import engine_config
from zipsgd.host.options.options import Options

DATA = "sklearn:diabetes"


def test_names_and_changes() -> None:
    assert engine_config() == EngineConfig()
    assert engine_config("small") == ENGINES["small"]
    found = engine_config("small,lanes=16,evaluate=yes,losses=hinge+squared-hinge", banks=2)
    assert (found.lanes, found.banks, found.model_bits) == (16, 2, ENGINES["small"].model_bits)
    assert found.losses == (Loss.HINGE, Loss.SQUARED_HINGE)
    assert found.evaluate
    assert not found.regularisation


def test_the_replay_buffer_grows_unless_it_is_given() -> None:
    assert engine_config("small", max_bits=8).replay_beats == 2 * ENGINES["small"].replay_beats
    assert engine_config("small,replay_beats=64", max_bits=8).replay_beats == 64


def test_options_take_what_the_engine_has() -> None:
    small, default = Options(engine="small"), Options()
    assert (small.lanes, small.banks, small.max_bits) == (8, 1, 4)
    assert small.precision == "D4M16G18"
    assert (default.lanes, default.banks, default.max_bits) == (16, 4, 8)
    assert default.precision == "D4M24G24"
    assert Options(engine="small", lanes=16).config.lanes == 16


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        (
            "huge",
            "there is no engine 'huge'; take one of "
            "default, complete, medium, wide, rapid, broad, small, tiny",
        ),
        ("small,lane=8", "'lane=8' changes nothing that an engine has; write FIELD=VALUE with one"),
        ("small,lanes", "lanes takes a whole number, not ''"),
        ("small,lanes=12", "no such engine: lanes must be a power of two"),
        ("small,evaluate=1", "evaluate takes yes or no, not '1'"),
        ("small,losses=hinge+l2", "losses takes some of least-squares\\+.*, not 'hinge\\+l2'"),
    ],
)
def test_no_such_engine(engine: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        engine_config(engine)


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--loss", "huber"), "loss = HUBER is out of range for this engine"),
        (("--l2", "0.01"), "built without regularisation; take an engine that has it"),
        (("--model-bits", "15"), "--model-bits is 15; it must be 16 or more"),
        (("--bits", "5"), "--bits is 5; this engine takes at most 4"),
    ],
)
def test_the_small_engine_refuses_what_it_lacks(arguments: tuple[str, ...], sentence: str) -> None:
    refused = run("train", DATA, "--device", "golden", "--engine", "small", *arguments)
    assert refused.exit_code == InputError.exit_code
    assert sentence in refused.stderr


def test_the_small_engine_trains_and_predicts(tmp_path: Path) -> None:
    """As well as the default engine; its own margins need no host; it does not sum losses."""
    model = tmp_path / "model.json"
    losses = {}
    for name in ENGINES:
        options = ("--device", "golden", "--engine", name, "--epochs", "4", "-o", model)
        done = run("train", DATA, *options, "--json")
        assert done.exit_code == 0, done.stderr
        losses[name] = json.loads(done.stdout.splitlines()[-2])["train_loss"]
    assert losses["small"] == pytest.approx(losses["default"], rel=0.01)
    assert losses["tiny"] == pytest.approx(losses["default"], rel=0.01)
    on_engine = ("--device", "golden", "--engine", "small")
    assert run("predict", model, DATA, "-o", tmp_path / "out.csv", *on_engine).exit_code == 0
    refused = run("eval", model, DATA, *on_engine)
    assert refused.exit_code == InputError.exit_code
    assert "small is built without evaluate, so it sums no losses; pass" in refused.stderr


def test_a_model_is_measured_on_the_engine_that_trained_it(tmp_path: Path) -> None:
    """An engine with other words names those that have the model's; a change adds losses."""
    model = tmp_path / "model.json"
    options = ("--device", "golden", "--epochs", "1", "-o", model)
    assert run("train", DATA, *options, "--engine", "small").exit_code == 0
    for command in ("eval", "predict"):
        refused = run(command, model, DATA, "--device", "golden")
        assert refused.exit_code == InputError.exit_code
        assert (
            "the model's words have 10 fractional bits and the engine's 16; pass the --engine that "
            "it was trained with (those with such words: broad, small, tiny), or leave out --device"
        ) in refused.stderr
    refused = run("eval", model, DATA, "--device", "golden", "--engine", "small")
    assert "pass --engine small,evaluate=yes, or leave out --device" in refused.stderr
    done = run("eval", model, DATA, "--device", "golden", "--engine", "small,evaluate=yes")
    assert done.exit_code == 0, done.stderr


def test_plans_and_verilog_of_the_small_engine(tmp_path: Path) -> None:
    shape = ("--features", "30", "--samples", "500", "--beat-width", "8")
    assert "--engine small --lanes 8 --banks 1" in run("plan", *shape, "--engine", "small").stdout
    sizes = []
    for engine in ("small", "small,evaluate=yes"):
        made = run("elaborate", "--engine", engine, "-o", tmp_path / "engine.v")
        assert made.exit_code == 0, made.stderr
        sizes.append((tmp_path / "engine.v").stat().st_size)
    assert sizes[0] < sizes[1]
