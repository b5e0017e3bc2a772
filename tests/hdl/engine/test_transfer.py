"""`hdl.engine.transfer` and `hdl.engine.lean_transfer` between a stream and rows of model words."""

from __future__ import annotations

from pathlib import Path

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.protocol import row_layout
from zipsgd.hdl.engine.lean_transfer import LeanTransfer
from zipsgd.hdl.engine.transfer import Transfer


class LentRow(wiring.Component):
    """`LeanTransfer` with the row that it shifts words into, as `hdl.engine.lean_update` has
    one."""

    def __init__(self, config: EngineConfig) -> None:
        self._transfer = LeanTransfer(config)
        members = {**self._transfer.signature.members, "row": Out(row_layout(config))}
        del members["shift"]
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.transfer = transfer = self._transfer
        wiring.connect(m, wiring.flipped(self.i), transfer.i)
        wiring.connect(m, transfer.o, wiring.flipped(self.o))
        inputs = ("job", "start", "cancel", "x")
        m.d.comb += [getattr(transfer, name).eq(getattr(self, name)) for name in inputs]
        outputs = ("done", "chunk", "write", "active")
        m.d.comb += [getattr(self, name).eq(getattr(transfer, name)) for name in outputs]
        row, word = self.row.as_value(), self.i.payload
        with m.If(transfer.shift):
            m.d.sync += row.eq(Cat(row[len(word) :], word))
        return m


@over(("4x2", "2x4", "16x4", "small", "spread"))
def test_transfer(geometry: str, simulator: str, tmp_path: Path) -> None:
    component = Transfer(GEOMETRIES[geometry])
    simulate(component, "hdl.engine.bench_transfer", geometry, simulator, tmp_path, lends=False)


@over(("4x2", "small"))
def test_lean_transfer(geometry: str, simulator: str, tmp_path: Path) -> None:
    component = LentRow(GEOMETRIES[geometry])
    simulate(component, "hdl.engine.bench_transfer", geometry, simulator, tmp_path, lends=True)
