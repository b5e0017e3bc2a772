"""The planner: its cycles are the simulated engine's, its choice follows its rule."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.geometries import GEOMETRIES
from zipsgd.host.cli.app import app
from zipsgd.host.codes.weaving import weave
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.devices.open import open_device
from zipsgd.host.errors import InputError
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import prepare, train
from zipsgd.host.training.planner import NEAR, Candidate, candidate, plan
from zipsgd.sim.verilated import VerilatedEngine
from zipsgd.sim.whole_device import FIRST_WORD_CYCLES

DIABETES, CANCER = "sklearn:diabetes", "sklearn:breast_cancer"


@pytest.mark.parametrize(
    ("geometry", "samples", "features", "options"),
    [
        ("4x2", 41, 7, {"bits": 4, "delay": 2}),
        ("4x2", 41, 7, {"bits": 3, "delay": 1}),
        ("4x2", 40, 29, {"bits": 8, "delay": 4, "batch": 8}),
        ("4x2", 40, 3, {"bits": 2, "delay": 3, "batch": 10, "sync": True}),
        ("16x1", 30, 40, {"bits": 5, "delay": 3}),
        ("16x1", 30, 10, {"bits": 4, "delay": 2, "batch": 7, "sync": True}),
        ("16x4", 90, 63, {"bits": 4, "delay": 2}),
        ("16x4", 90, 15, {"bits": 8, "delay": 8, "batch": 24, "sync": True}),
        ("16x4", 256, 31, {"bits": 4, "delay": 2, "batch": 64, "sync": True}),
        ("64x1", 20, 100, {"bits": 6, "delay": 1}),
        ("64x1", 20, 20, {"bits": 4, "delay": 2, "batch": 3, "sync": True}),
        ("4x2", 41, 7, {"bits": 4, "delay": 2, "sample_weight": "w"}),
        ("16x4", 90, 63, {"bits": 4, "delay": 2, "batch": 24, "sync": True, "sample_weight": "w"}),
        ("64x1", 20, 20, {"bits": 4, "delay": 2, "loss": "hinge", "class_weight": "balanced"}),
    ],
)
def test_predicted_cycles_and_beats_are_those_of_the_simulated_engine(
    geometry: str, samples: int, features: int, options: dict[str, Any]
) -> None:
    config, rng = GEOMETRIES[geometry], np.random.default_rng(0)
    planned = candidate(
        Options(lanes=config.lanes, banks=config.banks, **options), samples, features
    )
    codes = rng.integers(-1, 2, (samples, features))
    weights = rng.integers(0, 99, samples) if planned.options.weighted else None
    woven = weave(codes, rng.integers(-9, 9, samples), planned.job.bits, config, weights=weights)
    with VerilatedEngine(config) as engine:
        engine.load(np.zeros(woven.chunks * config.lanes, dtype=np.int64))
        counters = engine.run(planned.job, woven.beats)
    assert (counters.cycles, counters.beats) == (planned.cycles, planned.beats)


@pytest.mark.parametrize(("device", "first_word"), [("sim-engine", 0), ("sim", FIRST_WORD_CYCLES)])
@pytest.mark.parametrize("more", [(), ("--batch", "64", "--sync")])
def test_the_plan_of_a_data_set_is_what_training_on_it_takes(
    more: tuple[str, ...], device: str, first_word: int
) -> None:
    """With the default geometry and the default holdout."""
    done = CliRunner().invoke(app, ["plan", DIABETES, "--beat-width", "64", "--json", *more])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    (planned,) = (one for one in record["candidates"] if one["lanes"] == 16)
    batch = 64 if more else None
    options = Options(epochs=1, delay=planned["delay"], batch=batch, sync=bool(more))
    task = prepare(read_dataset(DIABETES), options)
    assert (record["samples"], record["features"]) == (len(task.train.y), 10)
    with closing(open_device(device, options.config)) as engine:
        (epoch,) = train(task, engine)
    assert epoch.counters.cycles == planned["cycles"] + first_word
    assert epoch.counters.beats == planned["beats"]
    assert epoch.counters.beats / planned["cycles"] == planned["utilisation"]
    assert task.copies[0].beats.nbytes == planned["stream_bytes"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "logistic", "class_weight": "balanced"},
        {"sample_weight": "mean smoothness"},
        {"loss": "hinge", "class_weight": "balanced", "sample_weight": "mean smoothness"},
    ],
)
def test_weights_are_planned_as_they_are_trained(changes: dict[str, Any]) -> None:
    """A column of weights is no feature, and every sample has a word more."""
    named = [(f"--{name.replace('_', '-')}", value) for name, value in changes.items()]
    command = ["plan", "--beat-width", "64", "--json", *(word for pair in named for word in pair)]
    done = CliRunner().invoke(app, [*command, CANCER])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    (planned,) = (one for one in record["candidates"] if one["lanes"] == 16)
    task = prepare(read_dataset(CANCER), Options(epochs=1, delay=planned["delay"], **changes))
    assert (record["samples"], record["features"]) == (len(task.train.y), len(task.feature_names))
    assert record["weighted"] == (changes != {})
    with closing(open_device("sim-engine", task.config)) as engine:
        (epoch,) = train(task, engine)
    assert (epoch.counters.cycles, epoch.counters.beats) == (planned["cycles"], planned["beats"])
    # The same shape without data.
    features, samples = str(record["features"]), str(record["samples"])
    done = CliRunner().invoke(app, [*command, "--features", features, "--samples", samples])
    assert json.loads(done.stdout) == record


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([CANCER, "--sample-weight", "mean area"], "must lie between 0 and"),
        ([CANCER, "--sample-weight", "weight"], "no column 'weight' for --sample-weight"),
        ([CANCER, "--class-weight", "balanced"], "--class-weight needs two classes"),
        ([DIABETES, "--loss", "logistic"], "has labels of more than two values"),
        (
            ["--features", "9", "--samples", "99", "--sample-weight", "w", "--engine", "rapid"],
            "built without sample_words",
        ),
    ],
)
def test_what_train_refuses_is_not_planned(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["plan", "--beat-width", "64", *arguments])
    assert done.exit_code == 2
    assert says in done.output


def test_a_packed_set_has_no_weights(tmp_path: Path) -> None:
    packed = str(tmp_path / "cancer.zsgd")
    assert CliRunner().invoke(app, ["data", "pack", CANCER, "-o", packed]).exit_code == 0
    command = ["plan", packed, "--beat-width", "64", "--json"]
    record = json.loads(CliRunner().invoke(app, command).stdout)
    assert (record["samples"], record["features"]) == (455, 30)
    done = CliRunner().invoke(app, [*command, "--sample-weight", "mean smoothness"])
    assert done.exit_code == 2
    assert "--sample-weight comes too late; name the original data" in done.output


def test_a_packed_set_is_planned_as_it_was_packed(tmp_path: Path) -> None:
    """At its bits; an engine of another geometry wants it packed again."""
    packed = str(tmp_path / "d.zsgd")
    geometry = ["--bits", "3", "--lanes", "8", "--banks", "4"]
    done = CliRunner().invoke(app, ["data", "pack", DIABETES, "-o", packed, *geometry])
    assert done.exit_code == 0, done.output
    command = ["plan", packed, "--json", "--beat-width"]
    record = json.loads(CliRunner().invoke(app, [*command, "64", "--bits", "3"]).stdout)
    assert (record["bits"], record["chosen"]["lanes"]) == (3, 4)
    assert record["why"][-1] == (
        "diabetes is packed for lanes = 8 and the engine has 4; pack it again for this engine."
    )
    record = json.loads(CliRunner().invoke(app, [*command, "32", "--batch", "4"]).stdout)
    assert (record["bits"], record["chosen"]["lanes"], record["chosen"]["banks"]) == (3, 8, 4)
    assert "pack it again" not in " ".join(record["why"])
    for arguments, says in [
        (["--bits", "4"], "is packed with --bits 3 and the command line says --bits 4"),
        (["--holdout", "0.9"], "is packed with --holdout 0.2 and the command line says --holdout"),
        (["--target", "y"], "is packed; leave out the options on how to read data"),
        (["--impute"], "is packed; leave out the options on how to read data"),
    ]:
        done = CliRunner().invoke(app, [*command, "64", *arguments])
        assert done.exit_code == 2 and says in done.stderr and not done.stdout


@pytest.mark.parametrize(
    "option", [["--target", "y"], ["--drop-constant"], ["--one-hot", "a"], ["--holdout", "0.2"]]
)
def test_without_data_no_option_is_about_them(option: list[str]) -> None:
    shape = ["--features", "10", "--samples", "500"]
    done = CliRunner().invoke(app, ["plan", "--beat-width", "64", *shape, *option])
    assert done.exit_code == 2 and not done.stdout
    assert f"{option[0]} is about DATA, and --features and --samples stand in" in done.stderr


@pytest.mark.parametrize("width", [16, 64, 512])
@pytest.mark.parametrize("options", [Options(), Options(bits=8, batch=512, sync=True)])
def test_the_choice_follows_the_rule(width: int, options: Options) -> None:
    found = plan(options, width, samples=20_000, features=90)
    assert len(found.candidates) + len(found.refused) == width.bit_length() - 1
    fewest = min(one.cycles for one in found.candidates)
    near = [one for one in found.candidates if one.cycles <= (1 + NEAR) * fewest]
    assert found.chosen in near
    assert found.chosen.in_flight == min(one.in_flight for one in near)
    for one in found.candidates:
        assert one.config.beat_bits == width
        one.job.check(one.config)
        deepest = one.config.replay_beats // (one.job.chunks * one.job.bits)
        for delay in range(1, min(one.config.max_delay, deepest) + 1):
            other = candidate(replace(one.options, delay=delay), 20_000, 91)
            assert (other.cycles, delay) >= (one.cycles, one.job.delay)


@pytest.mark.parametrize("sync", [False, True])
def test_no_more_samples_are_in_flight_than_an_epoch_has(sync: bool) -> None:
    found = plan(Options(batch=4_000_000_000_000, sync=sync), 64, samples=320, features=5)
    assert not found.refused
    assert {one.in_flight for one in found.candidates} == {320}
    assert all(one.job.batch_groups == one.job.groups for one in found.candidates)


@pytest.mark.parametrize(("more", "batches"), [([], 1), (["--batch", "512", "--sync"], 7_812_500)])
def test_large_numbers_are_planned_at_once(more: list[str], batches: int) -> None:
    """Neither groups nor delays are gone through one by one."""
    large = ["--features", "90", "--samples", "4000000000"]
    engine = ["--engine", "default,max_delay=1000000000,replay_beats=1073741824"]
    began = time.process_time()
    command = ["plan", "--beat-width", "64", "--json", *large, *engine, *more]
    record = json.loads(CliRunner().invoke(app, command).stdout)
    assert time.process_time() - began < 5
    wide = next(one for one in record["candidates"] if one["lanes"] == 64)
    # 2 chunks x 4 bits + 1 = 9 beats, 10 cycles a slot; 4 empty slots end whatever has an end.
    assert (wide["beats"], wide["delay"]) == (9 * 4_000_000_000, 4)
    assert wide["cycles"] == 10 * (4_000_000_000 + 4 * batches)


def test_the_reasons_name_what_decided() -> None:
    why = " ".join(plan(Options(), 512, 60_000, 784).why)
    assert "13 chunks x 4 bits + 1 for labels = 53 beats" in why
    assert "32 x 16 takes 4.7% fewer cycles, but computes the gradients of 48 samples" in why
    assert "Delay 2, because" in why
    why = " ".join(plan(Options(), 64, 50, 10).why)
    assert "4 x 16 takes as many cycles, but computes the gradients of 48 samples" in why
    why = " ".join(plan(Options(sample_weight="w"), 512, 60_000, 784).why)
    assert "25 chunks x 4 bits + 2 for labels and weights = 102 beats" in why
    why = " ".join(plan(Options(batch=32, sync=True), 64, 60_000, 90).why)
    assert "empty slots end every mini-batch" in why
    why = " ".join(plan(Options(banks=1, batch=1), 64, 60_000, 20).why)
    assert "must pass before a model word that was read may be read again" in why
    why = " ".join(plan(Options(), 64, 64, 90).why)
    assert re.search(r"\d empty slots end an epoch of only \d+ groups", why)


@pytest.mark.parametrize(
    ("engine", "limits"),
    [
        ("complete,max_delay=2", "max_delay = 2"),
        ("complete,replay_beats=32", "replay_beats = 32"),
        ("complete,max_delay=2,replay_beats=32", "max_delay = 2 and replay_beats = 32"),
    ],
)
@pytest.mark.parametrize("sync", [{"batch": 1}, {"batch": 601, "sync": True}])
def test_the_limit_that_keeps_slots_waiting_is_named(
    engine: str, limits: str, sync: dict[str, Any]
) -> None:
    """2 chunks of 8 bits and a label beat, errors 32 cycles later: 3 slots of 17 cycles."""

    def chosen(engine: str) -> tuple[Candidate, str]:
        found = plan(Options(engine=engine, bits=8, banks=1, **sync), 64, 60_000, 100)
        return found.chosen, found.why[-1]

    one, why = chosen(engine)
    assert (one.name, one.job.delay, one.least_delay) == ("64 x 1", 2, 3)
    assert why == f"Delay 3 would hide the whole wait, but the engine has {limits}."
    assert chosen("complete")[0].job.delay == 3


@pytest.mark.parametrize(
    ("samples", "sync", "runs"), [(1, False, "an epoch"), (100, True, "mini-batches")]
)
def test_a_wait_that_no_delay_hides_is_no_limit_of_the_engine(
    samples: int, sync: bool, runs: str
) -> None:
    found = plan(Options(banks=1, batch=1, sync=sync), 64, samples, 90)
    assert found.chosen.job.delay == 1
    assert found.why[-2].startswith("No longer delay that the engine takes is faster than 1")
    assert found.why[-1] == f"No delay makes up for that wait in {runs} of only 1 groups."


def test_any_engine_is_planned_for() -> None:
    """Even one that does not take the delay that train has by default."""
    command = ["plan", "--engine", "rapid,max_delay=1", "--beat-width", "64", "--json"]
    done = CliRunner().invoke(app, [*command, "--features", "90", "--samples", "60000"])
    assert done.exit_code == 0, done.output
    assert {one["delay"] for one in json.loads(done.stdout)["candidates"]} == {1}


def test_limits_of_the_engine_are_kept_and_named() -> None:
    found = plan(Options(bits=8, batch=48), 64, 1_000, 1_020)
    refused = {one.lanes: one.reason for one in found.refused}
    assert "this engine takes 512 (64 chunks of 8 lanes)" in refused[8]
    assert "must be a multiple of the 32 banks" in refused[2]
    deep = next(one for one in found.candidates if one.options.lanes == 16)
    assert deep.replay_beats == deep.job.delay * 64 * 8 <= deep.config.replay_beats
    with pytest.raises(InputError, match=r"no engine with beats of 64 bits .* 64 lanes x 1 banks"):
        plan(Options(), 64, 1_000, 5_000)
    with pytest.raises(InputError, match="--beat-width is 48; it must be a power of two"):
        plan(Options(), 48, 1_000, 10)


def test_memory_is_counted_and_limited() -> None:
    one = candidate(Options(lanes=16, banks=4, delay=2), 1_000, 91)
    assert one.replay_beats == 2 * 6 * 4
    assert one.replay_bits == 64 * 64  # the next power of two beats of 64 bits
    assert one.model_bits == 2 * 8 * 16 * 24  # x and acc, 8 chunks of 16 words
    found = plan(Options(), 64, 1_000, 90, memory_bits=one.replay_bits + one.model_bits)
    delays = {kept.options.lanes: kept.job.delay for kept in found.candidates}
    assert delays.keys() == {8, 16, 32, 64} and delays[8] == 1, "8 x 8 takes 14 kbit at delay 2"
    assert "--memory allows 10" in found.refused[0].reason


@pytest.mark.parametrize(("memory", "delay"), [(52, 1), (54, 1), (56, 2)])
def test_a_delay_that_memory_does_not_hold_gives_way_to_a_shorter_one(
    memory: int, delay: int
) -> None:
    found = plan(Options(), 64, 60_000, 784, memory * 1024)
    assert (found.chosen.name, found.chosen.job.delay) == ("64 x 1", delay)
    for one in found.candidates:
        assert one.memory_bits <= memory * 1024
    if delay == 1:
        assert found.why[-2].startswith(
            "No longer delay that the engine takes and --memory allows is faster than 1: "
        )
        assert found.why[-1] == (
            f"Delay 2 would hide the whole wait, but --memory allows {memory} kbit."
        )
    with pytest.raises(InputError, match="model need 52 kbit and --memory allows 51"):
        plan(Options(), 64, 60_000, 784, 51 * 1024)


def test_limits_of_engine_and_memory_are_both_named() -> None:
    options = Options(engine="complete,max_delay=2", bits=8, banks=1, batch=1)
    without = plan(options, 64, 60_000, 100)
    found = plan(options, 64, 60_000, 100, without.chosen.memory_bits)
    assert (found.chosen.name, found.chosen.job.delay) == ("64 x 1", 2)
    assert found.why[-1] == (
        "Delay 3 would hide the whole wait, but the engine has max_delay = 2 and --memory allows "
        f"{found.chosen.memory_bits / 1024:.0f} kbit."
    )


@pytest.mark.parametrize("memory", ["-5", "0"])
def test_memory_that_is_none_is_refused_as_such(memory: str) -> None:
    command = ["plan", "--beat-width", "64", "--features", "90", "--samples", "1000"]
    wrong = CliRunner().invoke(app, [*command, "--memory", memory])
    assert wrong.exit_code == 2
    assert f"--memory is {memory} kbit; an engine needs some, so make it 1 or more" in wrong.output


def test_a_table_for_people_and_sentences_for_mistakes() -> None:
    run = CliRunner()
    shape = ["--features", "784", "--samples", "60000"]
    done = run.invoke(app, ["plan", "--beat-width", "512", *shape])
    assert ">    64 x 8     2" in done.stdout
    assert "--lanes 64 --banks 8 --delay 2\n- A group of 8" in done.stdout
    for arguments in (["--features", "8"], [DIABETES, *shape], []):
        wrong = run.invoke(app, ["plan", "--beat-width", "64", *arguments])
        assert wrong.exit_code == 2
        assert "name DATA, or give both --features and --samples" in wrong.output
