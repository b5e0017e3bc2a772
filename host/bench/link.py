"""What the link to a device carries: upload and read-back of its sample memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.presets import ENGINES
from zipsgd.hdl.link.frames import Command
from zipsgd.sim.memory import Waits

from ..devices.interface import SIMULATED, host_errors
from ..devices.linked_device import LinkedDevice, simulated_device
from ..devices.progress import uploads
from ..devices.selftest import open_linked
from ..errors import InputError, MismatchError
from ..json_lines import json_line
from ..options.engine_choice import engine_config
from ..options.options import OF_ENGINE, Options

BAUD = 3_000_000
"""Of the simulated UART."""

SIZE = 1 << 15
"""Bytes that go each way, at most."""

LEAST_SHARE = 0.9
"""Of the simulated line's rate, for an upload. A board's adapter and driver have a say in it, so
there is no target for those."""


@dataclass(frozen=True)
class Way:
    """One direction.

    Parameters
    ----------
    name : str
        ``upload`` or ``read back``.
    size : int
        Bytes of samples; what frames add is not counted.
    seconds : float
        By the device's clock if it is simulated.
    line_bytes_per_s : float
        Rate of the line.
    retries : int
        Requests that were sent again.
    """

    name: str
    size: int
    seconds: float
    line_bytes_per_s: float
    retries: int

    @property
    def bytes_per_s(self) -> float:
        return self.size / self.seconds

    @property
    def share(self) -> float:
        """Of the line's rate."""
        return self.bytes_per_s / self.line_bytes_per_s


@contextmanager
def opened(
    name: str, config: EngineConfig, *, waits: Waits | None = None, baud: int | None = None
) -> Iterator[LinkedDevice]:
    """The device called ``name``, closed in the end; a bar shows its uploads. A board has its own
    geometry, the simulated device ``config``, and `host.devices.linked_device.simulated_device`'s
    ``waits`` and ``baud``.

    Raises
    ------
    InputError, DeviceError
        See `host.devices.selftest.open_linked`.
    """
    with uploads() as progress, ExitStack() as stack:
        if name == SIMULATED:
            with host_errors():
                device = simulated_device(config, waits=waits, baud=baud, progress=progress)
        else:
            device = open_linked(name, progress)
        yield stack.enter_context(closing(device))


def options_for(device: LinkedDevice, options: Options) -> Options:
    """``options`` for the device's engine.

    Raises
    ------
    InputError
        If its engine is none of `hdl.contract.presets.ENGINES` of any geometry: data is prepared
        for those.
    """
    has = device.config
    shape = {name: getattr(has, name) for name in ("lanes", "banks", "max_bits")}
    for engine in ENGINES:
        if engine_config(engine, **shape) == has:
            fits = dict.fromkeys(("model_bits", "gradient_bits"), OF_ENGINE)
            bits, delay = min(options.bits, has.max_bits), min(options.delay, has.max_delay)
            return replace(options, engine=engine, bits=bits, delay=delay, **shape, **fits)
    raise InputError(
        f"{device.link.transport.name}: its engine has parameters of its own, and data is measured "
        f"on the engines {' and '.join(ENGINES)} of any lanes, banks and bits; flash one of those"
    )


def link(name: str, as_json: bool = False) -> None:
    """Measure and print both ways of the link to the device called ``name``.

    Raises
    ------
    MismatchError
        If bytes come back changed, or the upload over the simulated line misses `LEAST_SHARE`.
    """
    with opened(name, Options().config, baud=BAUD) as device:
        ways = measure(device)
    if as_json:
        for way in ways:
            record = {**asdict(way), "bytes_per_s": way.bytes_per_s, "share": way.share}
            typer.echo(json_line({"device": name, **record}))
    else:
        Console(highlight=False, soft_wrap=True).print(_table(name, ways))
    check(name, ways[0])


def measure(device: LinkedDevice) -> tuple[Way, Way]:
    """Upload random bytes and read them back.

    Raises
    ------
    MismatchError
        If they are others then.
    """
    line, clock = device.link, device.link.transport.clock
    size = min(SIZE, device.identity.memory_bytes)
    data = np.random.default_rng(0).bytes(size)
    device.forget_samples()
    begin, retries = clock.now(), line.traffic.retries
    line.write(Command.WRITE_MEMORY, data, phase="measuring the upload")
    middle, again = clock.now(), line.traffic.retries
    back = line.read(Command.READ_MEMORY, size, phase="measuring the way back")
    end = clock.now()
    if back != data:
        raise MismatchError(
            f"{line.transport.name}: bytes of the memory came back changed, so their rate says "
            "nothing; run zipsgd selftest on the device"
        )
    rate = line.transport.bytes_per_s
    return (
        Way("upload", size, middle - begin, rate, again - retries),
        Way("read back", size, end - middle, rate, line.traffic.retries - again),
    )


def check(name: str, upload: Way) -> None:
    """Raises `MismatchError` if the simulated line was not used as it should be."""
    if name == SIMULATED and upload.share < LEAST_SHARE:
        raise MismatchError(
            f"the upload reached {upload.share:.1%} of the line's rate and the target is "
            f"{LEAST_SHARE:.0%} ({upload.retries} frames were sent again); the link or its "
            "gateware has become slower"
        )


def _table(name: str, ways: tuple[Way, Way]) -> Table:
    time = "simulated seconds" if name == SIMULATED else "seconds"
    table = Table(
        title=f"{name}, a line of {ways[0].line_bytes_per_s / 1000:,.0f} kB a second, "
        f"{ways[0].size:,} bytes each way, frames and all"
    )
    for heading in ("", time, "kB a second", "of the line", "at least", "sent again"):
        table.add_column(heading, justify="right")
    for way in ways:
        least = f"{LEAST_SHARE:.0%}" if name == SIMULATED and way.name == "upload" else ""
        rate = f"{way.bytes_per_s / 1000:.1f}"
        table.add_row(
            way.name, f"{way.seconds:.4f}", rate, f"{way.share:.1%}", least, str(way.retries)
        )
    return table
