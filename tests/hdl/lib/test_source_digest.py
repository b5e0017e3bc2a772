"""What of a source text makes a design: code does, comments and docstrings do not."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.geometries import GEOMETRIES
from zipsgd.hdl.lib import source_digest as sources
from zipsgd.hdl.lib.source_digest import (
    GATEWARE,
    NAMES_ALONE,
    code,
    design_digest,
    gateware_files,
    sources_digest,
)
from zipsgd.host import manual
from zipsgd.sim import verilated, whole_device

TEXT = '''"""Of the module."""

import a  # why


def f(x):
    """Of é function, "quoted"."""

    return x + 1
'''

SAME = {
    "comment": TEXT + "# more\n",
    "comment behind code": TEXT.replace("x + 1", "x + 1  # é"),
    "other comment": TEXT.replace("# why", "# because"),
    "docstring": TEXT.replace("Of the module.", "Of\nthe whole # module.\n"),
    "docstring beyond ASCII": TEXT.replace("Of é function", "ÄÖÜ — of f"),
    "no docstring": TEXT.replace('"""Of the module."""', ""),
    "blank lines": TEXT.replace("\n\n", "\n\n\n   \n"),
    "trailing blanks": TEXT.replace("import a", "import a   "),
    "comment between": TEXT.replace("    return", "    # é\n    return"),
}
OTHER = {
    "number": TEXT.replace("+ 1", "+ 2"),
    "indentation": TEXT.replace("import a", "if x:\n  import a"),
    "name": TEXT.replace("import a", "import b"),
    "string": TEXT.replace("x + 1", "x + '#1'"),
    "code behind a docstring": TEXT.replace('"quoted"."""', '"quoted"."""; x = 2'),
}


@pytest.mark.parametrize("change", SAME)
def test_what_is_no_code_does_not_count(change: str) -> None:
    assert SAME[change] != TEXT
    assert code(SAME[change]) == code(TEXT)


@pytest.mark.parametrize("change", OTHER)
def test_code_counts(change: str) -> None:
    assert code(OTHER[change]) != code(TEXT)


STRINGS = [
    'x = """one\n\n  # two\nthree  \n\n"""',
    'def f():\n    """é\n\n    é"""\n    return """\n\n# t  \n"""  # one',
    "x = '#no comment'  # one",
    'x = f"{y}# {z!r:>{w}} é"  # one',
    'x = f"""{y}\n# {z}\n"""',
    'f(\n    """value\n    # of a call""",\n)',
    'x = ("é" "ü")  # é',
    'def f():\n    """é"""  # é\n    return "é # ü"  # é',
    "x = 1 \\\n    + 2  # one",
]


@pytest.mark.parametrize("text", STRINGS)
def test_strings_that_are_values_stay(text: str) -> None:
    """Python reads the same from what is left: all but docstrings."""
    assert ast.dump(ast.parse(code(text))) == values(text)


@pytest.mark.parametrize("text", STRINGS)
def test_a_change_of_a_value_counts(text: str) -> None:
    """One character after the other; of what follows a ``#`` outside of strings, none counts."""
    counted = 0
    for place, old in enumerate(text):
        changed = text[:place] + ("u" if old.isalnum() else old * 2) + text[place + 1 :]
        try:
            same = values(changed) == values(text)
        except SyntaxError:
            continue
        assert same or code(changed) != code(text)
        counted += not same
    assert counted > 1


def values(text: str) -> str:
    """What Python reads but for docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            del node.body[0]
    return ast.dump(tree)


def test_the_digest_is_of_names_and_code(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.py", "b.py")]
    for file in files:
        file.write_text(TEXT, encoding="utf-8")
    before = sources_digest(tmp_path, files)
    assert sources_digest(tmp_path, reversed(files)) == before
    files[0].write_text(SAME["comment"] + "\n\n", encoding="utf-8")
    assert sources_digest(tmp_path, files) == before
    assert sources_digest(tmp_path, files[:1]) != before
    files[1].write_text(OTHER["number"], encoding="utf-8")
    assert sources_digest(tmp_path, files) != before
    files[1].write_text(TEXT, encoding="utf-8")
    files[1] = files[1].rename(tmp_path / "c.py")
    assert sources_digest(tmp_path, files) != before


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the gateware, of which digests are made."""
    folder = tmp_path / "hdl"
    shutil.copytree(GATEWARE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "GATEWARE", folder)
    sources._gateware.cache_clear()
    yield folder
    sources._gateware.cache_clear()


CONFIG = GEOMETRIES["4x2"]


def edited(path: Path, text: str) -> int:
    """The design's digest with ``text`` behind a file, which is as before in the end."""
    before = path.read_text(encoding="utf-8")
    path.write_text(before + text, encoding="utf-8")
    sources._gateware.cache_clear()
    digest = design_digest(CONFIG)
    path.write_text(before, encoding="utf-8")
    return digest


def test_an_edit_of_any_gateware_makes_another_design(copied: Path) -> None:
    before, files = design_digest(CONFIG), gateware_files(copied)
    assert len({path.parent for path in files}) > 3
    for path in files:
        assert edited(path, "\nx = 1\n") != before, path
        assert edited(path, "\n# why\n") == before, path
    (files[0].parent / "new.py").write_text("x = 1\n")
    sources._gateware.cache_clear()
    assert design_digest(CONFIG) != before


def test_names_of_engines_and_the_manual_make_no_other_design(copied: Path) -> None:
    before = design_digest(CONFIG)
    for name in NAMES_ALONE:
        assert edited(copied / name, "\nx = 1\n") == before
    assert not Path(manual.__file__).is_relative_to(GATEWARE)
    named = [path for path in copied.rglob("*.py") if "markdown" in path.read_text().lower()]
    assert named == []


def test_a_simulated_engine_is_kept_under_its_design(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an edit of a file at any depth leaves is never served again."""
    asked: list[tuple[str, ...]] = []

    def cached(name: str, parts: tuple[str, ...], make: object) -> Path:
        asked.append(parts)
        return Path(__file__)

    monkeypatch.setattr(verilated, "cached", cached)
    monkeypatch.setattr(whole_device, "cached", cached)
    signature = whole_device.memory_signature(CONFIG, 1 << 20)
    deep = copied / "memory" / "reader.py"
    for text in ("", "# why\n", "x = 1\n"):
        deep.write_text(deep.read_text(encoding="utf-8") + text, encoding="utf-8")
        sources._gateware.cache_clear()
        verilated._verilog(CONFIG)
        whole_device._verilog(CONFIG, signature, 1 << 20, None)
    engines, devices = asked[::2], asked[1::2]
    for first, commented, changed in (engines, devices):
        assert first == commented != changed


def test_what_stands_around_a_device_makes_another_design() -> None:
    assert len({design_digest(CONFIG, around) for around in (b"", b"a", b"b")}) == 3
