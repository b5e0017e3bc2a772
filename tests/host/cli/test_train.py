from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.host.planted import FlippedBit
from zipsgd.hdl.contract.job import Job
from zipsgd.host.cli.app import app
from zipsgd.host.codes.weaving import Woven
from zipsgd.host.devices import open as devices
from zipsgd.host.devices.software import GoldenDevice
from zipsgd.host.options.options import Options
from zipsgd.host.training.model_file import load_model
from zipsgd.sim.golden import Counters

GOLDEN = ("sklearn:diabetes", "--device", "golden", "--epochs", "3")

EPOCH_KEYS = [
    "epoch",
    "train_loss",
    "heldout_loss",
    "cycles",
    "beats",
    "utilisation",
    "saturations",
    "elapsed_s",
]


def zipsgd(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
    """Stdout and stderr of a call that ends with ``code`` and without a traceback."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stdout, result.stderr


def test_train_prints_a_row_an_epoch() -> None:
    out, err = zipsgd("train", *GOLDEN)
    heading, *rows, summary = out.splitlines()
    assert heading.split()[:4] == ["epoch", "train", "held-out", "R2"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert all(len(row) == len(heading) < 80 for row in rows)
    assert summary.startswith("diabetes: 354 samples of 10 features, q = 4, double rounding")
    assert err == ""


def test_what_is_not_a_result_goes_to_stderr() -> None:
    run = "from zipsgd.host.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", run, "train", *GOLDEN], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stderr == "sklearn:diabetes: 354 samples, step size 0.0625\n"
    assert len(done.stdout.splitlines()) == 5


def test_on_a_terminal_rows_go_above_the_bar() -> None:
    ours, terminal = os.openpty()
    run = "from zipsgd.host.cli.app import main; main()"
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    command = [sys.executable, "-c", run, "train", *GOLDEN]
    subprocess.run(command, stdout=terminal, env=environment, check=True, timeout=60)
    os.close(terminal)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(ours, 1 << 16).decode())
    os.close(ours)
    assert "3/3" in shown
    # A row starts a line of its own, after the bar that it overwrites.
    assert len(re.findall(r"[\r\n] +[123]  0\.", shown)) == 3


def test_json_is_an_object_a_line() -> None:
    out, _ = zipsgd("train", *GOLDEN, "--json")
    *epochs, last = [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()]
    assert [list(record) for record in epochs] == [EPOCH_KEYS] * 3
    for number, record in enumerate(epochs, start=1):
        assert record["epoch"] == number
        assert all(type(record[key]) is int for key in ("cycles", "beats", "saturations"))
        assert record["utilisation"] == record["beats"] / record["cycles"]
    assert list(last) == ["summary"]
    summary = last["summary"]
    assert summary["train_loss"] == epochs[-1]["train_loss"]
    assert summary["cycles"] == sum(record["cycles"] for record in epochs)
    assert (summary["score"], summary["step"], summary["batch"]) == ("R2", 0.0625, 4)
    assert summary["copies"] == 3, "as many as were used"
    assert (summary["bits"], summary["rounding"], summary["devices"]) == (4, "double", ["golden"])


def test_the_same_seed_gives_the_same_output() -> None:
    def losses(*more: str) -> list[Any]:
        out, _ = zipsgd("train", *GOLDEN, "--json", *more)
        return [json.loads(line).get("train_loss") for line in out.splitlines()]

    assert losses() == losses()
    assert losses() != losses("--seed", "1")


def test_every_option_reaches_the_training(tmp_path: Path) -> None:
    values = {
        "bits": 3,
        "rounding": "double",
        "epochs": 2,
        "batch": 16,
        "delay": 1,
        "sync": True,
        "copies": 2,
        "step": 0.125,
        "schedule": "constant",
        "seed": 7,
        "scale": "minmax",
        "holdout": 0.5,
        "engine": "default,max_chunks=32",
        "lanes": 8,
        "banks": 2,
        "loss": "logistic",
        "l2": 0.01,
        "l1": 0.001,
        "regularise_intercept": True,
        "model_bits": 16,
        "gradient_bits": 12,
        "unsigned": True,
        "class_weight": "balanced",
        "sample_weight": "mean smoothness",
        "correction": "curvature",
        "epochs_per_job": 2,
        "snapshot_every": 2,
        "snapshot_at": "1",
        "max_bits": 16,
    }
    assert values.keys() == Options.__dataclass_fields__.keys()
    arguments = [
        text
        for name, value in values.items()
        for option in [f"--{name.replace('_', '-')}"]
        for text in ([option] if value is True else [option, str(value)])
    ]
    path = tmp_path / "m.json"
    command = ("train", "sklearn:breast_cancer", "--device", "golden", "--json", "-o", path)
    out, _ = zipsgd(*command, *arguments)
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert {name: summary[name] for name in values} == values
    assert summary["precision"] == "D3M16G12"
    assert summary["features"] == 29, "one column holds weights"
    saved = ["m-epoch1.json", "m-epoch2.json", "m.json"]
    assert sorted(each.name for each in tmp_path.iterdir()) == saved


def test_train_writes_the_model(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    zipsgd("train", *GOLDEN, "-o", path)
    assert load_model(path).feature_names[0] == "age"
    assert list(tmp_path.iterdir()) == [path]


def test_sim_is_the_default_device() -> None:
    out, _ = zipsgd("train", "sklearn:iris", "--epochs", "1", "--json")
    assert json.loads(out.splitlines()[-1])["summary"]["devices"] == ["sim"]


def test_compare_agrees_on_golden_and_sim() -> None:
    out, _ = zipsgd("compare", "sklearn:iris", "--epochs", "2")
    assert out.splitlines()[-1].endswith("on golden and sim")


def test_compare_exits_5_at_the_first_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(devices.DEVICES, "flipped", FlippedBit)
    out, err = zipsgd("compare", "sklearn:diabetes", "--devices", "golden,flipped", code=5)
    assert len(out.splitlines()) == 2, "the heading and the epoch before"
    assert "diabetes: after epoch 2 model word 3 is" in err
    assert "on golden and" in err and "on flipped" in err


BAD: list[tuple[list[str], str]] = [
    (["missing.svm"], "missing.svm"),
    (["sklearn:none"], "breast_cancer"),
    (["sklearn:digits"], "--drop-constant"),
    (["sklearn:iris", "--target", "x"], "--target"),
    (["sklearn:iris", "--device", "board"], "use one of golden, sim"),
    (["sklearn:iris", "--bits", "1"], "--bits is 1"),
    (["sklearn:iris", "--bits", "40"], "--bits is 40"),
    (["sklearn:iris", "--epochs", "0"], "--epochs is 0"),
    (["sklearn:iris", "--batch", "6"], "multiple of the 4 banks"),
    (["sklearn:iris", "--loss", "logistic"], "labels of more than two values"),
    (["sklearn:breast_cancer", "--step", "5"], "too large for the correction at 4 bits"),
    (["sklearn:breast_cancer", "--l2", "1e4"], "--l2 10000 with step size"),
    (["sklearn:breast_cancer", "--l1", "1e4"], "; keep --l1 below"),
    (["sklearn:breast_cancer", "--l1", "1e305"], "; keep --l1 below"),
    (["sklearn:breast_cancer", "--l2", "1e305"], "; keep --l2 below"),
    (["sklearn:breast_cancer", "--l2", "1e308", "--step", "0.01"], "; keep --l2 below"),
    (["sklearn:breast_cancer", "--loss", "logistic", "--l2", "1e305"], "; keep --l2 below"),
    (
        ["sklearn:breast_cancer", "--loss", "logistic", "--engine", "default,model_frac=4"],
        "no such engine: model_frac must be 5 or more",
    ),
    (["sklearn:breast_cancer", "--l2", "-1"], "--l2 is -1"),
    (["sklearn:breast_cancer", "--l1", "inf"], "--l1 is inf"),
    (["sklearn:digits", "--bits", "9"], "--bits is 9"),
    (["WIDE", "--bits", "8", "--delay", "8"], "lower the delay or the bits"),
    (["sklearn:iris", "--model-bits", "14"], "--model-bits is 14; it must be 15 or more"),
    (["sklearn:iris", "--gradient-bits", "25"], "--gradient-bits is 25"),
    (["sklearn:iris", "--class-weight", "balanced"], "needs two classes"),
    (["sklearn:iris", "--sample-weight", "weight"], "no column 'weight' for --sample-weight"),
    (["sklearn:breast_cancer", "--sample-weight", "mean area"], "must lie between 0 and 15.9961"),
    (["sklearn:iris", "--rounding", "nearest", "--correction", "none"], "with --rounding double"),
    (["sklearn:iris", "--epochs-per-job", "0"], "--epochs-per-job is 0"),
    (["sklearn:iris", "--snapshot-every", "0"], "--snapshot-every is 0"),
    (["sklearn:iris", "--snapshot-every", "11"], "--snapshot-every is 11; there are 10 epochs"),
    (["sklearn:iris", "--snapshot-at", "3,"], "--snapshot-at is '3,'; it must be numbers of"),
    (["sklearn:iris", "--snapshot-at", "0"], "--snapshot-at is '0'; it must be numbers of"),
    (["sklearn:iris", "--snapshot-at", "2,11"], "--snapshot-at is 2,11; there are 10 epochs"),
    (["sklearn:diabetes", "--unsigned", "--scale", "maxabs"], "--unsigned with --scale maxabs"),
    (["sklearn:iris", "--batch", "-4"], "--batch is -4"),
    (["sklearn:iris", "--delay", "9"], "--delay is 9"),
    (["sklearn:iris", "--copies", "0"], "--copies is 0"),
    (["sklearn:iris", "--step", "nan"], "--step is nan"),
    (["sklearn:iris", "--step", "1e9"], "out of range"),
    (["sklearn:iris", "--seed", "-1"], "--seed is -1"),
    (["sklearn:iris", "--holdout", "1"], "--holdout is 1"),
    (["sklearn:iris", "--lanes", "12"], "power of two"),
    (["sklearn:iris", "--banks", "0"], "power of two"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD, ids=[" ".join(bad[0]) for bad in BAD])
def test_bad_input_gets_one_sentence_and_exit_2(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path, wide = tmp_path / "model.json", tmp_path_factory.mktemp("data") / "wide.npy"
    np.save(wide, np.random.default_rng(0).normal(size=(20, 600)))
    arguments = [str(wide) if argument == "WIDE" else argument for argument in arguments]
    path.write_text("before")
    out, err = zipsgd("train", *arguments, "-o", path, code=2)
    assert out == ""
    assert err.startswith("zipsgd: ") and err.count("\n") == 1
    assert says in err
    assert [path.read_text(), *tmp_path.iterdir()] == ["before", path]


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "sklearn:iris", "--rounding", "up"],
        ["train", "sklearn:iris", "--schedule", "2/k"],
        ["train", "sklearn:iris", "--scale", "none"],
        ["train", "sklearn:iris", "--bits", "many"],
        ["train", "sklearn:iris", "--nonsense"],
        ["nonsense"],
        ["bench", "nonsense"],
    ],
)
def test_usage_errors_exit_2(arguments: list[str]) -> None:
    out, err = zipsgd(*arguments, code=2)
    assert out == ""
    assert "Usage" in err


@pytest.mark.parametrize(
    "arguments",
    [["train", "sklearn:iris", "--device", "golden"], ["elaborate"], ["demo"]],
)
def test_an_output_that_cannot_be_written_is_found_before_the_work(
    arguments: list[str], tmp_path: Path
) -> None:
    out, err = zipsgd(*arguments, "-o", tmp_path / "missing" / "out", code=2)
    assert out == ""
    assert "cannot be written" in err


@pytest.mark.parametrize("names", ["golden", "golden,board", ""])
def test_devices_of_compare_are_checked(names: str) -> None:
    zipsgd("compare", "sklearn:iris", "--devices", names, code=2)


def test_divergence_and_saturation_are_told(caplog: pytest.LogCaptureFixture) -> None:
    zipsgd("train", *GOLDEN, "--step", "2", "--schedule", "constant")
    assert "training diverged" in caplog.text
    assert "lower --step" in caplog.text


def test_ctrl_c_exits_130_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Interrupted(GoldenDevice):
        def run(self, job: Job, *copies: Woven) -> Counters:
            raise KeyboardInterrupt

    monkeypatch.setitem(devices.DEVICES, "golden", Interrupted)
    zipsgd("train", *GOLDEN, "-o", tmp_path / "model.json", code=130)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_in_a_compiled_function_exits_130(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It ends a compiled function with this error."""

    class Interrupted(GoldenDevice):
        def run(self, job: Job, *copies: Woven) -> Counters:
            raise SystemError("returned a result with an exception set") from KeyboardInterrupt()

    monkeypatch.setitem(devices.DEVICES, "golden", Interrupted)
    zipsgd("train", *GOLDEN, "-o", tmp_path / "model.json", code=130)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [("-o", "a.csv"), ("--log", "a.csv"), ("-o", "b", "--log", "b"), ("--checkpoint", "b.png")],
)
def test_no_file_is_written_twice_or_over_the_data(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "a.csv"
    data.write_text("a,b\n1,2\n2,3\n")
    _, err = zipsgd("train", data, *options, "--plot", "b.png", code=2)
    assert "name the same file" in err and "name another" in err
    assert data.read_text() == "a,b\n1,2\n2,3\n" and list(tmp_path.iterdir()) == [data]


def test_a_log_is_kept_until_there_is_something_to_write(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("of another training\n")
    zipsgd("train", tmp_path / "none.csv", "--log", log, code=2)
    assert log.read_text() == "of another training\n"
    zipsgd("train", *GOLDEN, "--log", log)
    assert "summary" in json.loads(log.read_text().splitlines()[-1])


@pytest.mark.parametrize("option", ["-o", "--checkpoint", "--plot", "--log"])
def test_a_full_disk_is_said(option: str, tmp_path: Path) -> None:
    """Here, no file may be longer than a block of 16 bytes."""
    program = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from zipsgd.host.cli.app import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16)); main()"
    )
    path = tmp_path / "a.png"
    done = subprocess.run(
        [sys.executable, "-c", program, "train", *GOLDEN, option, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "zipsgd: writing failed (File too large); make room, then retry" in done.stderr
    assert "Traceback" not in done.stderr
    assert [file.stat().st_size for file in tmp_path.iterdir() if option != "--log"] == []


def test_elaborate_writes_the_same_verilog_in_every_run(tmp_path: Path) -> None:
    paths = [tmp_path / "one.v", tmp_path / "two.v"]
    for path in paths:
        run = "from zipsgd.host.cli.app import main; main()"
        command = [sys.executable, "-c", run, "elaborate", "--lanes", "8", "--banks", "1"]
        subprocess.run([*command, "-o", str(path)], check=True, timeout=120)
    one, two = (path.read_text() for path in paths)
    assert one == two
    assert "module zipsgd_engine" in one
    assert str(Path.cwd()) not in one
    assert sorted(tmp_path.iterdir()) == paths


def test_elaborate_with_axi_ports(tmp_path: Path) -> None:
    verilog, header = tmp_path / "axi.v", tmp_path / "axi.h"
    options = ("--lanes", "8", "--banks", "1", "--interface", "axi-stream")
    zipsgd("elaborate", *options, "-o", verilog, "--header", header)
    assert "module zipsgd_axi(" in verilog.read_text()
    assert "#define ZIPSGD_IDENTITY_LANES_VALUE 0x8\n" in header.read_text()


def test_elaborate_has_no_header_of_streams(tmp_path: Path) -> None:
    options = ("-o", tmp_path / "engine.v", "--header", tmp_path / "engine.h")
    _, err = zipsgd("elaborate", *options, code=2)
    assert "add --interface axi-stream" in err
    assert not list(tmp_path.iterdir())


def test_elaborate_refuses_fields_wider_than_a_register(tmp_path: Path) -> None:
    options = ("--interface", "axi-stream", "--engine", "default,coefficient_bits=24")
    files = ("-o", tmp_path / "axi.v", "--header", tmp_path / "axi.h")
    _, err = zipsgd("elaborate", *options, *files, code=2)
    assert err == (
        "zipsgd: this engine has no axi-stream interface: the epoch's correction has 36 bits and a "
        "register 32; lower random_bits or coefficient_bits\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("unwritable", ["-o", "--header"])
def test_elaborate_writes_both_files_or_none(unwritable: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    files = {"-o": tmp_path / "axi.v", "--header": tmp_path / "axi.h"}
    for path, reason in (
        (tmp_path / "absent" / "axi", "No such file or directory"),
        (tmp_path / "file" / "axi", "Not a directory"),
        (tmp_path, "is not a regular file"),
    ):
        named = {**files, unwritable: path}
        pairs = ("-o", named["-o"], "--header", named["--header"])
        _, err = zipsgd("elaborate", "--interface", "axi-stream", *pairs, code=2)
        assert f"{path} " in err and reason in err
        assert err.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_elaborate_does_not_write_one_file_over_the_other(tmp_path: Path) -> None:
    options = ("--interface", "axi-stream", "-o", tmp_path / "axi", "--header", tmp_path / "axi")
    _, err = zipsgd("elaborate", *options, code=2)
    assert "--header and --output name the same file" in err
    assert not list(tmp_path.iterdir())


def test_elaborate_refuses_an_impossible_engine(tmp_path: Path) -> None:
    _, err = zipsgd("elaborate", "--lanes", "3", "-o", tmp_path / "engine.v", code=2)
    assert "lanes must be a power of two" in err
    _, err = zipsgd("elaborate", "--max-bits", "33", "-o", tmp_path / "engine.v", code=2)
    assert "max_bits must be 2 to 32, not 33" in err
    changed = ("--engine", "default,model_frac=4")
    _, err = zipsgd("elaborate", *changed, "-o", tmp_path / "engine.v", code=2)
    assert err.startswith("zipsgd: no such engine: model_frac must be 5 or more")
    wide = ("--lanes", "2", "--banks", "64", "--max-bits", "32")
    _, err = zipsgd("elaborate", *wide, "-o", tmp_path / "engine.v", code=2)
    assert err.startswith("zipsgd: no such engine: gradients would need 65 bits")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["", "train", "compare", "elaborate", "demo", "bench"])
def test_help(command: str) -> None:
    out, _ = zipsgd(*command.split(), "--help")
    assert "Usage: " in out
