from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.host.planted import FlippedBit
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Job
from zipsgd.host.codes.weaving import Woven, unweave
from zipsgd.host.data.dataset import Dataset
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.devices.open import find_device, open_device
from zipsgd.host.devices.software import GoldenDevice
from zipsgd.host.errors import BuildError, DeviceError, InputError, MismatchError, ToolMissingError
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import EpochResult, Task, compare, prepare, train, train_float
from zipsgd.sim import errors as sim_errors
from zipsgd.sim import verilated
from zipsgd.sim.golden import Counters, predict_cycles
from zipsgd.sim.whole_device import FIRST_WORD_CYCLES

DIABETES = read_dataset("sklearn:diabetes")


def golden(task: Task) -> list[EpochResult]:
    return list(train(task, GoldenDevice(task.config)))


def words(options: Options) -> list[list[int]]:
    return [epoch.words.tolist() for epoch in golden(prepare(DIABETES, options))]


def test_an_epoch_is_a_job_of_the_whole_training_part() -> None:
    options = Options(epochs=3, batch=16, delay=3, sync=True, step=0.03, seed=5)
    task = prepare(DIABETES, options)
    assert len(task.train.y) == 354
    for job in task.jobs:
        assert (job.bits, job.chunks, job.groups, job.batch_groups) == (4, 1, 89, 4)
        assert (job.delay, job.sync, job.corrected) == (3, True, True)
    sizes = [job.epochs[0].step.value for job in task.jobs]
    assert sizes == pytest.approx([0.03, 0.015, 0.01], rel=2.0 ** -EngineConfig().mantissa_bits)
    seeds = [int(np.random.SeedSequence([5, epoch]).generate_state(1)[0]) for epoch in (1, 2, 3)]
    assert [job.seed for job in task.jobs] == seeds


def test_chunks_count_the_intercept() -> None:
    assert prepare(DIABETES, Options(lanes=8)).jobs[0].chunks == 2
    narrow = replace(DIABETES, features=DIABETES.features[:, :8])
    assert prepare(narrow, Options(lanes=8)).jobs[0].chunks == 2
    narrow = replace(DIABETES, features=DIABETES.features[:, :7])
    assert prepare(narrow, Options(lanes=8)).jobs[0].chunks == 1


def test_copies_are_independent_and_used_in_turn() -> None:
    task = prepare(DIABETES, Options(epochs=5, copies=2))
    codes = [unweave(copy, task.config).codes for copy in task.copies]
    assert len(codes) == 2
    assert (codes[0] != codes[1]).any()

    used: list[int] = []

    class Watched(GoldenDevice):
        def run(self, job: Job, *copies: Woven) -> Counters:
            used.extend(task.copies.index(copy) for copy in copies)
            return super().run(job, *copies)

    list(train(task, Watched(task.config)))
    assert used == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("options", "copies"),
    [
        (Options(epochs=3, copies=8), 3),
        (Options(epochs=9, copies=8), 8),
        (Options(epochs=9, copies=8, rounding="nearest"), 1),
        (Options(epochs=9, copies=8, rounding="single"), 8),
    ],
)
def test_no_copy_is_made_that_would_not_be_used(options: Options, copies: int) -> None:
    assert len(prepare(DIABETES, options).copies) == copies


def test_only_double_rounding_is_corrected() -> None:
    corrected = {
        rounding: prepare(DIABETES, replace(Options(epochs=1), rounding=rounding)).jobs[0].corrected
        for rounding in ("double", "single", "nearest")
    }
    assert corrected == {"double": True, "single": False, "nearest": False}


def test_the_seed_decides_everything() -> None:
    options = Options(epochs=3)
    assert words(options) == words(options)
    assert words(options) != words(replace(options, seed=1))


def test_losses_are_those_of_the_unrounded_data() -> None:
    options = Options(epochs=2, bits=3)
    task = prepare(DIABETES, options)
    last = golden(task)[-1]
    model = task.model(last.words)
    for part, loss in ((task.train, last.losses.train), (task.heldout, last.losses.heldout)):
        margins = part.v @ (last.words[: part.v.shape[1]] / 2**16) * (3 / 4)
        assert loss == pytest.approx(np.mean((margins - part.y) ** 2) / 2)
    predicted = model.label_scaling.apply(model.predict(DIABETES.features))
    labels = model.label_scaling.apply(DIABETES.labels)
    together = len(task.train.y) * last.losses.train + len(task.heldout.y) * last.losses.heldout
    assert np.sum((predicted - labels) ** 2) / 2 == pytest.approx(together)


def test_scores() -> None:
    assert prepare(DIABETES, Options()).score_name == "R2"
    task = prepare(read_dataset("sklearn:breast_cancer"), Options(epochs=3))
    assert task.score_name == "accuracy"
    last = golden(task)[-1]
    score = last.losses.score
    margins = task.heldout.v @ task.model(last.words).weights
    assert score == np.mean(np.sign(margins) == task.heldout.y)
    assert score is not None and score > 0.85


def test_one_held_out_sample_has_no_r2() -> None:
    task = prepare(DIABETES, Options(epochs=1, holdout=0.001))
    assert len(task.heldout.y) == 1
    assert golden(task)[-1].losses.score is None


def test_float_baseline_is_textbook_sgd_and_ends_near_the_engine() -> None:
    task = prepare(DIABETES, Options(epochs=12, bits=8, batch=8, delay=1, sync=True))
    losses = list(train_float(task))
    assert len(losses) == 12
    assert losses[-1].train == pytest.approx(golden(task)[-1].losses.train, rel=2e-3)
    optimum = np.linalg.lstsq(task.train.v, task.train.y)[0].astype(np.float64)
    assert task.train.loss(optimum) < losses[-1].train < 1.05 * task.train.loss(optimum)


