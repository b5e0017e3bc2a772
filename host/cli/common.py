"""What commands share: options that several have, and those of a training."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Annotated, Any, get_type_hints

import typer
from typer import Context

from ..options.options import Options

DeviceName = Annotated[
    str,
    typer.Option(
        "--device", help="sim, sim-engine, golden, fast, serial:PORT[@BAUD] or replay:FILE."
    ),
]
FastLoad = Annotated[
    bool | None,
    typer.Option(
        "--fast-load/--no-fast-load",
        help="Put samples into the memory of sim without its link.",
        show_default="fast after the first MiB",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object a line.")]

CONTEXT = "context"
WRITTEN = "COMMANDLINE"
"""Name of the source of an option's value that is on the command line."""


def written(context: Context, names: Iterable[str]) -> frozenset[str]:
    """Those of a command's parameters that the user wrote; the others have their defaults."""
    sources = ((name, context.get_parameter_source(name)) for name in names)
    return frozenset(name for name, source in sources if source and source.name == WRITTEN)


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command(..., options, given)`` one command-line option a field of `Options`.

    ``given`` are the names of those fields that the user wrote, the others have their defaults.
    """
    hints = get_type_hints(Options, include_extras=True)
    extra = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(Options)
    ]
    signature = inspect.signature(command, eval_str=True)
    made = ("options", "given")
    own = [parameter for parameter in signature.parameters.values() if parameter.name not in made]
    own.append(inspect.Parameter(CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=Context))

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        context: Context = arguments.pop(CONTEXT)
        options = Options(**{parameter.name: arguments.pop(parameter.name) for parameter in extra})
        given = written(context, [option.name for option in extra])
        command(**arguments, options=options, given=given)

    parameters = [*own, *extra]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
