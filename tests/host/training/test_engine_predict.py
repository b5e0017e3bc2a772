"""A saved model on every device: the same margins and the same exact loss."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from zipsgd.host.cli.app import app
from zipsgd.host.codes.rounding import round_codes
from zipsgd.host.codes.scaling import with_intercept
from zipsgd.host.data.dataset import Dataset
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.devices.open import open_device
from zipsgd.host.devices.software import GoldenDevice
from zipsgd.host.errors import InputError
from zipsgd.host.options.choices import LossName
from zipsgd.host.options.losses import mean_loss, sigmoid
from zipsgd.host.options.options import Options
from zipsgd.host.training import engine_predict
from zipsgd.host.training.engine_predict import EngineModel
from zipsgd.host.training.loop import train
from zipsgd.host.training.model_file import Model, dump_model, load_model
from zipsgd.host.training.predict import margins, metrics
from zipsgd.host.training.task import prepare

LOSSES: list[LossName] = ["least-squares", "logistic", "hinge", "squared-hinge", "huber"]
CANCER = read_dataset("sklearn:breast_cancer")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def trained(loss: LossName, **changes: Any) -> tuple[Model, Dataset]:
    options = Options(loss=loss, epochs=3, step=2.0**-5, **changes)
    task = prepare(CANCER, options)
    *_, last = train(task, GoldenDevice(task.config))
    return task.model(last.words), CANCER


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("unsigned", [False, True])
def test_devices_agree_and_are_right(
    loss: LossName, unsigned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, dataset = trained(loss, unsigned=unsigned)
    cut = [(0, dataset.features[:150]), (150, dataset.features[150:])]
    y, found = model.label_scaling.apply(dataset.labels), []
    for name in ("golden", "fast", "sim"):
        with closing(open_device(name, Options().config)) as device:
            engine = EngineModel(model, device)
            z = np.concatenate(list(engine.margins(dataset.features)))
            found.append((z.tolist(), engine.loss(dataset.features, y)))
            with monkeypatch.context() as patch:
                patch.setattr(engine_predict, "windows", lambda table: iter(cut))
                again = np.concatenate(list(engine.margins(dataset.features)))
                assert again.tolist() == z.tolist()
                assert engine.loss(dataset.features, y) == found[-1][1]
    assert found[0] == found[1] == found[2]

    v = with_intercept(model.scaling.apply(dataset.features, model.bits))
    codes = round_codes(v, 4, "nearest", np.random.default_rng(0), unsigned=unsigned)
    exact = codes.astype(np.float64) @ model.words / 8 * 2.0**-16
    assert np.abs(np.array(found[0][0]) - exact).max() <= 2.0**-17
    assert found[0][1] == pytest.approx(mean_loss(loss, exact, y), abs=2e-4)


def test_eval_and_predict_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(dump_model(trained("logistic", bits=8)[0]))
    model = load_model(path)
    assert model.loss == "logistic"
    z = np.concatenate(list(margins(model, CANCER.features)))
    plain = run("predict", path, "sklearn:breast_cancer").stdout.splitlines()
    assert plain[0] == "prediction,margin,probability"
    assert [float(row.split(",")[1]) for row in plain[1:]] == z.tolist()
    assert [float(row.split(",")[2]) for row in plain[1:]] == sigmoid(z).tolist()

    facts = []
    for more in ([], ["--device", "golden"], ["--device", "sim"]):
        done = run("eval", path, "sklearn:breast_cancer", "--json", *more)
        assert done.exit_code == 0, done.output
        facts.append(json.loads(done.stdout))
    assert facts[1] == facts[2] != facts[0]
    assert facts[0]["loss"] == pytest.approx(facts[1]["loss"], rel=0.01)
    assert facts[0]["loss"] == metrics(model, CANCER)["loss"]
    path.write_bytes(dump_model(replace(model, bits=12)))
    done = run("eval", path, "sklearn:breast_cancer", "--device", "fast")
    assert done.exit_code == 0, "an engine for the model's bits"
    path.write_bytes(dump_model(model))
    rounded = run("predict", path, "sklearn:breast_cancer", "--device", "fast").stdout
    engine = [float(row.split(",")[1]) for row in rounded.splitlines()[1:]]
    assert np.abs(np.array(engine) - z).max() < 0.2
    assert (np.array(engine) != z).any()


def test_an_upload_has_a_bar_on_a_terminal_and_results_have_none(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(dump_model(trained("least-squares", bits=8)[0]))
    call = "from zipsgd.host.cli.app import main; main()"
    command = [sys.executable, "-c", call, "eval", str(path), "sklearn:breast_cancer", "--json"]
    ours, terminal = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    done = subprocess.run(
        [*command, "--device", "sim"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env=environment,
        check=True,
        timeout=60,
    )
    os.close(terminal)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(ours, 1 << 16).decode())
    os.close(ours)
    (size,) = set(re.findall(r"bytes uploaded [^\n]*?\d+/(\d+)", shown))
    assert int(size) > 569 * 31, "a byte a feature, and labels"
    assert json.loads(done.stdout)["part"] == "all samples"


def test_what_the_engine_cannot_hold_is_refused(tmp_path: Path) -> None:
    model, _ = trained("hinge")
    device = GoldenDevice(Options().config)
    remedy = "; pass the --engine that it was trained with, or leave out --device"
    with pytest.raises(InputError, match=f"17 fractional bits and the engine's 16{remedy}"):
        EngineModel(replace(model, fractional_bits=17), device)
    with pytest.raises(InputError, match=f"does not fit the engine's 24 bits{remedy}"):
        EngineModel(replace(model, words=model.words + 2**23), device)
    path = tmp_path / "m.json"
    path.write_bytes(dump_model(model))
    done = run("eval", path, "sklearn:breast_cancer", "--device", "golden", "--lanes", "12")
    assert done.exit_code == 2 and "power of two" in done.stderr
    done = run("eval", path, "sklearn:breast_cancer", "--device", "board")
    assert done.exit_code == 2 and "there is no device 'board'" in done.stderr
