"""First-in first-out storage whose reader knows when data is there."""

from __future__ import annotations

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import is_power_of_two
from .arith import registered_read


class Ring(wiring.Component):
    """A circular buffer: the replay buffer of beats, and the queue of errors.

    It has no flags: the slot rule says what is in it, and a job that would overflow it is refused,
    by the host (`hdl.contract.job.Job.check`) and by the engine itself
    (`hdl.contract.protocol.Error`). After a pass everything that was written has been read, unless
    it was cancelled.

    Latency: ``item`` shows the item at the reader's place ``read_latency`` cycles later; an item
    can be read from the cycle after its write. Throughput: one write and one read a cycle, but not
    at the same place: a full ring takes nothing until the cycle after ``advance``.

    Parameters
    ----------
    shape : ShapeLike
        Shape of an item.
    depth : int
        Items; a power of two.
    read_latency : int
        See `hdl.contract.config.EngineConfig`.

    Members
    -------
    i : In(shape)
    write : In(1)
        Append ``i``.
    advance : In(1)
        The reader is done with the item at its place.
    item : Out(shape)
    clear : In(1)
        Forget what is inside.
    """

    def __init__(self, shape: ShapeLike, depth: int, read_latency: int) -> None:
        if not is_power_of_two(depth):
            raise ValueError(f"depth must be a power of two, not {depth}")
        self._depth, self._read_latency = depth, read_latency
        super().__init__(
            {
                "i": In(shape),
                "write": In(1),
                "advance": In(1),
                "item": Out(shape),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Without an output register there is little else than block RAM, be it for two items.
        block = {"ram_style": "block"} if self._read_latency == 1 else {}
        m.submodules.memory = store = memory.Memory(
            shape=self.i.shape(), depth=self._depth, init=[], attrs=block
        )
        write, read = store.write_port(), store.read_port()
        tail, head = Signal(range(self._depth)), Signal(range(self._depth))
        m.d.comb += [
            write.addr.eq(tail),
            write.data.eq(self.i),
            write.en.eq(self.write),
            read.addr.eq(head),
            read.en.eq(1),
            self.item.eq(registered_read(m, read, self._read_latency)),
        ]
        m.d.sync += [
            tail.eq(tail + self.write),
            head.eq(head + self.advance),
        ]
        with m.If(self.clear):
            m.d.sync += [tail.eq(0), head.eq(0)]
        return m
