from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from zipsgd.host.cli.app import app
from zipsgd.host.devices import doctor
from zipsgd.host.devices.doctor import Finding, examine


def run(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["doctor", *arguments])
    assert done.exit_code == code, done.output
    return done


def finding(subject: str) -> Finding:
    return next(found for found in examine() if found.subject == subject)


def test_here_the_simulator_has_all_it_needs() -> None:
    lines = run().stdout.splitlines()
    needs = [line for line in lines if " simulator " in line]
    assert len(needs) == 4 and all(line.startswith("ok ") for line in needs)
    records = [json.loads(line) for line in run("--json").stdout.splitlines()]
    assert [record["subject"] for record in records] == [found.subject for found in examine()]
    assert len(lines) == len(records)


def test_what_is_missing_has_a_fix() -> None:
    assert all(found.good == (not found.fix) for found in examine())


def test_a_missing_compiler_exits_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    done = run(code=3)
    assert "there is no no-such-compiler; apt-get install g++" in done.stdout
    assert done.stderr.startswith("zipsgd: the simulator needs") and "C++ compiler" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_compiler_that_fails_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 9\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    assert "fails with exit code 9" in run(code=3).stdout
    broken.write_text("not a program")
    assert "does not run" in run(code=3).stdout


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZIPSGD_CACHE", str(tmp_path / "file"))
    found = finding("cache folder")
    assert not found.good and "set ZIPSGD_CACHE" in found.fix
    monkeypatch.setenv("ZIPSGD_CACHE", str(tmp_path / "new" / "folder"))
    assert finding("cache folder").good
    assert not (tmp_path / "new").exists(), "it only looks"


def test_serial_ports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "DEVICE_FOLDER", tmp_path)
    assert finding("serial port").fix == "connect a board by USB"
    port = tmp_path / "ttyUSB0"
    port.touch()
    assert finding("serial port").good
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != port)
    found = finding("serial port")
    assert not found.good and str(port) in found.found
    assert found.fix.startswith("sudo usermod -aG ")
