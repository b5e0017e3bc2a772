"""``zipsgd --help`` answers at once: it imports the standard library, typer and option tables."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

OURS = {
    *("zipsgd", "zipsgd.host", "zipsgd.host.cli", "zipsgd.host.options"),
    *(
        "zipsgd.host.cli.bench",
        "zipsgd.host.cli.boards",
        "zipsgd.host.options.choices",
        "zipsgd.host.cli.app",
        "zipsgd.host.cli.common",
        "zipsgd.host.cli.data",
    ),
    *("zipsgd.host.cli.doctor", "zipsgd.host.options.engine_choice"),
    *("zipsgd.host.errors", "zipsgd.host.json_lines", "zipsgd.host.options.options"),
    *("zipsgd.host.cli.plan", "zipsgd.host.cli.predict", "zipsgd.host.cli.report"),
    *(
        "zipsgd.hdl",
        "zipsgd.hdl.contract",
        "zipsgd.hdl.contract.config",
        "zipsgd.hdl.contract.parameters",
        "zipsgd.hdl.contract.presets",
        "zipsgd.hdl.contract.formats",
        "zipsgd.hdl.contract.generators",
    ),
}
OTHERS = {
    *("typer", "typer_slim", "click", "rich", "shellingham", "annotated_doc", "typing_extensions"),
    *("markdown_it", "mdurl", "pygments", "colorama", "attr"),
    *("pydantic", "pydantic_core", "annotated_types", "typing_inspection"),  # typer's
}
"""All that it may import from outside the standard library."""

LEAST_PROGRAM = """
import typer

def nothing(number: int = 1) -> None:
    pass

typer.run(nothing)
"""
MOST_TIMES = 2.5
"""How much longer help may take than that of a program of one option; 1.5 was measured."""

PROGRAM = """
import sys
before = set(sys.modules)
from zipsgd.host.cli.app import main
sys.argv = ["zipsgd", *{arguments}]
try:
    main()
except SystemExit as done:
    assert done.code in (0, None), done
print("\\n", *sorted(set(sys.modules) - before), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["data", "--help"]])
def test_help_imports_only_what_it_shows(arguments: list[str]) -> None:
    program = PROGRAM.format(arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert "Usage" in done.stdout
    names = done.stderr.split()
    packages = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    packages = {name for name in packages if not name.startswith("_sysconfigdata")}
    assert packages - {"zipsgd"} <= OTHERS
    assert {name for name in names if name.partition(".")[0] == "zipsgd"} <= OURS


def test_help_is_fast() -> None:
    """CPU time, the best of a few runs in turn: other work on the machine slows single ones."""

    def run(program: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-c", program, "--help"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    programs = "from zipsgd.host.cli.app import main; main()", LEAST_PROGRAM
    ours, least = zip(*(map(run, programs) for _ in range(6)), strict=True)
    assert min(ours) < MOST_TIMES * min(least)
