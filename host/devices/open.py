"""Open a device by its name: golden model, simulation, or a board at the end of a line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zipsgd.hdl.contract.config import EngineConfig

from ..errors import InputError
from .interface import SIMULATED, Device, host_errors
from .sim_engine import SimEngine
from .software import FastDevice, GoldenDevice

if TYPE_CHECKING:
    from .link.client import Progress


def _simulated_device(config: EngineConfig, **options: Any) -> Device:
    """The whole device in simulation, driven through its link: what a board does."""
    from .linked_device import simulated_device

    with host_errors():
        return simulated_device(config, **options)


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
        from .link.client import LinkClient
        from .link.tape import Replay
        from .linked_device import LinkedDevice

        replay = Replay(Path(name.removeprefix(REPLAY)))
        return LinkedDevice(
            LinkClient(replay, draw=replay.draw), config, name=name, progress=progress
        )

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
