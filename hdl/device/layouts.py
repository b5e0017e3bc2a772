"""Payloads of commands, shared by decoder and host."""

from __future__ import annotations

from typing import Any

from amaranth.lib import data

from ..config import EngineConfig
from ..formats import EPOCH_DEPTH
from ..link.frames import MAX_PAYLOAD
from ..memory.plan import plan_layout
from ..parameters import Loss
from ..protocol import epoch_layout, job_layout


def run_layout(config: EngineConfig, word_bits: int, words: int) -> data.StructLayout:
    """Payload of RUN to a device with a sample memory of ``words`` words of ``word_bits`` bits.

    Members
    -------
    plan : plan_layout
        Which samples; all zero for a job that moves the model.
    job
        The fields of `job_layout` that this engine has a use for.
    reserved
        Zeros up to a whole byte.
    """
    plan = plan_layout((words - 1).bit_length(), word_bits // config.beat_bits or 1)
    return _whole({"plan": plan, "job": _used(config, job_layout(config))})


def epoch_item_layout(config: EngineConfig) -> data.StructLayout:
    """One epoch in the payload of WRITE_EPOCHS.

    Members
    -------
    epoch
        The fields of `epoch_layout` that this engine has a use for.
    reserved
        Zeros up to a whole byte.
    """
    return _whole({"epoch": _used(config, epoch_layout(config))})


def epochs_a_frame(config: EngineConfig) -> int:
    """Most epochs of a WRITE_EPOCHS, which the device takes if as many fit in its queue."""
    return min(EPOCH_DEPTH // 2, MAX_PAYLOAD * 8 // epoch_item_layout(config).size)


def _used(config: EngineConfig, layout: data.StructLayout) -> data.StructLayout:
    """Without the fields that ask for parts which the engine was built without."""
    absent = {
        "weighted": not config.sample_words,
        "offset": not config.sample_words,
        "regularised": not config.regularisation,
        "decay": not config.regularisation,
        "threshold": not config.regularisation,
        "model_drop": not config.coarsening,
        "error_drop": not config.coarsening,
        "variance": Loss.LOGISTIC not in config.losses,
    }
    return data.StructLayout({name: f.shape for name, f in layout if not absent.get(name)})


def narrowed(layout: data.StructLayout, bits: int, used: data.StructLayout) -> dict[str, Any]:
    """What is left of a packed job or epoch in the payload of a command."""
    full = layout.from_bits(bits)
    return {name: full[name] for name, _ in used}


def _whole(members: dict[str, data.StructLayout]) -> data.StructLayout:
    bits = data.StructLayout(members).size
    return data.StructLayout({**members, "reserved": -bits % 8})
