"""The command line. Results go to stdout, everything else to stderr; heavy imports wait for use."""

from __future__ import annotations

import errno
import logging
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import InputError, ZipsgdError
from ..json_lines import json_line
from ..options.choices import Interface
from ..options.engine_choice import DEFAULT, Banks, EngineName, Lanes, MaxBits, engine_config
from ..options.options import Options
from . import bench as bench_cli
from . import boards as boards_cli
from . import data as data_cli
from . import doctor as doctor_cli
from . import plan as plan_cli
from . import predict as predict_cli
from . import report as report_cli
from .common import DeviceName, FastLoad, Json, takes_options
from .data import Impute, OneHot, column_names

if TYPE_CHECKING:
    from ..training.loop import EpochResult, Task

logger = logging.getLogger(__name__)


FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG
"""Errors of a disk, or a share of it, that has no room left."""


class Commands(TyperGroup):
    """Turns an error that a user may meet into one sentence and its exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ZipsgdError as fault:
            typer.echo(f"zipsgd: {fault}", err=True)
            raise typer.Exit(fault.exit_code) from fault
        except OSError as fault:
            if fault.errno not in FULL:
                raise
            typer.echo(
                f"zipsgd: writing failed ({fault.strerror}); make room, then retry", err=True
            )
            raise typer.Exit(InputError.exit_code) from fault
        except SystemError as fault:
            # What a compiled function makes of Ctrl-C.
            if isinstance(fault.__cause__, KeyboardInterrupt):
                raise KeyboardInterrupt from fault
            raise


app = typer.Typer(
    cls=Commands,
    help="Train linear models on an FPGA from 2- to 8-bit data, without the bias of low precision.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(bench_cli.app, name="bench")
app.add_typer(data_cli.app, name="data")
app.command("eval")(predict_cli.eval_command)
app.command("predict")(predict_cli.predict_command)
app.command("plan")(plan_cli.plan_command)
app.command("boards")(boards_cli.boards_command)
app.command("build")(boards_cli.build_command)
app.command("flash")(boards_cli.flash_command)
app.command("detect")(boards_cli.detect_command)
app.command("report")(report_cli.report_command)
app.command("doctor")(doctor_cli.doctor_command)

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="LIBSVM, CSV, .npz or .npy file, or sklearn:NAME.")
]
Target = Annotated[
    str | None, typer.Option(help="Label column of a CSV or .npy file: its name or index.")
]
DropConstant = Annotated[
    bool, typer.Option("--drop-constant", help="Leave out features that never change.")
]


@app.command()
@takes_options
def train(
    data: Data,
    *,
    target: Target = None,
    drop_constant: DropConstant = False,
    device: DeviceName = "sim",
    fast_load: FastLoad = None,
    one_hot: OneHot = "",
    impute: Impute = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Model file.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="File that keeps every epoch's end, to go on from.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from --checkpoint, if it is there.")
    ] = False,
    log: Annotated[Path | None, typer.Option(help="The objects of --json, into a file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Loss per epoch (.png or .svg).")] = None,
    as_json: Json = False,
    options: Options,
    given: frozenset[str],
) -> None:
    """Train a model; a row an epoch. The default device is simulated gateware."""
    from ..files import check_distinct, replacing
    from ..training.checkpoint import check_checkpoint
    from ..training.model_file import dump_model
    from .plot import check_plot
    from .plot import plot as draw

    if checkpoint:
        check_checkpoint(checkpoint, resume)
    elif resume:
        raise InputError("--resume needs a --checkpoint to go on from")
    if options.snapshots and not output:
        raise InputError("snapshots are models beside the one of --output; pass -o too")
    if plot:
        check_plot(plot)
    check_distinct(
        {
            "DATA": Path(data),
            "--output": output,
            "--log": log,
            "--plot": plot,
            "--checkpoint": checkpoint,
        }
    )
    with ExitStack() as stack:
        stream = stack.enter_context(replacing(output)) if output else None
        picture = stack.enter_context(replacing(plot)) if plot else None
        files = Files(
            checkpoint=checkpoint,
            resume=resume,
            snapshots=output,
            log=log,
        )
        source = DataChoice(data, target, drop_constant, column_names(one_hot), impute, given)
        task, epochs = _train(source, [device], as_json, options, files, fast_load)
        if stream:
            stream.write(dump_model(task.model(epochs[-1].words)))
        if plot and picture:
            draw(task, epochs, plot, picture)


@app.command()
@takes_options
def compare(
    data: Data,
    *,
    target: Target = None,
    drop_constant: DropConstant = False,
    one_hot: OneHot = "",
    impute: Impute = False,
    devices: Annotated[str, typer.Option(help="Two or more, with commas.")] = "golden,sim",
    fast_load: FastLoad = None,
    as_json: Json = False,
    options: Options,
    given: frozenset[str],
) -> None:
    """Train on several devices; exit 5 at the first model word that differs after an epoch."""
    names = devices.split(",")
    if len(names) < 2:
        raise InputError(f"--devices is {devices!r}; name two or more, as in golden,sim")
    source = DataChoice(data, target, drop_constant, column_names(one_hot), impute, given)
    _train(source, names, as_json, options, Files(), fast_load)


@app.command()
def elaborate(
    engine: EngineName = DEFAULT,
    lanes: Lanes = None,
    banks: Banks = None,
    interface: Annotated[
        Interface, typer.Option(help="Ports: plain streams, or AXI4-Stream and AXI4-Lite.")
    ] = "streams",
    max_bits: MaxBits = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Verilog file.")] = Path(
        "engine.v"
    ),
    header: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the AXI4-Lite registers as a C header too."),
    ] = None,
) -> None:
    """Write the engine's Verilog, the same in every run."""
    from zipsgd.hdl.axi.engine import TOP as AXI_TOP
    from zipsgd.hdl.axi.engine import AxiEngine
    from zipsgd.hdl.engine.engine import Engine
    from zipsgd.hdl.lib.verilog import to_verilog
    from zipsgd.sim.build import TOP

    from ..files import check_distinct, replacing
    from ..manual.c_header import c_header

    config, axi = engine_config(engine, lanes, banks, max_bits), interface == "axi-stream"
    if header and not axi:
        raise InputError("--header describes AXI4-Lite registers; add --interface axi-stream")
    check_distinct({"--header": header, "--output": output})
    try:
        registers = c_header(config) if axi else ""
    except ValueError as fault:
        raise InputError(f"this engine has no {interface} interface: {fault}") from fault
    with ExitStack() as stack:
        verilog = stack.enter_context(replacing(output))
        macros = stack.enter_context(replacing(header)) if header else None
        text = to_verilog(AxiEngine(config), AXI_TOP) if axi else to_verilog(Engine(config), TOP)
        verilog.write(text.encode())
        verilog.flush()  # what fails, fails before either file is in place
        if macros:
            macros.write(registers.encode())


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Picture (PNG).")] = Path(
        "zipsgd-demo.png"
    ),
    device: DeviceName = "sim",
) -> None:
    """Handwritten digits at 8, 4 and 3 bits: a table, and a picture of loss per epoch."""
    from ..files import replacing
    from .demo import run

    with replacing(output) as stream:
        run(device, output, stream)


