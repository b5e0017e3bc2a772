"""Open a device with a progress bar of its uploads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from zipsgd.hdl.contract.config import EngineConfig

from .interface import Device
from .open import find_device


def progress_bar(out: Console) -> Progress:
    """Bars on ``out``, or else on stderr, if it is a terminal; otherwise it is disabled."""
    console = out if out.is_terminal else Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not console.is_terminal,
    )


def uploading(bar: Progress) -> Callable[[int, int], None] | None:
    """What a link tells of its uploads, for a bar of bytes while there is one under way.

    Between uploads ``bar`` is as it was before, so that results can be written.
    """
    shown: list[tuple[TaskID, bool]] = []

    def tell(done: int, total: int) -> None:
        if not shown:
            shown.append((bar.add_task("bytes uploaded", total=total), bar.live.is_started))
            bar.start()
        bar.update(shown[0][0], completed=done)
        if done == total:
            task, others = shown.pop()
            bar.remove_task(task)
            if not others:
                bar.stop()

    return None if bar.disable else tell


@contextmanager
def uploads() -> Iterator[Callable[[int, int], None] | None]:
    """`uploading` where there is no other bar: on stderr, if that is a terminal."""
    bar = progress_bar(Console(stderr=True))
    try:
        yield uploading(bar)
    finally:
        bar.stop()


@contextmanager
def opened(name: str, config: EngineConfig, *, fast_load: bool | None = None) -> Iterator[Device]:
    """The device called ``name``, closed in the end; a bar shows its uploads.

    Raises
    ------
    InputError, DeviceError, ToolMissingError, BuildError
        See `host.devices.open.find_device` and the device.
    """
    with uploads() as progress:
        open_found = find_device(name, progress=progress, fast_load=fast_load)
        with closing(open_found(config)) as device:
            yield device
