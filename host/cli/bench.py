"""The commands ``zipsgd bench ...``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ..options.options import Options
from .common import DeviceName, Json, takes_options

app = typer.Typer(no_args_is_help=True, help="Measure what the README states.")


@app.command()
def convergence(
    data: Annotated[list[str], typer.Argument(metavar="DATA...", help="As for train.")],
    device: Annotated[
        str | None,
        typer.Option(help="As for train.", show_default="sim; fast for logistic"),
    ] = None,
    loss: Annotated[
        Literal["least-squares", "logistic"], typer.Option(help="What training minimises.")
    ] = "least-squares",
    bits: Annotated[int, typer.Option(help="Bits of a code, for logistic.")] = Options.bits,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings to average, for logistic.")] = 3,
    all_rounded: Annotated[
        bool,
        typer.Option(
            "--all-rounded", help="Scale two-valued columns like all others, for logistic."
        ),
    ] = False,
) -> None:
    """4 bits with double sampling against 8 bits or float64, and against simpler roundings."""
    if loss == "logistic":
        from ..bench.logistic import logistic

        logistic(data, device or "fast", bits, seeds, not all_rounded)
        return
    from ..bench.simulator import convergence as measure

    measure(data, device or "sim")


@app.command()
def utilisation() -> None:
    """Beats a cycle of the simulated engine, and its cycles against the cycle model."""
    from ..bench.simulator import utilisation as measure

    measure()


@app.command()
def sim_speed() -> None:
    """Cycles a second of the simulated engine, rounding and weaving included."""
    from ..bench.simulator import sim_speed as measure

    measure()


@app.command()
def cycles(as_json: Json = False) -> None:
    """Cycles a sample, measured and predicted, beside the published engines of equal width."""
    from ..bench.cycles import cycles as measure

    measure(as_json)


@app.command()
def time_to_loss(as_json: Json = False) -> None:
    """Cycles to one and the same loss at 32, 8, 4 and 3 bits, on one engine; a minute."""
    from ..bench.time_to_loss import time_to_loss as measure

    measure(as_json=as_json)


@app.command()
def host(as_json: Json = False) -> None:
    """Speed from a file to a packed set, stage by stage, beside scikit-learn."""
    from ..bench.host import host as measure

    measure(as_json)


LinkedName = Annotated[str, typer.Option("--device", help="sim or serial:PORT[@BAUD].")]


@app.command()
def link(device: LinkedName = "sim", as_json: Json = False) -> None:
    """Upload and read-back rate of a device's link; the simulated one is a UART of 3 Mbaud."""
    from ..bench.link import link as measure

    measure(device, as_json)


@app.command()
def compute(
    device: LinkedName = "sim",
    clock_mhz: Annotated[
        float | None,
        typer.Option(
            min=1e-3,
            help="Clock for which samples a second are predicted.",
            show_default="the board's; 80 for sim",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Cycles and utilisation of a training from the device's memory, without its link."""
    from ..bench.compute import compute as measure

    measure(device, None if clock_mhz is None else clock_mhz * 1e6, as_json)


@app.command()
def end_to_end(device: LinkedName = "sim", as_json: Json = False) -> None:
    """A training from text to model on a device: parse, round, upload, train, read back."""
    from ..bench.end_to_end import end_to_end as measure

    measure(device, as_json)


@app.command()
@takes_options
def step(
    data: Annotated[list[str], typer.Argument(metavar="DATA...", help="As for train.")],
    *,
    device: DeviceName = "fast",
    as_json: Json = False,
    options: Options,
    given: frozenset[str],
) -> None:
    """Final loss with --step auto, beside that with the best power of two."""
    from ..bench.step import step as measure

    measure(data, device, options, as_json)