def test_double_sampling_ends_below_rounding_to_nearest() -> None:
    options = Options(epochs=40, copies=40, bits=3, step=2.0**-4)
    double = golden(prepare(DIABETES, options))[-1].losses.train
    nearest = golden(prepare(DIABETES, replace(options, rounding="nearest")))[-1].losses.train
    assert double < 0.985 * nearest


def test_counters_and_padding() -> None:
    task = prepare(DIABETES, Options(epochs=2))
    for epoch, job in zip(golden(task), task.jobs, strict=True):
        assert epoch.counters.cycles == predict_cycles(task.config, job)
        assert epoch.counters.beats == 89 * (4 + 2)
        assert epoch.utilisation == epoch.counters.beats / epoch.counters.cycles
        assert epoch.saturations == 0
        assert not epoch.words[11:].any()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Options(step=1e9), "step size 1e.09 is out of range"),
        (Options(step=1e-12), "step size 1e-12 is out of range"),
        (Options(epochs=40, step=2.0**-31), "epoch 17"),
        (Options(step=4.0), "too large for the correction at 4 bits"),
    ],
)
def test_what_the_engine_cannot_run_is_an_input_error(options: Options, says: str) -> None:
    with pytest.raises(InputError, match=says):
        prepare(DIABETES, options)


def test_too_deep_a_replay_is_an_input_error() -> None:
    rng = np.random.default_rng(0)
    wide = Dataset("wide", rng.normal(size=(20, 600)), rng.normal(size=20), ("",) * 600)
    with pytest.raises(InputError, match="replay buffer"):
        prepare(wide, Options(bits=8, delay=8))


def test_too_many_features_are_an_input_error() -> None:
    rng = np.random.default_rng(0)
    wide = Dataset("wide", rng.normal(size=(20, 1024)), rng.normal(size=20), ("",) * 1024)
    with pytest.raises(InputError, match="1025 features with its intercept"):
        prepare(wide, Options())


@pytest.fixture(scope="module")
def sim() -> Iterator[None]:
    """Compile the default device once, outside the tests' time."""
    with closing(open_device("sim", EngineConfig())):
        yield


BUNDLED = [f"sklearn:{name}" for name in ("breast_cancer", "diabetes", "digits", "iris", "wine")]
LARGER = Path(os.environ.get("ZIPSGD_DATA", Path(__file__).parents[4] / "shared" / "data"))
"""Where data sets may lie that are tested too if they are there; nothing depends on them."""


@pytest.mark.usefixtures("sim")
@pytest.mark.parametrize("source", BUNDLED + sorted(map(str, LARGER.glob("*.npz"))))
@pytest.mark.parametrize(
    "options",
    [
        Options(epochs=3),
        Options(epochs=2, bits=8, delay=1, rounding="nearest"),
        Options(epochs=2, bits=3, batch=12, sync=True, rounding="single"),
        Options(epochs=2, bits=2, batch=20, delay=8, step=0.2),
    ],
    ids=["default", "nearest", "sync", "rough"],
)
def test_golden_and_sim_agree_on_real_data(source: str, options: Options) -> None:
    task = prepare(read_dataset(source, drop_constant=True), options)
    with closing(open_device("sim", options.config)) as engine:
        both = [golden(task), list(train(task, engine))]
        again = list(compare(task, [GoldenDevice(options.config), engine]))
    assert len(again) == options.epochs
    for reference, epoch in zip(*both, strict=True):
        np.testing.assert_array_equal(epoch.words, reference.words)
        cycles = reference.counters.cycles + FIRST_WORD_CYCLES
        assert epoch.counters == replace(reference.counters, cycles=cycles)


@pytest.mark.parametrize(("epoch", "word", "bit"), [(1, 0, 0), (2, 3, 5), (4, 15, 20)])
def test_compare_finds_one_flipped_bit(epoch: int, word: int, bit: int) -> None:
    task = prepare(DIABETES, Options(epochs=4))
    honest = golden(task)[epoch - 1].words[word]
    devices = [GoldenDevice(task.config), FlippedBit(task.config, epoch, word, bit)]
    seen: list[EpochResult] = []
    with pytest.raises(MismatchError) as caught:
        seen.extend(compare(task, devices))
    message = str(caught.value)
    assert f"after epoch {epoch} model word {word} is {honest} on golden" in message
    assert f"{honest ^ 1 << bit} on flipped" in message
    assert [one.number for one in seen] == list(range(1, epoch))


def test_an_unknown_device_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match="no device 'board'; use one of golden, sim"):
        find_device("board")
    for name in ("serial:", "serial:/dev/ttyUSB0@fast", "serial:@115200"):
        with pytest.raises(InputError, match=r"is no serial:PORT\[@BAUD\], as in serial:/dev/tty"):
            find_device(name)


@pytest.mark.parametrize(
    ("fault", "becomes"),
    [
        (sim_errors.ToolNotFoundError("g++", "apt-get install g++"), ToolMissingError),
        (sim_errors.CompileError("it does not compile"), BuildError),
        (sim_errors.StalledError("it does not end"), DeviceError),
    ],
)
def test_errors_of_the_simulation_become_the_hosts(
    monkeypatch: pytest.MonkeyPatch, fault: Exception, becomes: type[Exception]
) -> None:
    def fail(config: EngineConfig) -> None:
        raise fault

    monkeypatch.setattr(verilated, "VerilatedEngine", fail)
    with pytest.raises(becomes) as caught:
        open_device("sim-engine", EngineConfig())
    assert type(caught.value) is becomes
    assert str(caught.value) == str(fault)
