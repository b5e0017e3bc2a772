from __future__ import annotations

import pytest

from zipsgd.host.bench import host as bench_host


def test_every_stage_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_host, "SAMPLES", 50)
    monkeypatch.setattr(bench_host, "RUNS", 1)
    stages = bench_host.measure()
    assert [stage.name for stage in stages] == [
        *("parse", "read", "scale", "round", "round and weave", "pack", "open packed"),
        "train (fast)",
    ]
    assert all(stage.ours_s > 0 and stage.amount > 0 and stage.rate > 0 for stage in stages)
    assert bench_host._table(stages).row_count == len(stages)
