"""Layouts that host, gateware, golden model and testbench share.

Bytes are made with ``layout.const({...}).as_bits()`` and read with ``layout.from_bits(bits)``; no
field offset is written anywhere else.
"""

from amaranth.hdl import signed
from amaranth.lib import data

from .config import LABEL_WORD_BITS, SEED_BITS, EngineConfig, Job, Mode

COUNT_BITS = 32
"""Width of counters of groups and saturations; counters of cycles and beats have twice as many."""


def label_layout(config: EngineConfig) -> data.StructLayout:
    """A sample's word on the label beats.

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


def job_layout(config: EngineConfig) -> data.StructLayout:
    """What the engine is told before a pass; the fields are those of `hdl.config.Job`."""
    return data.StructLayout(
        {
            "mode": 2,
            "bits": range(config.max_bits + 1),
            "chunks": range(config.max_chunks + 1),
            "groups": COUNT_BITS,
            "batch_groups": COUNT_BITS,
            "delay": range(config.max_delay + 1),
            "sync": 1,
            "step_mantissa": config.mantissa_bits,
            "step_shift": range(config.max_step_shift + 1),
            "correction": config.correction_unit_bits,
            "seed": SEED_BITS,
        }
    )


def pack_job(config: EngineConfig, job: Job) -> int:
    """The bits of a training job.

    Raises
    ------
    ValueError
        If the engine cannot run it (`Job.check`).
    """
    job.check(config)
    fields = {
        "mode": Mode.TRAIN,
        "bits": job.bits,
        "chunks": job.chunks,
        "groups": job.groups,
        "batch_groups": job.batch_groups,
        "delay": job.delay,
        "sync": job.sync,
        "step_mantissa": job.step.mantissa,
        "step_shift": job.step.shift,
        "correction": job.correction(config),
        "seed": job.seed,
    }
    return job_layout(config).const(fields).as_bits()


def pack_transfer(config: EngineConfig, mode: Mode, chunks: int) -> int:
    """The bits of a job that moves the model: `Mode.LOAD` or `Mode.DUMP`."""
    if not 1 <= chunks <= config.max_chunks:
        raise ValueError(
            f"chunks = {chunks} is out of range; this engine takes 1 to {config.max_chunks}"
        )
    return job_layout(config).const({"mode": mode, "chunks": chunks}).as_bits()


class Status(data.Struct):
    """Counters of the last pass.

    Members
    -------
    cycles : 64
        From the start of the first slot until a slot after the last could start.
    beats : 64
        Beats taken from the stream; ``beats / cycles`` is the utilisation.
    margin_saturations, error_saturations, model_saturations : 32
        Values that did not fit and were replaced by the nearest that does.
    """

    cycles: 2 * COUNT_BITS
    beats: 2 * COUNT_BITS
    margin_saturations: COUNT_BITS
    error_saturations: COUNT_BITS
    model_saturations: COUNT_BITS


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
    chunk : range(max_chunks)
        Address of the model words.
    first, last : 1
        First and last beat of a chunk: its sign plane and its parity plane.
    first_chunk, last_chunk : 1
        First and last chunk of the sample.
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
            "chunk": range(config.max_chunks),
            "first": 1,
            "last": 1,
            "first_chunk": 1,
            "last_chunk": 1,
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


def row_layout(config: EngineConfig) -> data.ArrayLayout:
    """The model words of one chunk."""
    return data.ArrayLayout(signed(config.model_bits), config.lanes)
