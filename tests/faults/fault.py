"""A fault to plant: a small change of the gateware's source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A change of one place in the source.

    Parameters
    ----------
    name : str
    stage : str
        Module of `hdl`, ``room/module``.
    what : str
        What is wrong then.
    old, new : str
        Text that occurs once in the module, and what replaces it.
    geometry : str
        Configuration (`tests.geometries`), or test, on which the testbench sees it.
    bench : str
        The testbench that sees it, ``room/name`` below ``tests/hdl``, if not the module's.
    """

    name: str
    stage: str
    what: str
    old: str
    new: str
    geometry: str = "4x2"
    bench: str = ""

    @property
    def testbench(self) -> str:
        """The testbench that must fail."""
        return self.bench or self.stage

    def plant(self, root: Path) -> None:
        """Change the source below ``root``.

        Raises
        ------
        ValueError
            If the text to replace does not occur exactly once.
        """
        path = root / "hdl" / f"{self.stage}.py"
        source = path.read_text(encoding="utf-8")
        if source.count(self.old) != 1:
            raise ValueError(
                f"fault {self.name}: hdl/{self.stage}.py has {source.count(self.old)} places that "
                f"read {self.old!r} instead of one; adapt the fault below tests/faults"
            )
        path.write_text(source.replace(self.old, self.new), encoding="utf-8")
