"""Layouts that host, gateware, golden model and testbench share.

Bytes are made with ``layout.const({...}).as_bits()`` and read with ``layout.from_bits(bits)``; no
field offset is written anywhere else.
"""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import signed
from amaranth.lib import data, enum

from .config import EngineConfig
from .formats import (
    COARSE_BITS,
    CURVATURE_FRAC,
    LABEL_WORD_BITS,
    MAX_COUNT_BITS,
    NOISE_BITS,
    STEP_DROPS,
    THRESHOLD_BITS,
    VARIANCE_BITS,
    WEIGHT_BITS,
)
from .generators import SEED_BITS
from .job import EPOCH_PARTS, PARTS, Epoch, Job, Mode

EPOCH_COUNT_BITS = 16
LOSS_SUM_BITS = 96
MODE_BITS = 3
LOSS_BITS = 3
MAX_LABEL_WORDS = 3


class Error(enum.Enum, shape=2):  # type: ignore[call-arg]
    """Why the engine refused a job."""

    NONE = 0
    RANGE = 1
    """A field is out of the engine's range, or asks for a part that the engine was built without
    (`hdl.contract.job.Job.check` says which)."""
    REPLAY = 2
    """The replay buffer is too small for delay * chunks * bits."""


def label_layout(config: EngineConfig) -> data.StructLayout:
    """A sample's first word on the label beats.

    Members
    -------
    label : signed(model_bits)
        Label Y with ``model_frac`` fractional bits.
    reserved : unsigned
        Zero.
    valid : 1
        Clear for a sample that only fills the last group: it changes nothing.
    """
    return data.StructLayout(
        {
            "label": signed(config.model_bits),
            "reserved": LABEL_WORD_BITS - config.model_bits - 1,
            "valid": 1,
        }
    )


def weight_layout() -> data.StructLayout:
    """A sample's word in a weighted job: its weight, `hdl.contract.formats.WEIGHT_FRAC` fractional
    bits."""
    return data.StructLayout({"weight": WEIGHT_BITS, "reserved": LABEL_WORD_BITS - WEIGHT_BITS})


def offset_layout(config: EngineConfig) -> data.StructLayout:
    """A sample's word in a job with offsets: what is added to its margin."""
    return data.StructLayout(
        {"offset": signed(config.model_bits), "reserved": LABEL_WORD_BITS - config.model_bits}
    )


def sample_layout(config: EngineConfig) -> data.StructLayout:
    """What the label beats say of a sample, whatever words the job sends."""
    words = {"weight": WEIGHT_BITS, "offset": signed(config.model_bits)}
    return data.StructLayout(
        {
            "label": signed(config.model_bits),
            "valid": 1,
            **(words if config.sample_words else {}),
        }
    )


def job_fields(config: EngineConfig) -> dict[str, Any]:
    """Shape of every field that a job has in some engine, by its name in `hdl.contract.job.Job`."""
    return {
        "mode": MODE_BITS,
        "loss": LOSS_BITS,
        "bits": range(config.max_bits + 1),
        "unsigned": 1,
        "chunks": range(config.max_chunks + 1),
        "groups": config.count_bits,
        "batch_groups": config.count_bits,
        "epochs": EPOCH_COUNT_BITS,
        "delay": range(config.max_delay + 1),
        "sync": 1,
        "weighted": 1,
        "offset": 1,
        "regularised": range(config.max_features + 1),
        "model_drop": range(COARSE_BITS + 1),
        "error_drop": range(NOISE_BITS + 1),
        "seed": SEED_BITS,
    }


def epoch_fields(config: EngineConfig) -> dict[str, Any]:
    """Shape of every field that an epoch has in some engine (`hdl.contract.job.Epoch`).

    ``step_drop`` is the step's shift less ``min_step_shift``. Every value of every field is legal.
    """
    return {
        "step_mantissa": config.mantissa_bits,
        "step_drop": range(STEP_DROPS),
        "correction": config.correction_unit_bits,
        "decay": config.correction_unit_bits,
        "threshold": THRESHOLD_BITS + config.random_bits,
        "variance": VARIANCE_BITS,
    }


def job_layout(config: EngineConfig) -> data.StructLayout:
    """Lay out what the engine is told before it starts: `job_fields` but for those of absent parts
    (`hdl.contract.job.PARTS`)."""
    return _present(config, job_fields(config), PARTS)


def epoch_layout(config: EngineConfig) -> data.StructLayout:
    """Lay out what the engine is told at the start of each epoch: `epoch_fields` but for those of
    absent parts (`hdl.contract.job.EPOCH_PARTS`)."""
    return _present(config, epoch_fields(config), EPOCH_PARTS)


def _present(
    config: EngineConfig, fields: dict[str, Any], parts: Mapping[str, tuple[str, ...]]
) -> data.StructLayout:
    absent = {name for part in parts if not getattr(config, part) for name in parts[part]}
    return data.StructLayout({name: fields[name] for name in fields if name not in absent})


