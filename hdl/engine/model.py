"""The two copies of the model."""

from __future__ import annotations

from amaranth.hdl import Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.protocol import row_layout
from ..lib.arith import fanout_tree, registered_read


class ModelMemory(wiring.Component):
    """``x``, which dot products, correction and host read, and ``acc``, which collects updates.

    Both are memories of rows (the words of a chunk) with one read and one write port.

    Latency: ``fanout_stages + read_latency`` from address to row; a written row can be read from
    the next cycle, and nothing relies on what is read in the cycle of a write. A reset may spoil a
    row. Throughput: one read of each copy and one write a cycle.

    Members
    -------
    x_chunk, acc_chunk : In(range(max_chunks))
    x, acc : Out(row_layout)
    chunk : In(range(max_chunks))
        Where ``row`` goes.
    write_x, write_acc : In(1)
        Whether each copy takes ``row``.
    row : In(row_layout)
        ``fanout_stages`` cycles after ``chunk`` and whether it is taken.
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
        config, lanes = self._config, self._config.lanes
        # Each part of a row has address registers of its own.
        parts = min(1 << config.fanout_stages, lanes)
        bits = lanes // parts * config.model_bits
        chunks = fanout_tree(m, self.chunk, config.fanout_stages, parts)
        copies = (
            ("x", self.x_chunk, self.x, self.write_x),
            ("acc", self.acc_chunk, self.acc, self.write_acc),
        )
        for name, address, row, takes in copies:
            addresses = fanout_tree(m, address, config.fanout_stages, parts)
            taking = fanout_tree(m, takes, config.fanout_stages, parts)
            for part in range(parts):
                m.submodules[f"{name}_{part}"] = copy = memory.Memory(
                    shape=unsigned(bits), depth=config.max_chunks, init=[]
                )
                read, write = copy.read_port(), copy.write_port()
                m.d.comb += [
                    read.addr.eq(addresses[part]),
                    read.en.eq(1),
                    write.addr.eq(chunks[part]),
                    write.data.eq(self.row.as_value().word_select(part, bits)),
                    write.en.eq(taking[part]),
                    row.as_value()
                    .word_select(part, bits)
                    .eq(registered_read(m, read, config.read_latency)),
                ]
        return m
