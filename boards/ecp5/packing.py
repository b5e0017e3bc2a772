"""What yosys leaves unpacked for ECP5: registers of block RAM and DSP, gates before carry cells,
the ends of carry chains.

A block RAM without its output register takes 5.6 ns from clock to data, a multiplier between
registers outside 3.9 ns; with the registers that both have inside it is 0.6 ns. The two LUTs beside
a carry chain read four signals a place, of which an adder uses two. `pack` moves what can be moved;
the netlist does in every cycle what it did before (tested by simulating both).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product
from typing import Any

from .chains import CARRY, starts, tighten
from .netlist import LUT_PINS, Bit, Cell, Netlist

PRODUCT_BITS, FACTOR_BITS = 36, 18
RAM, RAM_PORT_BITS = "DP16KD", 18
MULTIPLIER = "MULT18X18D"


@dataclass
class Report:
    """What `pack` moved, and how many chains it tightened."""

    ram_registers: int = 0
    product_registers: int = 0
    factor_registers: int = 0
    resets: int = 0
    gates: int = 0
    chains: int = 0


def pack(netlist: dict[str, Any], top: str) -> Report:
    """Pack module ``top`` of a flat netlist, in place.

    Raises
    ------
    KeyError
        If there is no such module.
    """
    module, report = netlist["modules"][top], Report()
    state = Netlist(module["cells"])
    state.ports = {bit for port in module["ports"].values() for bit in port["bits"]}
    # Memories first: a register between a memory and a multiplier is worth more to the memory.
    for kind, step in ((RAM, _pack_ram), (MULTIPLIER, _pack_multiplier), (CARRY, _pack_gates)):
        for name in [name for name, cell in state.cells.items() if cell["type"] == kind]:
            step(state, name, report)
    report.chains = sum(tighten(state, name) for name in starts(state))
    _remove_unused(state)
    return report


# Registers.


def _plain_register(cell: Cell, clock: Bit | None = None, *, resets: bool = False) -> bool:
    """Whether ``cell`` is a register without enable that starts at 0; without a reset, too, unless
    it may have one that acts at its clock."""
    parameters, connections = cell["parameters"], cell["connections"]
    return (
        cell["type"] == "TRELLIS_FF"
        and parameters["CEMUX"].strip() == "1"
        and parameters["CLKMUX"] == "CLK"
        and parameters["REGSET"] == "RESET"
        and (connections.get("LSR", ["0"]) == ["0"] or (resets and _resets_at_clock(parameters)))
        and (clock is None or connections["CLK"] == [clock])
    )


def _resets_at_clock(parameters: dict[str, str]) -> bool:
    return (parameters.get("SRMODE"), parameters.get("LSRMUX")) == ("LSR_OVER_CE", "LSR")


def _output_registers(state: Netlist, pins: Iterable[tuple[str, Bit]]) -> dict[str, str] | None:
    """The register behind each of a cell's output pins, if every used pin has one and nothing else
    reads it; all on one clock."""
    found: dict[str, str] = {}
    clocks = set()
    for pin, bit in pins:
        if not state.is_used(bit):
            continue
        readers = state.users[bit]
        if len(readers) != 1 or bit in state.ports:
            return None
        name, port, _ = next(iter(readers))
        if port != "DI" or not _plain_register(state.cells[name]):
            return None
        clocks.add(state.cells[name]["connections"]["CLK"][0])
        found[pin] = name
    return found if len(clocks) == 1 else None


def _absorb(state: Netlist, name: str, registers: dict[str, str]) -> Bit:
    """Let a cell's pins drive what its registers drove; returns their clock."""
    clock: Bit = "0"
    for pin, register in registers.items():
        connections = state.cells[register]["connections"]
        (clock,), (bit,) = connections["CLK"], connections["Q"]
        state.remove(register)
        state.drive(name, pin, bit)
    return clock


