"""Rooms stay what they are: which imports which, how full they are, how docstrings begin."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.rooms import MAY_IMPORT, PARTS, ROOT, imports, modules, sizes, tree

MOST_MODULES = {"package": 20, "tests": 40}
FRAGMENT = re.compile(r"(What|Of|The same|Those|That of)\b")
FRAGMENTS = Path(__file__).with_name("fragments.txt")
"""Files with docstrings that begin with a fragment, and how many: the file may only get shorter."""


def test_a_room_imports_what_it_may_and_no_more_is_allowed() -> None:
    found: dict[str, set[str]] = {path.parent.as_posix(): set() for path in modules()}
    for each in imports():
        assert each.target in MAY_IMPORT.get(each.source, set()), (
            f"{each.path}:{each.line}: {each.source} may not import {each.target}; "
            "see MAY_IMPORT in tests/rooms.py"
        )
        found[each.source].add(each.target)
    found = {room: targets for room, targets in found.items() if room in MAY_IMPORT or targets}
    assert found == MAY_IMPORT


def test_there_is_no_circle() -> None:
    order = list(TopologicalSorter(MAY_IMPORT).static_order())
    assert order[0] == "hdl/contract" or not MAY_IMPORT[order[0]]
    assert set(order) == set(MAY_IMPORT)


def test_no_folder_is_too_full() -> None:
    for kind, tops in (("package", PARTS), ("tests", ("tests",))):
        for folder, lines in sizes(*tops).items():
            assert len(lines) <= MOST_MODULES[kind], f"{folder} has {len(lines)} modules"


def test_a_class_has_a_name_of_its_own() -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners[node.name].append(path.as_posix())
    assert {name: paths for name, paths in owners.items() if len(paths) > 1} == {}


def test_no_two_modules_differ_by_an_s() -> None:
    names = {path.stem for path in modules()}
    assert {name for name in names if f"{name}s" in names} == set()


def fragments() -> dict[str, int]:
    """Count the docstrings of each file that begin with a fragment."""
    found = {}
    for path in modules():
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docs = (ast.get_docstring(node) for node in ast.walk(tree(path)) if isinstance(node, kinds))
        count = sum(bool(doc and FRAGMENT.match(doc)) for doc in docs)
        if count:
            found[path.as_posix()] = count
    return found


def test_a_docstring_begins_with_a_verb_or_a_noun() -> None:
    rows = (line.split() for line in FRAGMENTS.read_text(encoding="utf-8").splitlines())
    known = {path: int(count) for count, path in rows}
    more = {path: count for path, count in fragments().items() if count > known.get(path, 0)}
    assert more == {}, f"docstrings that begin with {FRAGMENT.pattern}: say what it does, or is"
    fewer = {path: n for path, n in known.items() if fragments().get(path, 0) < n}
    assert fewer == {}, f"{FRAGMENTS.name} has files that are better now; lower their numbers"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_imported_under_one_name(part: str) -> None:
    link = ROOT / "zipsgd" / part
    assert link.is_symlink() and link.resolve() == (ROOT / part).resolve()
    past_it = re.compile(rf"^[ \t]*(from|import) {part}\b", re.MULTILINE)  # also in programs
    for path in (*modules(), *(ROOT / "tests").rglob("*.py")):
        assert not past_it.search((ROOT / path).read_text(encoding="utf-8")), path
