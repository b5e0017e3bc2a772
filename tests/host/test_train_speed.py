"""From text to a model in seconds, on a machine where nothing is compiled or cached yet."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

SAMPLES, FEATURES = 59_535, 8
"""As many as cod-rna has."""

MOST_UNITS = 20.0
"""CPU time, in that of `unit_s`; 14 were measured. Compiling takes most of it."""


def unit_s() -> float:
    """CPU time of a fixed piece of Python: cores are shared, and as fast as their neighbours let
    them be."""
    before = time.process_time()
    assert sum(len(str(number)) for number in range(5_000_000)) > 0
    return time.process_time() - before


def test_text_to_model_from_a_fresh_start(tmp_path: Path) -> None:
    """CPU time, beside that of other work before and after."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(SAMPLES, FEATURES)).round(6).tolist()
    lines = (
        f"{1 if row[0] > 0 else -1} " + " ".join(f"{j}:{x}" for j, x in enumerate(row, 1))
        for row in table
    )
    data, model = tmp_path / "a.svm.gz", tmp_path / "m.json"
    data.write_bytes(gzip.compress("\n".join(lines).encode(), compresslevel=1))
    environment = {
        **os.environ,
        "ZIPSGD_CACHE": str(tmp_path / "packed"),
        "NUMBA_CACHE_DIR": str(tmp_path / "compiled"),
    }
    program = "from host.cli import main; main()"
    options = ("--device", "fast", "--bits", "4", "--epochs", "10", "-o", str(model))
    units = [unit_s()]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", program, "train", str(data), *options],
        env=environment,
        check=True,
        capture_output=True,
        timeout=120,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert model.exists() and list((tmp_path / "compiled").iterdir())
    units.append(unit_s())
    taken_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert taken_s < MOST_UNITS * sum(units) / len(units)
