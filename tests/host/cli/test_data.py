"""``zipsgd data`` end to end: one sentence and exit code 2 for whatever cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from zipsgd.host.cli.app import app
from zipsgd.host.codes.packed import open_packed


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)) * [1, 100, 1e-3]
    x[:, 0] = x[:, 0] > 1
    path = tmp_path / "a.csv"
    rows = np.column_stack([x, x @ [1, 0.01, 1000] + 0.1 * rng.normal(size=200)])
    np.savetxt(path, rows, delimiter=",", header="flag,big,small,y", comments="")
    return path


def test_pack_then_inspect(data: Path) -> None:
    packed = data.with_suffix(".zsgd")
    options = ("--bits", "5", "--copies", "2", "--seed", "3", "--lanes", "8")
    done = run("pack", data, "-o", packed, *options, "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["bits"], facts["copies"], facts["seed"], facts["lanes"]) == (5, 2, 3, 8)
    assert (facts["samples"], facts["heldout_samples"], facts["features"]) == (160, 40, 3)
    assert open_packed(packed).digest == facts["source_sha256"]
    again = run("inspect", packed, "--json")
    assert json.loads(again.stdout) == facts
    assert "heldout samples    40" in run("inspect", packed).stdout
    assert sorted(path.name for path in data.parent.iterdir()) == ["a.csv", "a.zsgd"]


def test_packing_twice_gives_the_same_bytes(data: Path) -> None:
    contents = []
    for name in ("b.zsgd", "c.zsgd"):
        assert run("pack", data, "-o", data.with_name(name)).exit_code == 0
        contents.append(data.with_name(name).read_bytes())
    assert contents[0] == contents[1]


def test_inspect_states_what_there_is(data: Path) -> None:
    facts = json.loads(run("inspect", data, "--json").stdout)
    assert (facts["samples"], facts["features"], facts["labels"]["task"]) == (200, 3, "regression")
    flag, big, small = facts["columns"]
    assert flag["two_valued"] and not big["two_valued"]
    assert flag["low"] == 0 and flag["high"] == 1
    assert small["deviation"] == pytest.approx(1e-3, rel=0.3)
    table = np.loadtxt(data, delimiter=",", skiprows=1)
    assert facts["density"] == pytest.approx(np.count_nonzero(table[:, :3]) / 600)
    assert facts["condition_number"]["sigma"] < facts["condition_number"]["maxabs"] * 2
    assert facts["suggested"]["scale"] in facts["condition_number"]
    noise = [facts["margin_noise"][str(bits)] for bits in range(2, 9)]
    assert noise == sorted(noise, reverse=True)
    assert facts["bytes"]["float64"] == 200 * 4 * 8
    shown = run("inspect", data).stdout
    assert "two values" in shown and "condition number" in shown


BAD = [
    (["pack", "{data}", "-o", "x.zsgd", "--bits", "1"], "--bits is 1; it must be 2 or more"),
    (["pack", "{data}", "-o", "x.zsgd", "--bits", "9"], "bits = 9 is out of range"),
    (["pack", "{data}", "-o", "x.zsgd", "--bits", "99999999999"], "out of range"),
    (["pack", "{data}", "-o", "x.zsgd", "--bits", "four"], "integer"),
    (["pack", "{data}", "-o", "x.zsgd", "--copies", "0"], "--copies is 0"),
    (["pack", "{data}", "-o", "x.zsgd", "--copies", "-3"], "--copies is -3"),
    (["pack", "{data}", "-o", "x.zsgd", "--seed", "-1"], "--seed is -1"),
    (["pack", "{data}", "-o", "x.zsgd", "--rounding", "up"], "up"),
    (["pack", "{data}", "-o", "x.zsgd", "--scale", "robust"], "robust"),
    (["pack", "{data}", "-o", "x.zsgd", "--holdout", "0"], "must be above 0 and below 1"),
    (["pack", "{data}", "-o", "x.zsgd", "--holdout", "nan"], "must be above 0 and below 1"),
    (["pack", "{data}", "-o", "x.zsgd", "--lanes", "12"], "lanes must be a power of two"),
    (["pack", "{data}", "-o", "x.zsgd", "--banks", "0"], "banks must be a power of two"),
    (["pack", "{data}", "-o", "x.zsgd", "--lanes", "2", "--banks", "2"], "whole number of bytes"),
    (["pack", "{data}", "-o", "x.zsgd", "--target", "price"], "no column price"),
    (["pack", "{data}", "-o", "x.zsgd", "--one-hot", "price"], "no column price"),
    (["pack", "{data}", "-o", "x.zsgd", "--one-hot", "y"], "holds the labels"),
    (["pack", "{data}", "-o", "none/x.zsgd"], "cannot be written"),
    (["pack", "{data}", "-o", "."], "not a regular file"),
    (["pack", "{data}"], "--output"),
    (["pack", "none.csv", "-o", "x.zsgd"], "there is no such file"),
    (["pack", "sklearn:none", "-o", "x.zsgd"], "use one of breast_cancer"),
    (["pack", "sklearn:iris", "-o", "x.zsgd", "--impute"], "has no named columns"),
    (["pack", "sklearn:iris", "-o", "x.zsgd", "--target", "0"], "leave out --target"),
    (["pack", "sklearn:digits", "-o", "x.zsgd"], "--drop-constant"),
    (["inspect", "none.zsgd"], "cannot be read"),
    (["inspect", "{data}", "--target", "9"], "no column 9"),
    (["inspect", "x.zsgd", "--impute"], "leave out the options"),
    (["inspect"], "DATA"),
    (["inspect", "."], "is a directory"),
    (["unpack", "{data}"], "unpack"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_options_exit_with_2_and_a_sentence(
    data: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(data.parent)
    done = run(*(argument.format(data=data) for argument in arguments))
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.output and not done.stdout
    assert [path.name for path in data.parent.iterdir()] == ["a.csv"], "something was left behind"


def test_a_damaged_packed_set_exits_with_2_and_its_offset(data: Path) -> None:
    packed = data.with_suffix(".zsgd")
    run("pack", data, "-o", packed)
    whole = packed.read_bytes()
    for offset in range(0, len(whole), len(whole) // 40):
        packed.write_bytes(whole[:offset] + bytes([whole[offset] ^ 4]) + whole[offset + 1 :])
        done = run("inspect", packed)
        assert done.exit_code == 2 and "byte" in done.stderr and not done.stdout
        packed.write_bytes(whole[:offset])
        done = run("inspect", packed)
        assert done.exit_code == 2 and ("byte" in done.stderr) and not done.stdout
