"""One name is imported, whatever lies beside it: from a wheel, a checkout, a copy of a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.faults.planting import PROJECT, copy_project
from tests.rooms import PACKAGE, PARTS

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
WHERE = f"import {PACKAGE}; print({PACKAGE}.__file__)"


def python(folder: Path, *arguments: str | Path, path: Path | None = None) -> str:
    """Run Python in ``folder``; returns what it prints."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHONP"))}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    copy = copy_project(folder)
    python(copy, "-c", BUILD, folder)
    (made,) = folder.glob("*.whl")
    return made


def test_a_wheel_has_one_name_and_all_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {PACKAGE}
    wanted = {
        f"{PACKAGE}/{path.relative_to(PROJECT).as_posix()}"
        for part in PARTS
        for kind in ("py", "v", "vlt", "cpp", "hpp")
        for path in (PROJECT / part).rglob(f"*.{kind}")
    }
    assert wanted <= set(names)


def test_an_installed_wheel_runs_beside_other_folders(wheel: Path, tmp_path: Path) -> None:
    """Folders called hdl and host, in which it must not look, in the folder that it starts from."""
    installed, beside = tmp_path / "installed", tmp_path / "beside"
    zipfile.ZipFile(wheel).extractall(installed)
    for part in PARTS:
        (beside / part).mkdir(parents=True)
        (beside / part / "__init__.py").write_text("raise AssertionError('imported')\n")
    shown = python(beside, "-c", WHERE, path=installed)
    assert Path(shown).is_relative_to(installed)
    output = beside / "engine.v"
    engine = ("--lanes", "2", "--banks", "4", "--engine", "small")
    python(beside, "-m", PACKAGE, "elaborate", *engine, "-o", output, path=installed)
    assert "module zipsgd_engine(" in output.read_text()


def test_a_copy_imports_itself(tmp_path: Path) -> None:
    """Also where another checkout is installed: what is planted in a copy is found there."""
    copy = copy_project(tmp_path)
    assert Path(python(copy, "-c", WHERE)).is_relative_to(copy)
    formats = copy / "hdl" / "contract" / "formats.py"
    formats.write_text(formats.read_text() + "\nPLANTED = 1\n")
    python(copy, "-c", f"from {PACKAGE}.hdl.contract.formats import PLANTED")