def _pack_ram(state: Netlist, name: str, report: Report) -> None:
    """Use the output registers of each side, or of both if they are read together, 36 bits wide:
    then both are on side B's clock."""
    cell = state.cells[name]
    connections, parameters = cell["connections"], cell["parameters"]
    wide = int(parameters["DATA_WIDTH_B"], 2) > RAM_PORT_BITS
    for sides in ("AB",) if wide else ("A", "B"):
        outputs = [f"DO{side}{n}" for side in sides for n in range(RAM_PORT_BITS)]
        pins = [(pin, connections[pin][0]) for pin in outputs if pin in connections]
        registers = _output_registers(state, pins)
        if not registers or any(parameters[f"REGMODE_{side}"] != "NOREG" for side in sides):
            continue
        clock = state.cells[next(iter(registers.values()))]["connections"]["CLK"]
        if connections[f"CLK{sides[-1]}"] != clock:
            continue
        _absorb(state, name, registers)
        for side in sides:
            parameters[f"REGMODE_{side}"] = "OUTREG"
            state.connect(name, f"OCE{side}", "1")
        report.ram_registers += len(registers)


def _pack_multiplier(state: Netlist, name: str, report: Report) -> None:
    cell = state.cells[name]
    outputs = [(f"P{n}", cell["connections"][f"P{n}"][0]) for n in range(PRODUCT_BITS)]
    registers = _output_registers(state, outputs)
    if not registers:
        return
    clock = _absorb(state, name, registers)
    cell["parameters"]["REG_OUTPUT_CLK"] = "CLK0"
    report.product_registers += len(registers)
    for pin, bit in (("CLK0", clock), ("CE0", "1"), ("RST0", "0")):
        state.connect(name, pin, bit)
    factors = {factor: _factor_registers(state, name, factor, clock) for factor in "AB"}
    # Of one alone nextpnr says that its timing is that of none, and takes the path to it for one
    # through the multiplier.
    if not all(factors.values()):
        return
    for factor, moved in factors.items():
        for pin, register in moved.items():
            state.connect(name, pin, _before(state, register, report))
        cell["parameters"][f"REG_INPUT{factor}_CLK"] = "CLK0"
        report.factor_registers += len(moved)


def _before(state: Netlist, register: str, report: Report) -> Bit:
    """What a register takes; its reset, if it has one, becomes a gate before it."""
    connections = state.cells[register]["connections"]
    (bit,), (reset,) = connections["DI"], connections.get("LSR", ["0"])
    if reset == "0":
        return bit
    report.resets += 1
    return state.gate(f"{register}_RESET", BUT_NOT, bit, reset)


BUT_NOT = "0010" * 4
"""A LUT's content: A & ~B."""


def _factor_registers(state: Netlist, name: str, factor: str, clock: Bit) -> dict[str, str]:
    """The register before each pin of a multiplier's input; none unless all that is not 0 comes
    from registers on its clock."""
    pins = [f"{factor}{n}" for n in range(FACTOR_BITS)]
    bits = [state.cells[name]["connections"][pin][0] for pin in pins]
    sources = [state.drivers.get(bit) if isinstance(bit, int) else None for bit in bits]
    if not all(source or bit == "0" for source, bit in zip(sources, bits, strict=True)):
        return {}
    moved = {pin: source for pin, source in zip(pins, sources, strict=True) if source}
    plain = all(
        _plain_register(state.cells[register], clock, resets=True) for register in moved.values()
    )
    return moved if plain else {}


# Gates.


@dataclass(frozen=True)
class _Function:
    """A Boolean function: bit i of ``table`` is its value where input n is bit n of i."""

    inputs: tuple[Bit, ...]
    table: int

    def __call__(self, values: dict[Bit, int]) -> int:
        place = sum(values[bit] << n for n, bit in enumerate(self.inputs))
        return self.table >> place & 1


def _signal(bit: Bit) -> _Function:
    return _Function((), int(bit == "1")) if isinstance(bit, str) else _Function((bit,), 0b10)


def _lut(cell: Cell) -> _Function:
    """The function of a LUT4, of the inputs that matter."""
    init = int(cell["parameters"]["INIT"], 2)
    pins = [cell["connections"][pin][0] for pin in LUT_PINS]
    inputs = tuple(dict.fromkeys(bit for bit in pins if isinstance(bit, int)))
    table = 0
    for place, values in enumerate(_assignments(inputs)):
        known: dict[Bit, int] = {"0": 0, "1": 1, "x": 0, **values}
        index = sum(known[bit] << n for n, bit in enumerate(pins))
        table |= (init >> index & 1) << place
    return _Function(inputs, table)


