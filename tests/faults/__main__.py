"""``python -m tests.faults``: plant every fault and see that a testbench finds it.

Prints one line a fault. Exit codes: 0 every fault was found, 5 one was not, or a testbench fails
on the design as it is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.catalogue import FAULTS
from tests.faults.fault import Fault
from tests.faults.planting import SIMULATOR, Verdict, copy_project, find, run_testbench

NOT_FOUND = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", help="faults to plant; all if none is named")
    parser.add_argument("--list", action="store_true", help="list the faults and plant none")
    parser.add_argument(
        "--engine", action="store_true", help="run the engine's testbench, not the stage's"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {fault.name for fault in FAULTS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; see --list")
    faults = [fault for fault in FAULTS if not arguments.names or fault.name in arguments.names]
    if arguments.list:
        for fault in faults:
            say(f"{fault.name:20} hdl/{fault.stage}.py: {fault.what}")
        return 0
    return plant(faults, "engine/engine" if arguments.engine else None)


def plant(faults: list[Fault], testbench: str | None) -> int:
    say(f"simulator: {SIMULATOR}")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        root = copy_project(Path(folder))
        for stage, geometry in sorted({(testbench or f.testbench, f.geometry) for f in faults}):
            verdict = run_testbench(root, stage, geometry)
            failed |= verdict != Verdict.PASSED
            say(f"{'no fault':20} test_{stage} on {geometry}: {verdict.value}")
    for fault in faults:
        with tempfile.TemporaryDirectory() as folder:
            found = find(fault, Path(folder), testbench) == Verdict.FAILED
        failed |= not found
        place = f"test_{testbench or fault.testbench} on {fault.geometry}"
        say(f"{fault.name:20} {place}: {'found' if found else 'NOT FOUND'} ({fault.what})")
    return NOT_FOUND if failed else 0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