@app.command()
def selftest(device: DeviceName = "sim") -> None:
    """Test a device's link and memory, and a training with a known answer; exit 5 if it errs."""
    from ..devices import selftest as parts

    with closing(parts.open_linked(device)) as opened:
        for passed in parts.selftest(opened):
            typer.echo(f"ok  {passed.part:9} {passed.found}")


@dataclass(frozen=True)
class DataChoice:
    """What to train on, and how to read it."""

    data: str
    target: str | None
    drop_constant: bool
    one_hot: tuple[str, ...]
    impute: bool
    given: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Files:
    """What a training writes as it goes."""

    checkpoint: Path | None = None
    resume: bool = False
    snapshots: Path | None = None
    """Beside this one, with the epoch in their names."""
    log: Path | None = None


def _train(
    source: DataChoice,
    devices: list[str],
    as_json: bool,
    options: Options,
    files: Files,
    fast_load: bool | None = None,
) -> tuple[Task, list[EpochResult]]:
    """Train on all devices in step and report the epochs of the first."""
    from ..devices.interface import SIMULATED
    from ..devices.open import find_device
    from ..devices.progress import progress_bar, uploading
    from ..files import writing
    from ..training.advice import advise
    from ..training.checkpoint import Checkpoint
    from ..training.loop import compare
    from ..training.prepare import prepare_source
    from . import epoch_table as report

    out = report.plain_console()
    bar = progress_bar(out)
    progress = uploading(bar)
    simulated = [name for name in devices if name == SIMULATED] or devices
    found = [
        find_device(name, progress=progress, fast_load=fast_load if name in simulated else None)
        for name in devices
    ]
    task = prepare_source(
        source.data,
        source.target,
        source.drop_constant,
        options,
        source.one_hot,
        source.impute,
        source.given,
    )
    logger.info("%s: %d samples, step size %g", source.data, len(task.train.y), task.step)
    advise(task)
    epochs: list[EpochResult] = []
    saved = Checkpoint(files.checkpoint, task, resume=files.resume) if files.checkpoint else None
    done = saved.done if saved else ()
    if saved and not done:
        saved.save(())

    def show(record: dict[str, Any], text: str) -> None:
        line = json_line(record)
        out.print(line if as_json else text)
        if log:
            log.write(f"{line}\n")

    with ExitStack() as stack:
        # Not before the data is known to be good: what an earlier training has written is lost.
        log = stack.enter_context(writing(files.log)) if files.log else None
        opened = [stack.enter_context(closing(device(options.config))) for device in found]
        linked = opened[0].retries is not None
        table = report.columns(task.score_name, linked)
        if not as_json:
            out.print(report.heading_row(table))
        run = chain(done, compare(task, opened, done))
        for epoch in report.with_progress(run, len(task.jobs), bar):
            epochs.append(epoch)
            if len(epochs) > len(done):
                if saved:
                    saved.save(epochs)
                if files.snapshots and epoch.number in options.snapshots:
                    save_snapshot(files.snapshots, task, epoch)
            show(report.epoch_record(epoch, linked), report.epoch_row(table, epoch))
        record = report.summary(task, devices, epochs, linked)
        show({"summary": record}, report.summary_sentence(record))
    report.warn(task, epochs)
    return task, epochs


def save_snapshot(output: Path, task: Task, epoch: EpochResult) -> None:
    """Write the model after an epoch beside ``output``."""
    from ..files import replacing
    from ..training.model_file import dump_model

    name = f"{output.stem}-epoch{epoch.number}{output.suffix}"
    with replacing(output.with_name(name)) as stream:
        stream.write(dump_model(task.model(epoch.words)))


def main() -> None:
    """Entry point of ``zipsgd``."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("zipsgd").setLevel(logging.INFO)
    app(prog_name="zipsgd")
