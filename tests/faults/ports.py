"""Faults of what others talk to the engine through."""

from __future__ import annotations

from .fault import Fault

PORTS = (
    Fault(
        name="axi-lost-response",
        stage="axi/lite",
        what="a write does not wait until the last response has been taken",
        old="bus.write.eq(write_known & ~self.bvalid)",
        new="bus.write.eq(write_known)",
        geometry="narrow",
    ),
    Fault(
        name="axi-unsteady-response",
        stage="axi/lite",
        what="a read's response goes away whether it was taken or not",
        old="with m.Elif(self.rready):",
        new="with m.Else():",
        geometry="narrow",
    ),
    Fault(
        name="axi-path",
        stage="axi/lite",
        what="awready follows bready within the cycle",
        old="self.awready.eq(~have_address)",
        new="self.awready.eq(~have_address | (bus.write & self.bready))",
        geometry="narrow",
    ),
    Fault(
        name="axi-strobes",
        stage="axi/control",
        what="a byte of a register is written whether it is strobed or not",
        old="with m.If(chosen & bus.write & bus.write_bytes[byte]):",
        new="with m.If(chosen & bus.write):",
        geometry="narrow",
    ),
    Fault(
        name="axi-cut",
        stage="axi/control",
        what="of a value that does not fit its register the upper bits are dropped",
        old="chosen.eq(here & fits[register.bits])",
        new="chosen.eq(here)",
        geometry="narrow",
    ),
    Fault(
        name="axi-idle-bytes",
        stage="axi/control",
        what="a value is refused for bytes that are not strobed",
        old="bit.replicate(8) for bit",
        new="Const(255) for bit",
        geometry="narrow",
    ),
    Fault(
        name="axi-busy",
        stage="axi/control",
        what="starting a job while one is under way is answered as if it had been done",
        old="refused = ((start | clear) & ~self.job.ready)",
        new="refused = (clear & ~self.job.ready)",
        geometry="narrow",
    ),
    Fault(
        name="axi-sign",
        stage="axi/engine",
        what="words on streams are extended with zeros",
        old="value[-1].replicate(",
        new="(value[-1] & 0).replicate(",
        geometry="narrow",
    ),
    Fault(
        name="axi-last",
        stage="axi/engine",
        what="the second packet of margins of a job ends a group too late",
        old="Mux(last_group, groups, groups_left - 1)",
        new="groups_left - 1",
        geometry="narrow",
    ),
    Fault(
        name="link-crc",
        stage="link/receiver",
        what="a frame with a wrong CRC is taken for sound",
        old="sound.eq(item.sound & check.match & self._fits(m, count, item))",
        new="sound.eq(item.sound & self._fits(m, count, item))",
    ),
    Fault(
        name="link-block",
        stage="link/receiver",
        what="a frame that ends in the middle of a block is taken for sound",
        old="sound.eq(item.sound & check.match & self._fits(m, count, item))",
        new="sound.eq(check.match & self._fits(m, count, item))",
    ),
    Fault(
        name="link-room",
        stage="link/receiver",
        what="a frame that has lost bytes to a full buffer is kept",
        old="with m.If(~buffer.room):",
        new="with m.If(0):",
    ),
    Fault(
        name="link-repeat",
        stage="link/session",
        what="a request that came before the last is answered as if it were the last",
        old="again = ahead.all()",
        new="again = ahead[1:].all()",
    ),
    Fault(
        name="link-reset",
        stage="link/session",
        what="requests are executed before there is a session",
        old="(header.session != session) | (session == NO_SESSION)",
        new="header.session != session",
    ),
)
"""AXI and the link."""
