"""Settings that every test shares, the choice of long tests, and what each test takes."""

from __future__ import annotations

import os
import random
import secrets
import signal
from pathlib import Path

import pytest
from hypothesis import settings

SEED_VARIABLE = "ZIPSGD_SAMPLE_SEED"

# Machines differ in speed; a failing example prints the line that repeats it.
settings.register_profile("zipsgd", deadline=None, print_blob=True)
settings.load_profile("zipsgd")

# A shell starts what it puts in the background with Ctrl-C ignored; tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

taken_s: dict[str, float] = {}
"""What each test has taken so far, with its fixtures."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sample", type=int, help="run so many of the tests, drawn at random")
    parser.addoption("--durations-file", type=Path, help="write what each test took, in seconds")


def pytest_configure(config: pytest.Config) -> None:
    """Draw the sample's seed where the run begins: workers inherit it and draw alike."""
    if config.getoption("--sample") is not None:
        os.environ.setdefault(SEED_VARIABLE, str(secrets.randbits(32)))


def pytest_report_header(config: pytest.Config) -> list[str]:
    count = config.getoption("--sample")
    if count is None:
        return []
    seed = os.environ[SEED_VARIABLE]
    return [f"a sample of {count} tests; the same again: {SEED_VARIABLE}={seed} make test-sample"]


@pytest.hookimpl(trylast=True)  # what is deselected by mark or name is not drawn
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    count = config.getoption("--sample")
    if count is None:
        return
    draw = random.Random(int(os.environ[SEED_VARIABLE]))
    drawn = set(draw.sample(sorted(item.nodeid for item in items), min(count, len(items))))
    left_out = [item for item in items if item.nodeid not in drawn]
    items[:] = [item for item in items if item.nodeid in drawn]
    config.hook.pytest_deselected(items=left_out)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    taken_s[report.nodeid] = taken_s.get(report.nodeid, 0.0) + report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    path: Path | None = session.config.getoption("--durations-file")
    if path is None or hasattr(session.config, "workerinput"):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    slowest = sorted(taken_s.items(), key=lambda each: -each[1])
    lines = (f"{seconds:.2f} {name}\n" for name, seconds in slowest)
    path.write_text("".join(lines), encoding="utf-8")
