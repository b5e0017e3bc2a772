"""A part that an engine is built without leaves nothing, and presets stay what they are."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import EPOCH_PARTS, PARTS, Epoch, Job, Step
from zipsgd.hdl.contract.parameters import Loss
from zipsgd.hdl.contract.presets import ENGINES
from zipsgd.hdl.contract.protocol import (
    epoch_fields,
    epoch_layout,
    job_fields,
    job_layout,
    pack_epoch,
    pack_job,
    token_layout,
)
from zipsgd.hdl.engine.engine import Engine
from zipsgd.hdl.lib.verilog import to_verilog

PINNED = Path(__file__).with_name("presets.sha256")
"""A line a preset: SHA-256 of its Verilog, and its name."""

WITHOUT: dict[str, dict[str, Any]] = {
    "sample_words": {"sample_words": False},
    "regularisation": {"regularisation": False},
    "coarsening": {"coarsening": False},
    "uses_margin_variance": {"losses": (Loss.LEAST_SQUARES, Loss.HINGE)},
}


@pytest.mark.parametrize("part", WITHOUT)
def test_fields_of_a_part_exist_with_it_alone(part: str) -> None:
    config = replace(EngineConfig(), **WITHOUT[part])
    assert not getattr(config, part)
    kinds = (
        (job_layout, job_fields, PARTS),
        (epoch_layout, epoch_fields, EPOCH_PARTS),
    )
    for layout, fields, parts in kinds:
        assert list(layout(EngineConfig()).members) == list(fields(EngineConfig()))
        absent = parts.get(part, ())
        assert [n for n in fields(config) if n not in absent] == list(layout(config).members)
    assert ("word" in token_layout(config).members) == config.sample_words


def test_every_part_is_tested() -> None:
    assert WITHOUT.keys() == PARTS.keys() | EPOCH_PARTS.keys()


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_packed_comes_back(name: str) -> None:
    config = ENGINES[name]
    job = Job(
        epochs=(Epoch(step=Step.nearest(2.0**-6, config), margin_variance=0.5),),
        bits=config.max_bits,
        chunks=1,
        groups=3,
        batch_groups=2,
        delay=1,
        sync=True,
        corrected=True,
        seed=5,
    )
    seen = job_layout(config).from_bits(pack_job(config, job))
    values = {**vars(job), "epochs": 1}
    assert {n: int(seen[n]) for n, _ in job_layout(config)} == {
        n: int(values[n]) for n, _ in job_layout(config)
    }
    (epoch,) = job.epochs
    shown = epoch_layout(config).from_bits(pack_epoch(config, job, epoch))
    assert shown.correction == job.correction(config, epoch)
    assert not config.uses_margin_variance or shown.variance == epoch.variance()


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="Amaranth names some signals by the version of Python"
)
def test_verilog_of_presets_is_pinned() -> None:
    """An engine that changes is simulated, placed and routed again; let no other change.

    Where a change is meant, the lines that this test prints go into the file, and into the commit's
    body the names of the engines and why they changed.
    """
    lines = []
    for name, config in ENGINES.items():
        digest = hashlib.sha256(to_verilog(Engine(config), "zipsgd_engine").encode()).hexdigest()
        lines.append(f"{digest}  {name}\n")
    assert "".join(lines) == PINNED.read_text(encoding="utf-8")
