"""A device behind a link: a board, or the whole device in simulation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import EPOCH_DEPTH, MODEL_WORD_BITS
from zipsgd.hdl.contract.job import Epoch, Job, Mode
from zipsgd.hdl.contract.protocol import (
    Error,
    epoch_layout,
    job_layout,
    pack_epoch,
    pack_job,
    pack_transfer,
)
from zipsgd.hdl.device.layouts import epoch_item_layout, epochs_a_frame, run_layout
from zipsgd.hdl.link.frames import MAX_PAYLOAD, Command, DeviceStatus, from_bytes, to_bytes
from zipsgd.hdl.memory.plan import SamplePlan, copy_words
from zipsgd.sim.golden import Counters
from zipsgd.sim.memory import Waits
from zipsgd.sim.model import check_model, model_words

from ..codes.rounding import Ints
from ..codes.weaving import Woven
from ..errors import DeviceError, InputError
from .interface import SIMULATED, check_fits
from .link.client import LinkClient, Progress, recovering
from .link.requests import SessionLostError

WORD = np.dtype("<i4")
"""A model word or margin on the link."""

assert WORD.itemsize * 8 == MODEL_WORD_BITS

ATTEMPTS = 6
"""Times that a job is begun, if the device is reset in the middle of it."""

MOST_PAUSE_S = 0.02
"""Longest pause between two looks at a job that is under way."""

FAST_LOAD_BYTES = 1 << 20
"""Through a simulated link a megabyte takes two seconds."""

LOADING, UPLOADING, READING = "loading the model", "uploading samples", "reading the model"
"""Phases in which the line carries much; the others are of training."""

T = TypeVar("T")
logger = logging.getLogger(__name__)


class LinkedDevice:
    """`host.devices.interface.Device` over a `LinkClient`.

    Data sets stay in the device's memory until others need the room; a job that is run on the same
    `Woven` again uploads nothing. If the device is reset (or loses its power) while something is
    done, that is done anew, with the model it began with, up to `ATTEMPTS` times: the result is the
    same. Ctrl-C in the middle of something leaves the device idle.

    Parameters
    ----------
    link : LinkClient
    config : EngineConfig, optional
        The geometry that is wanted; without one, whatever the device has.
    name : str
        What `host.devices.open.open_device` calls it.
    progress : callable, optional
        Is told bytes done and bytes in all of every upload.
    memory : uint8 array, optional
        The bytes of a simulated device's sample memory, into which data sets can be put without
        passing the link.
    fast_load : bool, optional
        Whether they are; by default as soon as `FAST_LOAD_BYTES` or more would have passed the
        link.

    Raises
    ------
    DeviceError
        If there is no such device, or it makes no progress for the link's limit.
    """

    def __init__(
        self,
        link: LinkClient,
        config: EngineConfig | None = None,
        *,
        name: str = "link",
        progress: Progress | None = None,
        memory: NDArray[np.uint8] | None = None,
        fast_load: bool | None = None,
    ) -> None:
        self.link, self.name = link, name
        self._memory = memory
        self._fast_load = fast_load
        self._uploaded = 0  # bytes of samples that have passed the link
        self.identity = link.connect(config)
        self.config = self.identity.config
        self._progress = progress
        self._margins: Ints = np.zeros((0, self.config.banks), dtype=np.int64)
        self._model: Ints | None = None  # what is in the device, if that is known
        self._chunks = 1
        self._lost = False  # whether the device may hold another model than `_model`
        self.forget_samples()
        recovering(link, lambda: link.request(Command.RESET, phase="resetting"))

    @property
    def retries(self) -> int:
        """Requests that were sent again so far."""
        return self.link.traffic.retries

    def load_model(self, words: Ints) -> None:
        """Set the model: int64 (chunks * lanes).

        Raises
        ------
        ValueError
            If they are no model of this engine, see `sim.model.model_words`.
        """
        self._model = model_words(self.config, words)
        self._chunks = self._model.size // self.config.lanes
        self._anew(self._load)

    def run(self, job: Job, *copies: Woven) -> Counters:
        """All epochs of a job; epoch e is a pass over ``copies[e % len(copies)]``.

        Raises
        ------
        ValueError
            If a data set is not woven for the job, see `check_fits`, or the model is one of other
            samples.
        InputError
            If the data does not fit the device's memory.
        """
        check_fits(self.config, job, copies)
        job.check(self.config)
        self.read_model(job.chunks)  # what to begin with, if it has to be done anew
        check_model(self.config, job, self._chunks * self.config.lanes)
        used = copies[: len(job.epochs)]

        def work() -> tuple[Counters, Ints | None]:
            counters = self._run(job, used)
            # Read at once: from here on a reset loses nothing.
            return counters, self._dump(self._chunks) if job.learns else self._model

        counters, self._model = self._anew(work)
        return counters

    def read_model(self, chunks: int) -> Ints:
        """The model: int64 (chunks * lanes)."""
        if self._model is None:
            self._chunks = chunks
        if self._model is None or self._model.size < chunks * self.config.lanes:
            self._model = self._anew(lambda: self._dump(max(chunks, self._chunks)))
        return self._model[: chunks * self.config.lanes].copy()

    def margins(self) -> Ints:
        """Margins of the last job that predicted: int64 (groups, banks)."""
        return self._margins

    def close(self) -> None:
        self.link.close()

    def _anew(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, done anew if the device is reset meanwhile."""
        attempts = ATTEMPTS
        while True:
            try:
                if self._lost:
                    self._begin_anew()
                self._lost = False
                return work()
            except SessionLostError as fault:
                attempts, self._lost = attempts - 1, True
                if self._model is None or not attempts:  # the model with which it began
                    raise
                logger.warning("%s; beginning anew", fault)
            except DeviceError:
                self._lost = True  # it may be in the middle of something
                raise
            except KeyboardInterrupt:
                self._lost = True  # a notebook goes on after Ctrl-C
                self._end_job()
                raise

    def _begin_anew(self) -> None:
        """Leave nothing of what the device was doing, and give it the model if that is known."""
        self.forget_samples()
        self.link.connect(self.config)
        self.link.request(Command.RESET, phase="resetting")
        if self._model is not None:
            self._load()

    def _end_job(self) -> None:
        """Leave the device idle, if it answers at all."""
        try:
            recovering(self.link, lambda: self.link.request(Command.RESET, phase="ending the job"))
        except DeviceError as fault:
            logger.warning("%s; the device may still be busy", fault)

    def _load(self) -> None:
        assert self._model is not None
        phase = LOADING
        self._transfer(Mode.LOAD, self._chunks, phase)
        data = self._model.astype(WORD).tobytes()
        self.link.write(Command.WRITE_MODEL, data, phase=phase)
        self._wait(phase)

    def _dump(self, chunks: int) -> Ints:
        phase = READING
        self._transfer(Mode.DUMP, chunks, phase)
        size = chunks * self.config.lanes * WORD.itemsize
        data = self.link.read(Command.READ_MODEL, size, phase=phase)
        self._wait(phase)
        return np.frombuffer(data, WORD).astype(np.int64)

    def _transfer(self, mode: Mode, chunks: int, phase: str) -> None:
        self._start(pack_transfer(self.config, mode, chunks), {}, phase)

    def _run(self, job: Job, copies: tuple[Woven, ...]) -> Counters:
        config = self.config
        beats = job.groups * job.group_beats(config)
        base = self._place(copies, beats)
        plan = SamplePlan(base=base, beats=beats, copies=len(copies), epochs=len(job.epochs))
        epochs = self._queue_epochs([self._epoch(job, each) for each in job.epochs], EPOCH_DEPTH)
        self._start(pack_job(config, job), vars(plan), "starting the job")
        self._margins = (
            self._take_margins(job, epochs) if job.mode == Mode.PREDICT else self._margins
        )
        status = self._wait("running the job", epochs)
        if status.engine.error != Error.NONE:
            raise DeviceError(
                f"{self.link.transport.name}: the device refused a job that passed the host's "
                f"checks ({Error(status.engine.error).name}); report it with the job"
            )
        return Counters(**{each.name: int(status.engine[each.name]) for each in fields(Counters)})

    def _epoch(self, job: Job, epoch: Epoch) -> bytes:
        packed = epoch_layout(self.config).from_bits(pack_epoch(self.config, job, epoch))
        return to_bytes(epoch_item_layout(self.config), {"epoch": packed})

    def _start(self, job: int, plan: dict[str, int], phase: str) -> None:
        word_bytes = self.identity.word_bytes
        words = self.identity.memory_bytes // word_bytes
        layout = run_layout(self.config, 8 * word_bytes, words)
        values: dict[str, Any] = {"job": job_layout(self.config).from_bits(job), "plan": plan}
        self.link.request(Command.RUN, to_bytes(layout, values), phase=phase)

    def _queue_epochs(self, epochs: list[bytes], room: int) -> list[bytes]:
        """Send what there is room for; returns the rest."""
        while epochs and room >= EPOCH_DEPTH // 2:
            most = epochs_a_frame(self.config)
            self.link.request(
                Command.WRITE_EPOCHS, b"".join(epochs[:most]), phase="sending the epochs"
            )
            epochs, room = epochs[most:], room - most
        return epochs

    def _status(self, phase: str) -> Any:
        return from_bytes(DeviceStatus, self.link.request(Command.STATUS, phase=phase))

    def _wait(self, phase: str, epochs: list[bytes] | None = None) -> Any:
        """The status after the job; ``epochs`` are sent as the queue empties."""
        clock, limit_s = self.link.transport.clock, self.link.limit_s
        begin = moved_at = clock.now()
        before = None
        while True:
            status = self._status(phase)
            if not status.busy:
                return status
            epochs = self._queue_epochs(epochs or [], EPOCH_DEPTH - status.waiting)
            now, progress = clock.now(), (status.engine.beats, status.epochs)
            if progress != before:
                before, moved_at = progress, now
            elif now - moved_at > limit_s:
                self.link.request(Command.RESET, phase="giving the job up")
                raise DeviceError(
                    f"{self.link.transport.name}: the device made no progress for {limit_s:g} s "
                    f"while {phase} (epoch {status.epochs}, {status.engine.beats} beats); it was "
                    "reset. Report it with the job"
                )
            clock.sleep(min(MOST_PAUSE_S, (now - begin) / 4))

    def _take_margins(self, job: Job, epochs: list[bytes]) -> Ints:
        """Margins of the job's last epoch (groups, banks), while it runs."""
        phase, banks = "reading margins", self.config.banks
        clock, size = self.link.transport.clock, job.groups * banks * WORD.itemsize
        data, total = bytearray(), size * len(job.epochs)
        moved_at = clock.now()
        while len(data) < total:
            most = min(MAX_PAYLOAD, total - len(data))
            piece = self.link.request(Command.READ_MARGINS, phase=phase, count=most)
            data += piece
            if piece:
                moved_at = clock.now()
            elif clock.now() - moved_at > self.link.limit_s:
                raise DeviceError(
                    f"{self.link.transport.name}: {len(data)} of {total} bytes of margins came "
                    f"and no more for {self.link.limit_s:g} s; run again"
                )
            if epochs:
                room = EPOCH_DEPTH - self._status(phase).waiting
                epochs[:] = self._queue_epochs(epochs, room)
        return np.frombuffer(data[-size:], WORD).astype(np.int64).reshape(job.groups, banks)

    # The sample memory: data sets one after the other, until there is no room for the next.

    def forget_samples(self) -> None:
        """What is in the sample memory is not what was uploaded."""
        self._samples: dict[tuple[int, ...], tuple[int, tuple[Woven, ...]]] = {}
        self._free = 0  # in words, like every address here

    def _place(self, copies: tuple[Woven, ...], beats: int) -> int:
        """Word at which ``copies`` begin in the memory; they are uploaded if they are not there."""
        key = tuple(map(id, copies))
        if key in self._samples:
            return self._samples[key][0]
        word_bytes, beat_bits = self.identity.word_bytes, self.config.beat_bits
        words = len(copies) * copy_words(beats, beat_bits, 8 * word_bytes)
        depth = self.identity.memory_bytes // word_bytes
        if self._free + words > depth:
            self.forget_samples()
        plan = SamplePlan(base=self._free, beats=beats, copies=len(copies))
        try:
            plan.check(beat_bits, 8 * word_bytes, depth)
        except ValueError as fault:
            raise InputError(f"{self.link.transport.name}: {fault}") from fault
        parts = []
        for woven in copies:
            data = woven.beats.tobytes()
            parts.append(data + bytes(-len(data) % word_bytes))
        self._upload(self._free * word_bytes, b"".join(parts))
        # The sets are kept, so that no other one can get their identity.
        self._samples[key] = (self._free, copies)
        self._free += words
        return plan.base

    def _upload(self, address: int, data: bytes) -> None:
        large = self._uploaded + len(data) >= FAST_LOAD_BYTES
        fast = large if self._fast_load is None else self._fast_load
        if self._memory is not None and fast:
            self._memory[address : address + len(data)] = np.frombuffer(data, np.uint8)
            return
        self._uploaded += len(data)
        self.link.write(
            Command.WRITE_MEMORY,
            data,
            address=address,
            phase=UPLOADING,
            progress=self._progress,
        )


def simulated_device(
    config: EngineConfig,
    *,
    waits: Waits | None = None,
    baud: int | None = None,
    progress: Progress | None = None,
    fast_load: bool | None = None,
) -> LinkedDevice:
    """The whole device in simulation, compiled when first used.

    Parameters
    ----------
    config : EngineConfig
    waits : Waits, optional
        Of its memory.
    baud : int, optional
        Rate of a UART in front of it, which then carries all of its data.
    progress, fast_load : optional
        See `LinkedDevice`.

    Raises
    ------
    sim.errors.ToolNotFoundError, sim.errors.CompileError
        If it has to be compiled and cannot be.
    """
    from zipsgd.sim.whole_device import open_whole_device

    port = open_whole_device(config, waits=waits, baud=baud)
    memory = None if baud else port.memory
    return LinkedDevice(
        LinkClient(port),
        config,
        name=SIMULATED,
        progress=progress,
        memory=memory,
        fast_load=fast_load,
    )
