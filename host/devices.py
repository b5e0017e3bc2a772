"""What can run a job: golden model, simulated engine and devices, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hdl.config import EngineConfig
from hdl.job import Job
from sim.errors import CompileError, SimulationError, ToolNotFoundError
from sim.golden import Counters, Golden, Samples
from sim.model import check_model

from .errors import BuildError, DeviceError, InputError, ToolMissingError
from .rounding import Ints
from .weaving import Woven, unweave

if TYPE_CHECKING:
    from sim.fast import Fast

    from .link.client import Progress


class Device(Protocol):
    """An engine with a model in it.

    Attributes
    ----------
    name : str
        What `open_device` calls it.
    config : EngineConfig
    """

    name: str
    config: EngineConfig

    @property
    def retries(self) -> int | None:
        """Requests that its link has sent again so far; none without a link."""

    def load_model(self, words: Ints) -> None:
        """Set the model: int64 (chunks * lanes).

        Raises
        ------
        ValueError
            If they are no model of this engine, see `sim.model.model_words`.
        """

    def run(self, job: Job, *copies: Woven) -> Counters:
        """All epochs of a job; epoch e is a pass over ``copies[e % len(copies)]``.

        Raises
        ------
        ValueError
            If a data set is not woven for the job, see `check_fits`, or the model is one of other
            samples.
        """

    def read_model(self, chunks: int) -> Ints:
        """The model: int64 (chunks * lanes)."""

    def margins(self) -> Ints:
        """Margins of the last job, which must have been one that predicts: int64 (groups, banks),
        ``model_frac`` fractional bits."""

    def close(self) -> None:
        """Release the device; it cannot be used afterwards."""


def samples_of(woven: Woven, config: EngineConfig) -> Samples:
    """What the golden model takes instead of the stream."""
    return Samples(**vars(unweave(woven, config)))


def fast_samples(woven: Woven, config: EngineConfig) -> Samples:
    """The same for the compiled one, at memory speed."""
    from .fused import unweave as fast_unweave

    return Samples(**vars(fast_unweave(woven, config)))


def check_fits(config: EngineConfig, job: Job, copies: tuple[Woven, ...]) -> None:
    """Raises `ValueError` unless the streams of ``copies`` are those that ``config`` reads and
    ``job`` describes, with weights that its steps can be multiplied by.

    An engine cannot tell: it would take labels for weights, or one code for another.
    """
    for woven in copies:
        difference = woven.geometry.difference(config)
        if difference is not None:
            raise ValueError(
                f"the data set is woven for {difference}; weave it for this engine, or open a "
                "device with the other one"
            )
    names = ("bits", "chunks", "groups", "unsigned", "weighted", "offset")
    for woven, name in product(copies, names):
        asked, there = getattr(job, name), getattr(woven, name)
        if asked != there:
            raise ValueError(
                f"the job says {name} = {asked} and its data set is woven with {name} = {there}; "
                "describe the data set as it is woven, or weave it for the job"
            )
    for woven in copies:
        job.check_weights(config, woven.most_weight)


class GoldenDevice:
    """The software reference, `sim.golden`; its cycles are those of the cycle model."""

    name = "golden"
    retries = None

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self._golden: Golden | Fast = Golden(config)

    def load_model(self, words: Ints) -> None:
        self._golden.load(words)

    def run(self, job: Job, *copies: Woven) -> Counters:
        check_fits(self.config, job, copies)
        return self._golden.run(job, *(samples_of(woven, self.config) for woven in copies))

    def read_model(self, chunks: int) -> Ints:
        return self._golden.x[: chunks * self.config.lanes].copy()

    def margins(self) -> Ints:
        return self._golden.margins

    def close(self) -> None:
        pass


class FastDevice(GoldenDevice):
    """The golden model, compiled: `sim.fast`, the same bits and cycles."""

    name = "fast"

    def __init__(self, config: EngineConfig) -> None:
        from sim.fast import Fast

        self.config = config
        self._golden = Fast(config)

    def run(self, job: Job, *copies: Woven) -> Counters:
        check_fits(self.config, job, copies)
        return self._golden.run(job, *(fast_samples(woven, self.config) for woven in copies))


class SimEngine:
    """The engine's Verilog alone, compiled by Verilator and called in process, on a stream that
    never waits: its cycles are those of the cycle model.

    Raises
    ------
    ToolMissingError, BuildError
        If the engine has to be compiled and cannot be.
    DeviceError
        If the engine stops making progress.
    """

    name = "sim-engine"
    retries = None

    def __init__(self, config: EngineConfig) -> None:
        from sim.verilated import VerilatedEngine

        self.config = config
        self._words = 0  # of the model
        with host_errors():
            self._engine = VerilatedEngine(config)

    def load_model(self, words: Ints) -> None:
        with host_errors():
            self._engine.load(words)
        self._words = len(words)

    def run(self, job: Job, *copies: Woven) -> Counters:
        check_fits(self.config, job, copies)
        check_model(self.config, job, self._words)
        with host_errors():
            return self._engine.run(job, *(woven.beats for woven in copies))

    def read_model(self, chunks: int) -> Ints:
        with host_errors():
            return self._engine.dump(chunks)

    def margins(self) -> Ints:
        return self._engine.margins

    def close(self) -> None:
        self._engine.close()


def _simulated_device(config: EngineConfig, **options: Any) -> Device:
    """The whole device in simulation, driven through its link: what a board does."""
    from .linked_device import simulated_device

    with host_errors():
        return simulated_device(config, **options)


SIMULATED = "sim"
"""The only device behind a link whose memory is within reach."""

DEVICES: dict[str, Callable[..., Device]] = {
    "golden": GoldenDevice,
    SIMULATED: _simulated_device,
    SimEngine.name: SimEngine,
    "fast": FastDevice,
}

SERIAL, REPLAY = "serial:", "replay:"
"""Begin the names of devices on a serial port, ``serial:PORT[@BAUD]``, and of what was recorded of
one, ``replay:FILE``."""

OpenLine = Callable[[EngineConfig | None], Device]


def on_line(name: str, progress: Progress | None = None) -> OpenLine | None:
    """What opens the device at the end of a line, of whatever geometry, that ``name`` says; nothing
    if it is no such name."""
    if name.startswith(SERIAL):
        return _on_port(name, progress)
    return _on_tape(name, progress) if name.startswith(REPLAY) else None


def _on_tape(name: str, progress: Progress | None) -> OpenLine:
    def open_tape(config: EngineConfig | None) -> Device:
        from .link.client import Link
        from .link.tape import Replay
        from .linked_device import LinkedDevice

        replay = Replay(Path(name.removeprefix(REPLAY)))
        return LinkedDevice(Link(replay, draw=replay.draw), config, name=name, progress=progress)

    return open_tape


def _on_port(name: str, progress: Progress | None) -> OpenLine:
    path, _, rate = name.removeprefix(SERIAL).partition("@")
    if not path or (rate and not rate.isdecimal()):
        raise InputError(
            f"the device {name!r} is no {SERIAL}PORT[@BAUD], as in {SERIAL}/dev/ttyUSB0@3000000"
        )

    def open_port(config: EngineConfig | None) -> Device:
        from .link.serial_port import open_serial
        from .link.tape import recorded
        from .linked_device import LinkedDevice

        link = recorded(open_serial(path, int(rate) if rate else None))
        return LinkedDevice(link, config, name=name, progress=progress)

    return open_port


def find_device(
    name: str, *, progress: Progress | None = None, fast_load: bool | None = None
) -> Callable[[EngineConfig], Device]:
    """What opens the device called ``name``.

    Parameters
    ----------
    name : str
    progress : callable, optional
        Is told bytes done and bytes in all of every upload through a link.
    fast_load : bool, optional
        Whether samples are put into a simulated device's memory instead of passing its link.

    Raises
    ------
    InputError
        If there is no such device, or ``fast_load`` is given and it has no such memory.
    """
    if fast_load is not None and name != SIMULATED:
        raise InputError(
            f"--{'' if fast_load else 'no-'}fast-load is about the memory of {SIMULATED} and the "
            f"way to it, which {name} does not have; leave it out, or use --device {SIMULATED}"
        )
    line = on_line(name, progress)
    if line is not None:
        return line
    if name not in DEVICES:
        known = ", ".join(DEVICES)
        raise InputError(f"there is no device {name!r}; use one of {known} or {SERIAL}PORT[@BAUD]")
    if name == SIMULATED:
        return partial(DEVICES[name], progress=progress, fast_load=fast_load)
    return DEVICES[name]


def open_device(name: str, config: EngineConfig) -> Device:
    """Open the device called ``name``; raises as `find_device` and the device do."""
    return find_device(name)(config)


@contextmanager
def host_errors() -> Iterator[None]:
    """`sim` knows no exit codes: its errors become the host's."""
    try:
        yield
    except ToolNotFoundError as fault:
        raise ToolMissingError(str(fault)) from fault
    except CompileError as fault:
        raise BuildError(str(fault)) from fault
    except SimulationError as fault:
        raise DeviceError(str(fault)) from fault