def pack_job(config: EngineConfig, job: Job) -> int:
    """The bits of a job that passes over samples.

    Raises
    ------
    ValueError
        If the engine cannot run it (`Job.check`).
    """
    job.check(config)
    layout, values = job_layout(config), {**vars(job), "epochs": len(job.epochs)}
    return layout.const({name: values[name] for name, _ in layout}).as_bits()


def pack_epoch(config: EngineConfig, job: Job, epoch: Epoch) -> int:
    """The bits of one epoch of a job that has been checked."""
    layout = epoch_layout(config)
    values = {
        "step_mantissa": epoch.step.mantissa,
        "step_drop": epoch.step.shift - config.min_step_shift,
        "correction": job.correction(config, epoch),
        "decay": epoch.decay(config),
        "threshold": epoch.threshold(config),
        "variance": epoch.variance(),
    }
    return layout.const({name: values[name] for name, _ in layout}).as_bits()


def pack_transfer(config: EngineConfig, mode: Mode, chunks: int) -> int:
    """The bits of a job that moves the model: `Mode.LOAD` or `Mode.DUMP`."""
    if not 1 <= chunks <= config.max_chunks:
        raise ValueError(
            f"chunks = {chunks} is out of range; this engine takes 1 to {config.max_chunks}"
        )
    return job_layout(config).const({"mode": mode, "chunks": chunks}).as_bits()


class Status(data.Struct):
    """What became of the last job.

    Members
    -------
    cycles : 64
        From the start of the first slot until a slot after the last could start. Counted in
        ``2 * count_bits`` bits and wrapped beyond: the host refuses a job that takes more on a
        stream that never waits (`hdl.contract.job.Job.check`), the engine runs it.
    beats : 64
        Beats taken from the stream; ``beats / cycles`` is the utilisation.
    margin_saturations, error_saturations, model_saturations : 32
        Values that did not fit and were replaced by the nearest that does; counted in
        ``count_bits``, and no further than these hold.
    loss_sum : 96
        Sum of the losses of a `Mode.EVALUATE` job (`sim.golden.loss_value`).
    error : Error
        Why the job was refused; then nothing else has changed.
    """

    cycles: 2 * MAX_COUNT_BITS
    beats: 2 * MAX_COUNT_BITS
    margin_saturations: MAX_COUNT_BITS
    error_saturations: MAX_COUNT_BITS
    model_saturations: MAX_COUNT_BITS
    loss_sum: LOSS_SUM_BITS
    error: Error


def token_layout(config: EngineConfig) -> data.StructLayout:
    """What travels with a beat through every stage.

    Members
    -------
    live : 1
        The beat belongs to a group that arrives in this slot.
    replay : 1
        The group of D slots ago is replayed in this slot.
    label : 1
        A label beat; otherwise a plane of codes.
    word : range(MAX_LABEL_WORDS)
        Which label word the beat belongs to: label, weight, offset; only with sample words.
    chunk : range(max_chunks)
        Address of the model words.
    first, last : 1
        First and last beat of a chunk: its top plane and its parity plane.
    first_chunk : 1
        First chunk of the sample.
    group_end : 1
        Last label beat.
    commit : 1
        The replayed group ends a mini-batch: its updates are also written to x.
    """
    return data.StructLayout(
        {
            "live": 1,
            "replay": 1,
            "label": 1,
            **({"word": range(MAX_LABEL_WORDS)} if config.sample_words else {}),
            "chunk": range(config.max_chunks),
            "first": 1,
            "last": 1,
            "first_chunk": 1,
            "group_end": 1,
            "commit": 1,
        }
    )


def error_layout(config: EngineConfig) -> data.StructLayout:
    """What Loss hands to the gradient for one sample.

    Members
    -------
    error : signed(aligned_error_bits)
        Scaled error h, shifted left by ``max_bits - q`` so that the gradient needs no shift.
    coefficient : coefficient_bits
        Scaled curvature of the parity correction.
    """
    return data.StructLayout(
        {"error": signed(config.aligned_error_bits), "coefficient": config.coefficient_bits}
    )


def group_layout(config: EngineConfig) -> data.StructLayout:
    """What Loss hands to the update of a group.

    Members
    -------
    samples : ArrayLayout(error_layout, banks)
    decay : coefficient_bits
        Weight decay of l2.
    threshold : THRESHOLD_BITS + 1
        Soft threshold of l1, in the model's last places. Neither is there without regularisation.
    """
    regularisation = {"decay": config.coefficient_bits, "threshold": THRESHOLD_BITS + 1}
    return data.StructLayout(
        {
            "samples": data.ArrayLayout(error_layout(config), config.banks),
            **(regularisation if config.regularisation else {}),
        }
    )


def row_layout(config: EngineConfig) -> data.ArrayLayout:
    """The model words of one chunk."""
    return data.ArrayLayout(signed(config.model_bits), config.lanes)


CURVATURE_BITS = CURVATURE_FRAC + 1
"""Width of f' (unsigned), which may be 1."""
