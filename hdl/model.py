"""The two copies of the model."""

from __future__ import annotations

from amaranth.hdl import Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .arith import shown
from .config import EngineConfig
from .protocol import row_layout


class Model(wiring.Component):
    """``x``, which dot products, correction and host read, and ``acc``, which collects updates.

    Both are memories of rows (the words of a chunk) with one read and one write port.

    Latency: ``read_latency`` from address to row; a written row can be read from the next cycle,
    and nothing relies on what is read in the cycle of a write.
    Throughput: one read of each copy and one write a cycle.

    Members
    -------
    x_chunk, acc_chunk : In(range(max_chunks))
    x, acc : Out(row_layout)
    chunk : In(range(max_chunks))
        Where ``row`` goes.
    row : In(row_layout)
    write_x, write_acc : In(1)
        Whether each copy takes ``row``.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        address, row = range(config.max_chunks), row_layout(config)
        super().__init__(
            {
                "x_chunk": In(address),
                "acc_chunk": In(address),
                "x": Out(row),
                "acc": Out(row),
                "chunk": In(address),
                "row": In(row),
                "write_x": In(1),
                "write_acc": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        copies = (
            ("x", self.x_chunk, self.x, self.write_x),
            ("acc", self.acc_chunk, self.acc, self.write_acc),
        )
        for name, address, row, takes in copies:
            m.submodules[name] = copy = memory.Memory(
                shape=unsigned(config.lanes * config.model_bits), depth=config.max_chunks, init=[]
            )
            read = copy.read_port()
            write = copy.write_port()
            m.d.comb += [
                read.addr.eq(address),
                read.en.eq(1),
                write.addr.eq(self.chunk),
                write.data.eq(self.row.as_value()),
                write.en.eq(takes),
            ]
            m.d.comb += row.as_value().eq(shown(m, read, config.read_latency))
        return m
