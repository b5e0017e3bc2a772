"""Payloads of commands, shared by decoder and host."""

from __future__ import annotations

from amaranth.lib import data

from ..contract.config import EngineConfig
from ..contract.formats import EPOCH_DEPTH
from ..contract.protocol import epoch_layout, job_layout
from ..link.frames import MAX_PAYLOAD
from ..memory.plan import plan_layout


def run_layout(config: EngineConfig, word_bits: int, words: int) -> data.StructLayout:
    """Payload of RUN to a device with a sample memory of ``words`` words of ``word_bits`` bits.

    Members
    -------
    plan : plan_layout
        Which samples; all zero for a job that moves the model.
    job : job_layout
    reserved
        Zeros up to a whole byte.
    """
    plan = plan_layout((words - 1).bit_length(), word_bits // config.beat_bits or 1)
    return _whole({"plan": plan, "job": job_layout(config)})


def epoch_item_layout(config: EngineConfig) -> data.StructLayout:
    """One epoch in the payload of WRITE_EPOCHS.

    Members
    -------
    epoch : epoch_layout
    reserved
        Zeros up to a whole byte.
    """
    return _whole({"epoch": epoch_layout(config)})


def epochs_a_frame(config: EngineConfig) -> int:
    """Most epochs of a WRITE_EPOCHS, which the device takes if as many fit in its queue."""
    return min(EPOCH_DEPTH // 2, MAX_PAYLOAD * 8 // epoch_item_layout(config).size)


def _whole(members: dict[str, data.StructLayout]) -> data.StructLayout:
    bits = data.StructLayout(members).size
    return data.StructLayout({**members, "reserved": -bits % 8})
