"""The command ``zipsgd doctor``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ..errors import ToolMissingError
from ..json_lines import json_line


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object a line.")] = False,
) -> None:
    """Check tools, ports and permissions; exit 3 if something that the simulator needs is missing.

    What only other tests or boards need is shown, and no error.
    """
    from ..devices.doctor import examine

    missing = []
    for finding in examine():
        if not finding.good and finding.purpose == "simulator":
            missing.append(finding.subject)
        if as_json:
            typer.echo(json_line(asdict(finding)))
            continue
        fix = f"; {finding.fix}" if finding.fix else ""
        state = "ok" if finding.good else "missing"
        typer.echo(f"{state:8}{finding.subject:16}{finding.purpose:10} {finding.found}{fix}")
    if missing:
        raise ToolMissingError(
            f"the simulator needs what is missing here: {', '.join(missing)}; the lines above say "
            "how to get it (--device golden trains without)"
        )
