"""`zipsgd bench cycles`: what is promised holds, and a broken promise is told."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from zipsgd.host.bench import cycles as bench_cycles
from zipsgd.host.bench import equal_loss as bench_equal_loss
from zipsgd.host.bench.cycles import CASES, beside, check, check_full_rate, full_rate, measure
from zipsgd.host.bench.equal_loss import WIDTHS, equal_loss, first_bits, nearest, twice
from zipsgd.host.bench.peers import mlweaving, zipml_pynq, zipml_xeon
from zipsgd.host.bench.simulator import synthetic
from zipsgd.host.devices.open import open_device
from zipsgd.host.errors import MismatchError
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import prepare, train


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.options.lanes} lanes")
def test_every_case_keeps_its_promise(case: bench_cycles.Case) -> None:
    """Simulated where the engine of other tests is at hand, compiled golden model elsewhere."""
    lanes = case.options.lanes
    one = measure(replace(case, device="sim-engine" if lanes == 16 else "fast"))
    check(one)
    if lanes == 16:
        assert one.beats / one.cycles >= 0.9  # exact mini-batches of 256
    else:
        assert one.cycles / bench_cycles.SAMPLES <= (6.7 if case.features == 784 else 6.5)


def test_a_further_sample_takes_six_and_a_half_cycles() -> None:
    """d = 90, 16 x 4, simulated: what fills and drains the engine cancels out."""
    cycles = []
    with closing(open_device("sim-engine", Options().config)) as engine:
        for samples in (400, 800):
            task = prepare(synthetic(samples), Options(epochs=1, step=2.0**-12))
            (epoch,) = train(task, engine)
            cycles.append(epoch.counters.cycles)
    assert cycles[1] - cycles[0] == 400 * 6.5


def test_delay_two_runs_at_full_rate() -> None:
    check_full_rate()
    assert len(list(full_rate())) > 60


def test_missed_targets_are_told() -> None:
    one = measure(replace(CASES[2], device="fast"))
    with pytest.raises(MismatchError, match=r"the targets are 6\.6 and 0\.99"):
        check(replace(one, case=replace(one.case, most_cycles=6.6)))
    with pytest.raises(MismatchError, match=r"0\.998\d; the targets are 6\.7 and 0\.999"):
        check(replace(one, case=replace(one.case, least_utilisation=0.999)))
    with pytest.raises(MismatchError, match="were measured and"):
        check(replace(one, cycles=one.cycles - 1))


def test_the_published_engines_take_what_was_measured() -> None:
    """The table of measurements that the formulas come from."""
    pynq = [zipml_pynq(784, bits) for bits in (1, 2, 4, 8, 32)]
    assert pynq == [14, 26, 50, 99, 393]
    assert [zipml_xeon(784, bits) for bits in (2, 4, 8)] == [7, 13, 25]
    assert [zipml_xeon(90, bits) for bits in (2, 4, 8)] == [1, 2, 3]
    batches = [round(mlweaving(784, 8, batch), 1) for batch in (8, 64, 256)]
    assert batches == [19.4, 14.0, 13.4]


def test_rows_beside_them() -> None:
    rows = {(row["beat_width"], row["features"], row["bits"]): row for row in beside()}
    here = rows[512, 784, 4]
    assert here["geometry"] == "64 x 8"
    assert (
        float(here["cycles_a_sample"]) < 6.7 < float(here["mlweaving"]) < float(here["zipml_xeon"])
    )
    assert (
        float(rows[64, 90, 4]["fewest_cycles_a_sample"])
        < 6.5
        < float(rows[64, 90, 4]["zipml_pynq"])
    )
    json.dumps(list(rows.values()))


def test_equal_loss_takes_fewer_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    widths = (WIDTHS[0],)
    ours, pynq = equal_loss(widths, samples=2_048)
    assert ours.reaches and pynq.reaches
    assert (ours.bits, round(ours.cycles_a_sample, 2)) == (4, 6.5)
    assert (pynq.bits, pynq.cycles_a_sample) == (4, 7)
    peer = replace(bench_equal_loss.PEERS[0], cycles=lambda features, bits: 5.0)
    monkeypatch.setattr(bench_equal_loss, "PEERS", (peer,))
    with pytest.raises(MismatchError, match=r"ZipML PYNQ takes 5\.00 cycles .* this engine 6\.50"):
        equal_loss(widths, samples=2_048)
    monkeypatch.setattr(bench_equal_loss, "BITS", (2,))
    with pytest.raises(MismatchError, match=r"2 bits end \d.* above float64 with 90 features"):
        equal_loss(widths, samples=2_048)


def test_each_reads_samples_in_its_own_way() -> None:
    v = np.linspace(-1, 1, 10_001)[:, None]
    first, second = nearest(v, 3, 0)
    assert first is second and np.abs(first - v).max() <= 1 / 6 + 1e-12
    first, second = twice(v, 3, 0)
    assert (first != second).any() and abs((first - v).mean()) < 0.01 > abs((second - v).mean())
    assert np.abs(first - v).max() < 1 / 3
    first, second = first_bits(v, 3, 0)
    assert first is second and sorted(set(first.ravel())) == [k / 4 - 1 for k in range(8)]
    assert (v - first).min() == 0 and (v - first)[:-1].max() < 1 / 4