def _assignments(inputs: tuple[Bit, ...]) -> Iterable[dict[Bit, int]]:
    for values in product((0, 1), repeat=len(inputs)):
        yield dict(zip(inputs, reversed(values), strict=True))


def _pack_gates(state: Netlist, name: str, report: Report) -> None:
    """Draw the LUTs before an adder's operands into its own."""
    cell = state.cells[name]
    for half in "01":
        parameter, connections = f"INIT{half}", cell["connections"]
        pins = [f"{pin}{half}" for pin in LUT_PINS]
        a, b, invert, one = (connections[pin][0] for pin in pins)
        if cell["parameters"][parameter] != ADDER or one != "1" or invert not in ("0", "1"):
            continue
        for expanded in ((a, b), (b,), (a,)):
            gates = [state.drivers.get(bit) for bit in expanded if isinstance(bit, int)]
            if len(gates) != len(expanded):
                continue
            if any(g is None or state.cells[g]["type"] != "LUT4" for g in gates):
                continue
            left, right = (
                _lut(state.cells[state.drivers[bit]]) if bit in expanded else _signal(bit)
                for bit in (a, b)
            )
            found = _carry_cell(*_renamed(left, right), invert == "1")
            if found is None:
                continue
            order, init = found
            inputs = tuple(dict.fromkeys(left.inputs + right.inputs))
            cell["parameters"][parameter] = f"{init:016b}"
            for pin, place in zip(pins, order, strict=True):
                state.connect(name, pin, inputs[place] if place < len(inputs) else "0")
            report.gates += len(expanded)
            break


ADDER = "1001011010101010"
"""What yosys gives a carry cell that adds: A ^ B ^ C where D is set, and A makes the carry."""


def _renamed(left: _Function, right: _Function) -> tuple[_Function, _Function]:
    """The same functions of inputs 0, 1, ..., so that equal ones are searched once."""
    names: dict[Bit, Bit] = {
        bit: n for n, bit in enumerate(dict.fromkeys(left.inputs + right.inputs))
    }
    return tuple(  # type: ignore[return-value]
        _Function(tuple(names[bit] for bit in f.inputs), f.table) for f in (left, right)
    )


@cache
def _carry_cell(
    left: _Function, right: _Function, invert: bool
) -> tuple[tuple[int, ...], int] | None:
    """Pins and content of half a carry cell that adds ``left`` and ``right`` (or its complement).

    The cell adds its LUT's value p and the carry; where p is 0 it passes on what the LUT says of
    its first two pins when the others are 0, which must be the operands' common value.
    """
    count = len({*left.inputs, *right.inputs})
    if count > len(LUT_PINS):
        return None
    for order in permutations(range(len(LUT_PINS))):
        init, carries = 0, []
        for pins in product((0, 1), repeat=len(LUT_PINS)):
            values: dict[Bit, int] = {place: pins[pin] for pin, place in enumerate(order)}
            operands = left(values), right(values) ^ invert
            place = sum(value << pin for pin, value in enumerate(pins))
            init |= (operands[0] ^ operands[1]) << place
            if operands[0] == operands[1] and not any(values[n] for n in range(count, 4)):
                carries.append((pins[0] | pins[1] << 1, operands[0]))
        if all(init >> index & 1 == carry for index, carry in carries):
            return order, init
    return None


def _remove_unused(state: Netlist) -> None:
    """Remove LUTs and registers that drive nothing any more."""
    waiting = [n for n, c in state.cells.items() if c["type"] in ("LUT4", "TRELLIS_FF")]
    while waiting:
        name = waiting.pop()
        cell = state.cells.get(name)
        if cell is None or cell["type"] not in ("LUT4", "TRELLIS_FF"):
            continue
        out = cell["connections"]["Z" if cell["type"] == "LUT4" else "Q"][0]
        if state.is_used(out):
            continue
        sources = [
            bit
            for pin, bits in cell["connections"].items()
            if cell["port_directions"][pin] == "input"
            for bit in bits
        ]
        state.remove(name)
        waiting += [state.drivers[bit] for bit in sources if bit in state.drivers]
