"""`hdl.contract.config`: what it refuses, in sentences, and what it derives."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.geometries import GEOMETRIES
from zipsgd.hdl.contract.config import EngineConfig, bits_for_sum, tree_latency
from zipsgd.hdl.contract.generators import generator_constant
from zipsgd.hdl.contract.job import Epoch, Job, Loss, Mode, Step
from zipsgd.hdl.contract.presets import ENGINES
from zipsgd.hdl.contract.protocol import (
    epoch_fields,
    epoch_layout,
    label_layout,
    offset_layout,
    weight_layout,
)

CONFIG = EngineConfig()
STEP = Step.nearest(0.01, CONFIG)
JOB = Job(
    epochs=(Epoch(step=STEP), Epoch(step=STEP)),
    bits=4,
    chunks=6,
    groups=100,
    batch_groups=1,
    delay=2,
    sync=False,
    corrected=True,
    seed=1,
)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"lanes": 12}, "lanes must be a power of two from 2 up, not 12"),
        ({"lanes": 1}, "lanes must be a power of two from 2 up, not 1"),
        ({"banks": 3}, "banks must be a power of two"),
        ({"max_chunks": 0}, "max_chunks must be a power of two"),
        ({"replay_beats": 100}, "replay_beats must be a power of two"),
        ({"lanes": 2, "banks": 2}, "not a whole number of bytes"),
        ({"lanes": 4096, "banks": 2}, "wider than 4096"),
        ({"max_bits": 1}, "max_bits must be 2 to 32, not 1"),
        ({"max_bits": 33}, "max_bits must be 2 to 32, not 33"),
        ({"max_delay": 0}, "max_delay must be 1 or more, not 0"),
        ({"model_bits": 25}, "labels share the format"),
        ({"model_frac": 24}, "labels share the format"),
        ({"model_bits": 9, "model_frac": 4}, "model_bits must be above 9"),
        ({"error_bits": 16, "error_frac": 15, "model_frac": 12}, "error_bits must be above 16"),
        ({"error_frac": 15}, "must lie between model_frac = 16"),
        ({"error_bits": 20}, "must lie between model_frac = 16"),
        ({"random_bits": 19}, "random_bits must be 8 to 18"),
        ({"random_bits": 25, "coefficient_frac": 26}, "random_bits must be 8 to 24"),
        ({"mantissa_bits": 0}, "mantissa_bits must be 1 to 24"),
        ({"mantissa_bits": 25}, "mantissa_bits must be 1 to 24"),
        ({"coefficient_bits": 0}, "coefficient_bits must be 1 to 24"),
        ({"coefficient_bits": 25}, "coefficient_bits must be 1 to 24"),
        ({"error_bits": 33}, "error_bits must be 1 to 32"),
        ({"read_latency": 3}, "read_latency must be 1 or 2, not 3"),
        ({"count_bits": 33}, "count_bits must be 8 to 32, not 33"),
        ({"model_frac": 4}, "model_frac must be 5 or more for the logistic loss's tables, not 4"),
        (
            {"lanes": 2, "banks": 64, "max_bits": 32},
            "gradients would need 65 bits and the golden model's integers have 64; lower max_bits",
        ),
        ({"lanes": 2, "banks": 2048, "max_bits": 32}, "gradients would need 70 bits"),
        ({"losses": ()}, "losses must name one loss at least, and none twice"),
        (
            {"losses": (Loss.HINGE, Loss.HINGE)},
            "losses must name one loss at least, and none twice",
        ),
    ],
)
def test_impossible_engines(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EngineConfig(**parameters)


def test_engines_that_are_just_possible() -> None:
    assert EngineConfig(lanes=16, banks=32, max_bits=32).gradient_bits == 64
    assert EngineConfig(model_frac=4, losses=(Loss.HINGE, Loss.HUBER)).model_frac == 4


@pytest.mark.parametrize(
    ("config", "dot_latency", "update_latency"),
    [
        (ENGINES["default"], 24, 7),
        (ENGINES["complete"], 30, 8),
        (ENGINES["medium"], 23, 7),
        (ENGINES["wide"], 22, 8),
        (ENGINES["rapid"], 24, 8),
        (ENGINES["broad"], 24, 8),
        (ENGINES["small"], 9, 4),
        (ENGINES["tiny"], 8, 4),
        # Beats of 512 bits, with all parts.
        (EngineConfig(lanes=16, banks=32), 27, 7),
        (EngineConfig(lanes=32, banks=16), 28, 7),
        (EngineConfig(lanes=64, banks=8), 28, 7),
        (EngineConfig(lanes=512, banks=1), 29, 7),
    ],
    ids=[*ENGINES, "16x32", "32x16", "64x8", "512x1"],
)
def test_latencies(config: EngineConfig, dot_latency: int, update_latency: int) -> None:
    """What an engine takes; that the gateware takes as long is for the tests of its stages."""
    assert (config.dot_latency, config.update_latency) == (dot_latency, update_latency)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bits": 1}, "bits = 1 is out of range; this engine takes 2 to 8"),
        ({"bits": 9}, "bits = 9 is out of range"),
        ({"chunks": 65}, "chunks = 65 is out of range"),
        ({"groups": 0}, "groups = 0 is out of range"),
        ({"batch_groups": 0}, "batch_groups = 0 is out of range"),
        ({"delay": 9}, "delay = 9 is out of range"),
        ({"seed": 1 << 32}, "seed = 4294967296 is out of range"),
        ({"epochs": ()}, "0 epochs are out of range; a job takes 1 to 65535"),
        ({"mode": Mode.LOAD}, "mode LOAD moves the model"),
        ({"regularised": 1025}, "regularised = 1025 is out of range"),
        ({"model_drop": 10}, "model_drop = 10 is out of range; this engine takes 0 to 9"),
        ({"error_drop": 17}, "error_drop = 17 is out of range; this engine takes 0 to 16"),
        ({"delay": 8, "chunks": 64, "bits": 8}, "lower the delay or the bits"),
    ],
)
def test_impossible_jobs(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(JOB, **changes).check(CONFIG)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ({"losses": (Loss.HUBER, Loss.LEAST_SQUARES)}, {"loss": Loss.HINGE}),
        ({"evaluate": False}, {"mode": Mode.EVALUATE}),
        ({"sample_words": False}, {"weighted": True}),
        ({"sample_words": False}, {"offset": True}),
        ({"regularisation": False}, {"regularised": 1}),
        ({"coarsening": False}, {"model_drop": 1}),
        ({"coarsening": False}, {"error_drop": 1}),
    ],
)
def test_parts_that_are_left_out(part: dict[str, Any], changes: dict[str, Any]) -> None:
    """Jobs without them run; nothing but the job that asks for one is refused."""
    config, job = replace(CONFIG, **part), replace(JOB, **changes)
    job.check(CONFIG)
    JOB.check(config)
    (option,), (field,) = part, changes
    lacking = "that loss" if option == "losses" else option
    with pytest.raises(ValueError, match=f"^{field} = .* which was built without {lacking}; take"):
        job.check(config)


def test_cycles_that_would_not_be_counted() -> None:
    config = replace(CONFIG, count_bits=8)
    replace(JOB, groups=255).check(config)
    with pytest.raises(
        ValueError, match="groups = 256 is out of range; this engine takes 1 to 255"
    ):
        replace(JOB, groups=256).check(config)
    with pytest.raises(ValueError, match=r"counts below 2\*\*16; give it fewer epochs"):
        replace(JOB, groups=255, epochs=JOB.epochs * 4).check(config)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"step": Step(mantissa=1 << 13, shift=20)}, "mantissa 8192 .* 13 bits"),
        ({"step": Step(mantissa=1, shift=3)}, "shift 3 is out of range"),
        ({"step": Step(mantissa=4, shift=4)}, "too large for the correction at 2 bits"),
        ({"l2": 10.0}, "l2 = 10 with step size .* is out of range; keep l2 below"),
        ({"l1": 10.0}, "l1 = 10 with step size .* is out of range; keep l1 below"),
        ({"l1": -0.1}, "l1 = -0.1 with step size .* is out of range"),
        ({"l1": 1e305}, r"l1 = 1e\+305 with step size .* is out of range; keep l1 below"),
        ({"l2": 1e308}, r"l2 = 1e\+308 with step size .* is out of range; keep l2 below"),
        ({"l2": math.inf}, "l2 = inf with step size .* is out of range"),
        ({"l1": math.nan}, "l1 = nan with step size .* is out of range"),
        ({"margin_variance": -1.0}, "margin_variance = -1 must not be negative"),
    ],
)
def test_impossible_epochs(changes: dict[str, Any], sentence: str) -> None:
    """The last epoch is checked like the first."""
    first, last = JOB.epochs
    job = replace(JOB, bits=2, epochs=(first, replace(last, **changes)))
    with pytest.raises(ValueError, match=sentence):
        job.check(CONFIG)


def test_possible_job() -> None:
    JOB.check(CONFIG)
    epoch = replace(JOB.epochs[0], l2=0.1, l1=0.01, margin_variance=0.7)
    unit = 2**CONFIG.correction_unit_frac
    assert JOB.correction(CONFIG, epoch) == round(STEP.value * 2.0**-6 * unit)
    assert replace(JOB, corrected=False).correction(CONFIG, epoch) == 0
    assert epoch.decay(CONFIG) == round(STEP.value * 0.1 * CONFIG.banks * unit)
    last_place = 2.0 ** -(CONFIG.model_frac + CONFIG.random_bits)
    assert epoch.threshold(CONFIG) == round(STEP.value * 0.01 * CONFIG.banks / last_place)
    assert epoch.variance() == round(0.7 * 256)
    assert replace(epoch, margin_variance=100.0).variance() == 1023
    assert replace(epoch, margin_variance=math.inf).variance() == 1023


@pytest.mark.parametrize("config", GEOMETRIES.values(), ids=GEOMETRIES)
def test_most_regularisation(config: EngineConfig) -> None:
    """The largest that fills its field is taken, and a bit more is not."""
    epoch, shapes = Epoch(step=Step.nearest(2.0**-6, config)), epoch_fields(config)
    job = replace(JOB, bits=2, chunks=1, delay=1)
    most_l2, most_l1 = epoch.most_l2(config), epoch.most_l1(config)
    fullest = replace(epoch, l2=most_l2, l1=most_l1)
    assert fullest.decay(config) == (1 << shapes["decay"]) - 1
    assert fullest.threshold(config) == (1 << shapes["threshold"]) - 1
    replace(job, epochs=(fullest,)).check(config)
    for name, value in (("l2", most_l2), ("l1", most_l1)):
        beyond: dict[str, Any] = {name: value * (1 + 1e-6)}
        with pytest.raises(ValueError, match=f"keep {name} below"):
            replace(job, epochs=(replace(epoch, **beyond),)).check(config)


def test_beats_of_a_job() -> None:
    """Two label beats a word at 16 lanes; an empty slot is as long as any."""
    assert JOB.group_beats(CONFIG) == 6 * 4 + 2
    assert replace(JOB, weighted=True).group_beats(CONFIG) == 6 * 4 + 4
    assert replace(JOB, weighted=True, offset=True).group_beats(CONFIG) == 6 * 4 + 6
    short = replace(JOB, chunks=1, bits=2, mode=Mode.EVALUATE, loss=Loss.LOGISTIC)
    assert short.slot_cycles(CONFIG) == max(4, 1 + CONFIG.update_latency, CONFIG.banks)


@pytest.mark.parametrize("config", GEOMETRIES.values(), ids=GEOMETRIES)
@pytest.mark.parametrize("exponent", range(-30, 12))
def test_nearest_step(config: EngineConfig, exponent: int) -> None:
    """Half a unit in the mantissa's last place at most, or a sentence."""
    value = 1.37 * 2.0**exponent
    most = ((1 << config.mantissa_bits) - 1) * 2.0**-config.min_step_shift
    if not 2.0**-config.max_step_shift <= value <= most:
        with pytest.raises(ValueError, match="out of range; this engine takes"):
            Step.nearest(value, config)
        return
    step = Step.nearest(value, config)
    assert 1 <= step.mantissa < 1 << config.mantissa_bits
    assert config.min_step_shift <= step.shift <= config.max_step_shift
    assert abs(step.value - value) <= 2.0 ** -(step.shift + 1)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_no_such_step(value: float) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Step.nearest(value, CONFIG)


def test_sums() -> None:
    """The widths hold the extremes, and trees have as many levels as they need."""
    for terms in range(1, 20):
        bits = bits_for_sum(4, terms)
        assert -(1 << (bits - 1)) <= -8 * terms
        assert 7 * terms < 1 << (bits - 1)
        assert (1 << tree_latency(terms)) >= terms


@pytest.mark.parametrize("config", GEOMETRIES.values(), ids=GEOMETRIES)
def test_layouts(config: EngineConfig) -> None:
    """Label words have their 32 bits."""
    for layout in (label_layout(config), weight_layout(), offset_layout(config)):
        assert layout.size == 32
    assert epoch_layout(config)["correction"].width == config.correction_unit_bits


def test_generators_differ() -> None:
    constants = [generator_constant(index) for index in range(1000)]
    assert len(set(constants)) == len(constants)
    assert all(constant >> 32 for constant in constants), "a 32-bit seed could make a state zero"


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_configuration_is_what_its_numbers_say(name: str) -> None:
    """However its losses were listed."""
    config = GEOMETRIES[name]
    assert EngineConfig.from_numbers(config.numbers()) == config
    assert replace(config, losses=config.losses[::-1]) == config
