"""A board's bitstream is another where its top or a pass is."""

from __future__ import annotations

import shutil
from pathlib import Path

from zipsgd.boards import digest
from zipsgd.boards.catalogue import BOARDS
from zipsgd.boards.digest import AROUND, FOLDER, MAPS, around_digest, board_digest
from zipsgd.hdl.lib.source_digest import design_digest

APART = {
    *("__init__.py", "catalogue.py", "build.py", "prediction.py", "digest.py"),
    *(
        "bare.py",
        "tools.py",
        "critical_path.py",
        "stalling.py",
    ),  # reports of an engine alone; how tools are called
}
"""Files that make no bitstream what it is, beside those of single boards."""


def test_every_file_is_on_one_side() -> None:
    around = {path for name in (*AROUND, MAPS) for path in FOLDER.glob(name)}
    single = {path for path in FOLDER.glob("*.py") if "= Board(" in path.read_text()}
    apart = {FOLDER / name for name in APART}
    files = {path for kind in ("*.py", "*.v") for path in FOLDER.rglob(kind)}
    assert not around & (single | apart)
    assert around | single | apart == files


def test_an_edit_of_top_or_pass_makes_another_bitstream(tmp_path: Path) -> None:
    folder = tmp_path / "boards"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    before = around_digest(folder)
    for name in ("top.py", "ecp5/packing.py", "ecp5.v", "prediction.py"):
        path = folder / name
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "\nx = 1\n", encoding="utf-8")
        assert (around_digest(folder) == before) == (name == "prediction.py"), name
        path.write_text(text, encoding="utf-8")
    assert around_digest(folder) == before == digest._around()


def test_a_board_differs_from_its_device_alone() -> None:
    config = BOARDS["ulx3s-85f"].engine
    assert board_digest(config) != design_digest(config)
