"""Placements that are refined stay placements of the same design, and get faster."""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zipsgd.boards import place_and_route as flow
from zipsgd.boards.bare import Bare
from zipsgd.boards.ecp5 import refinement
from zipsgd.boards.ecp5.places import PLACE, Places, clusters
from zipsgd.boards.ecp5.refinement import refine
from zipsgd.boards.ecp5.timing import Cell, Floats, Timing
from zipsgd.boards.flows import FLOWS, TOP
from zipsgd.boards.targets import TARGETS
from zipsgd.hdl.contract.presets import ENGINES
from zipsgd.hdl.engine.engine import Engine
from zipsgd.hdl.lib.verilog import to_verilog

PART = replace(TARGETS["ecp5-25k"], clock_mhz=80)
SEED = 1
HURRY_NS = 2.0
"""A period so short that every path is slow."""


class Run:
    """An engine that was placed, refined and routed."""

    def __init__(self, folder: Path) -> None:
        engine = to_verilog(Bare(Engine(ENGINES["small"])), TOP)
        netlist = flow.synthesise(engine, "ecp5", folder)
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}

        def keep(design: dict[str, Any], top: str, period_ns: float, fill: float) -> int:
            self.before = deepcopy(design)
            moved = refine(design, top, period_ns, fill)
            self.after = deepcopy(design)
            return moved

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(flow, "refine", keep)
            # Else it would go on until it reaches what cannot be reached.
            patch.setitem(FLOWS, "ecp5", replace(FLOWS["ecp5"], routing=("--router", "router2")))
            seeds = range(SEED, SEED + 1)
            (self.result,) = flow.place_and_route(netlist, PART, seeds, PART.constraints)


@pytest.fixture
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refinement, "ROUNDS", 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("refined"))


def cells_of(design: dict[str, Any]) -> dict[str, Cell]:
    cells = design["modules"][TOP]["cells"]
    return {name: cell for name, cell in cells.items() if PLACE in cell["attributes"]}


def without_places(design: dict[str, Any]) -> dict[str, Any]:
    bare = deepcopy(design)
    for cell in bare["modules"][TOP]["cells"].values():
        cell["attributes"].pop(PLACE, None)
    return bare


def slacks(design: dict[str, Any], period: float) -> Floats:
    cells = list(cells_of(design).values())
    timing, places = Timing(cells), Places(cells)
    return timing.slacks(timing.delays(places.x, places.y), period)


def scattered(design: dict[str, Any]) -> dict[str, Any]:
    """The design with a tenth of its small clusters anywhere."""
    rng = np.random.default_rng(SEED)
    far = deepcopy(design)
    cells = list(cells_of(far).values())
    places = Places(cells)
    for cluster in clusters(cells, Timing(cells), places):
        if cluster.small and rng.random() < 0.1:
            places.move(cluster, *rng.integers(-30, 31, 2).tolist())
    for n, cell in enumerate(cells):
        cell["attributes"][PLACE] = places.name(n)
    return far


@pytest.mark.usefixtures("few_rounds")
def test_refined_designs_are_faster(run: Run) -> None:
    """What lies far away comes back: the worst wire, and all that are late together."""
    period = 1000 / PART.clock_mhz
    before = scattered(run.before)
    after = deepcopy(before)
    refine(after, TOP, period)
    late = [-np.minimum(slacks(design, period), 0) for design in (before, after)]
    assert late[1].max() < 0.7 * late[0].max()
    assert late[1].sum() < 0.3 * late[0].sum()


def test_the_estimate_is_near_what_is_routed(run: Run) -> None:
    """The slowest path of the estimate, against nextpnr's."""
    slowest = -slacks(run.after, period=0.0).min()
    assert slowest == pytest.approx(1000 / run.result.clock_mhz, rel=0.2)


@pytest.mark.usefixtures("few_rounds")
def test_a_refined_design_is_the_same_elsewhere(run: Run) -> None:
    """Slices as `nextpnr` fills them, tiles with no more control wires than there are, wires
    within slices as they were, and blocks where there were such blocks; before, too."""
    hurried = deepcopy(run.before)
    moved = refine(hurried, TOP, HURRY_NS)
    assert without_places(hurried) == without_places(run.before)
    before, after = cells_of(run.before), cells_of(hurried)
    places = {name: cell["attributes"][PLACE] for name, cell in after.items()}
    others = {name for name in after if places[name] != before[name]["attributes"][PLACE]}
    assert len(others) == moved > len(after) / 10
    assert {after[name]["type"] for name in others} >= {"TRELLIS_COMB", "TRELLIS_FF"}
    assert sites_of_blocks(before) == sites_of_blocks(after)
    assert len(set(places.values())) == len(places)
    for cells in (before, after):
        check_slices(cells)
    assert within_slices(before) == within_slices(after)


def sites_of_blocks(cells: dict[str, Cell]) -> set[tuple[str, str]]:
    """All that is no logic: the places, and what is there."""
    return {
        (cell["attributes"][PLACE], cell["type"])
        for cell in cells.values()
        if not cell["type"].startswith("TRELLIS_") or cell["type"] == "TRELLIS_IO"
    }


def check_slices(cells: dict[str, Cell]) -> None:
    """The rules of a tile, from its contents alone."""
    tiles: dict[str, dict[str, Cell]] = defaultdict(dict)
    for cell in cells.values():
        tile, _, site = cell["attributes"][PLACE].rpartition("/")
        if site.startswith("SLICE"):
            tiles[tile][site] = cell
    assert tiles

    def net(cell: Cell, pin: str) -> Any:
        return tuple(cell["connections"].get(pin, ()))

    for sites in tiles.values():
        registers = {site: cell for site, cell in sites.items() if ".FF" in site}
        for pin in ("CLK", "LSR"):
            assert len({net(cell, pin) for cell in registers.values()} - {()}) <= 2
        for slice_ in {site[:6] for site in sites}:
            halves = [sites.get(f"{slice_}.K{half}") for half in "01"]
            modes = {cell["parameters"].get("MODE", "LOGIC").strip() for cell in halves if cell}
            assert len(modes) <= 1, modes
            pair = [cell for site, cell in registers.items() if site.startswith(slice_)]
            assert len({(net(cell, "CE"), net(cell, "LSR")) for cell in pair}) <= 1
            for half, lut in zip("01", halves, strict=True):
                register = sites.get(f"{slice_}.FF{half}")
                if lut and register and net(lut, "M"):
                    assert not net(register, "M")
                if register and net(register, "DI"):
                    assert lut, "a register takes the LUT beside it"
                    assert net(register, "DI") in (net(lut, "F"), net(lut, "OFX"))


def within_slices(cells: dict[str, Cell]) -> set[tuple[str, str, int, int]]:
    """Cells that wires of slices alone join, and how far they are apart."""
    listed = list(cells.values())
    timing, places, names = Timing(listed), Places(listed), list(cells)
    ends = zip(timing.source[timing.fixed], timing.sink[timing.fixed], strict=True)
    return {
        (names[a], names[b], int(places.x[a] - places.x[b]), int(places.y[a] - places.y[b]))
        for a, b in ends
    }


def test_the_router_is_told_how_to_negotiate(run: Run) -> None:
    """By settings of the netlist, where those of the step before would win; the tool says nothing
    of one that it does not know, so their names are looked up in it."""
    settings = run.before["modules"][TOP]["settings"]
    assert settings.items() >= dict(FLOWS["ecp5"].settings).items()
    assert not [name for name in settings if name.startswith("placer") or name == "router"]
    program = resources.files(FLOWS["ecp5"].place.package).joinpath("nextpnr-ecp5.wasm")
    known = program.read_bytes()
    assert [name for name, _ in FLOWS["ecp5"].settings if name.encode() not in known] == []


@pytest.mark.usefixtures("few_rounds")
def test_nothing_is_left_to_chance(run: Run) -> None:
    designs = [deepcopy(run.before) for _ in range(2)]
    for design in designs:
        refine(design, TOP, HURRY_NS)
    assert designs[0] == designs[1]


# Rules, one at a time.


def register(place: str, *, enable: int | None = None, reset: int | None = None) -> Cell:
    connections = {"CLK": [1], "M": [2], "CE": [enable], "LSR": [reset], "Q": []}
    return {
        "type": "TRELLIS_FF",
        "parameters": {"SD": "0"},
        "attributes": {PLACE: place},
        "connections": {pin: bits if bits != [None] else [] for pin, bits in connections.items()},
        "port_directions": dict.fromkeys(connections, "input"),
    }


def logic(place: str, mode: str = "LOGIC", **connections: int) -> Cell:
    return {
        "type": "TRELLIS_COMB",
        "parameters": {"MODE": mode},
        "attributes": {PLACE: place},
        "connections": {pin: [bit] for pin, bit in connections.items()},
        "port_directions": {pin: "output" if pin == "F" else "input" for pin in connections},
    }


def block(place: str, **connections: int) -> Cell:
    """A block RAM with output registers."""
    return {
        "type": "DP16KD",
        "parameters": {"REGMODE_A": "OUTREG"},
        "attributes": {PLACE: place},
        "connections": {pin: [bit] for pin, bit in connections.items()},
        "port_directions": {
            pin: "output" if pin.startswith("DO") else "input" for pin in connections
        },
    }


FULL = [logic(f"X2/Y2/SLICE{s}.K{half}", A=3) for s in "ABCD" for half in "01"]
ELSEWHERE = "X3/Y2/SLICEA.{}0"


@pytest.mark.parametrize(
    ("moving", "there", "to"),
    [
        (register(ELSEWHERE.format("FF")), [], "X2/Y2/SLICEA.FF0"),
        (register(ELSEWHERE.format("FF")), [register("X2/Y2/SLICEA.FF0")], "X2/Y2/SLICEA.FF1"),
        (
            register(ELSEWHERE.format("FF"), enable=5),
            [register("X2/Y2/SLICEA.FF0", enable=6)],
            "X2/Y2/SLICEB.FF0",
        ),
        (
            register(ELSEWHERE.format("FF"), reset=5),
            [register(f"X2/Y2/SLICE{'ABC'[n]}.FF0", reset=6 + n) for n in range(2)],
            None,
        ),
        (register(ELSEWHERE.format("FF")), [logic("X2/Y2/SLICEA.K0", M=4)], "X2/Y2/SLICEA.FF1"),
        (logic(ELSEWHERE.format("K"), A=3), [], "X2/Y2/SLICEA.K0"),
        (
            logic(ELSEWHERE.format("K"), A=3),
            [logic("X2/Y2/SLICEA.K0", "CCU2", A=3)],
            "X2/Y2/SLICEB.K0",
        ),
        (logic(ELSEWHERE.format("K"), A=3), FULL, None),
        (logic(ELSEWHERE.format("K"), "DPRAM", A=3), [register("X2/Y2/SLICED.FF1")], None),
    ],
    ids=[
        "free",
        "same controls",
        "another enable",
        "a third reset",
        "its input is taken",
        "free LUT",
        "beside a carry cell",
        "full",
        "alone",
    ],
)
def test_rules_of_a_tile(moving: Cell, there: list[Cell], to: str | None) -> None:
    # Two more say where there is logic at all.
    cells = [moving, *there, logic("X2/Y3/SLICEA.K0"), logic("X3/Y2/SLICED.K1")]
    places = Places(cells)
    (cluster,) = (c for c in clusters(cells, Timing(cells), places) if 0 in c.cells)
    assert places.move(cluster, -1, 0) == (to is not None)
    assert places.name(0) == (to or moving["attributes"][PLACE])


def test_a_block_makes_no_room() -> None:
    """A memory of LUTs would like to be where it is, and there is logic where it could go."""
    cells = [
        logic("X2/Y2/SLICEA.K0", "DPRAM", A=3, F=4),
        *(register(f"X30/Y2/SLICEA.FF{n}") for n in range(2)),
        block("X30/Y3/EBR0", DOA0=20),
        logic("X30/Y4/SLICEA.K0"),
    ]
    for cell in cells[1:3]:
        cell["connections"]["M"] = [4]
    names = [str(n) for n in range(len(cells))]
    design = {"modules": {TOP: {"cells": dict(zip(names, cells, strict=True))}}}
    refine(design, TOP, HURRY_NS)
    assert cells[3]["attributes"][PLACE] == "X30/Y3/EBR0"


def test_nothing_moves_where_there_is_no_logic() -> None:
    cells = [logic("X2/Y2/SLICEA.K0", A=3), logic("X3/Y3/SLICEA.K0", A=3)]
    places = Places(cells)
    cluster = clusters(cells, Timing(cells), places)[0]
    assert not places.move(cluster, 0, 5)
    assert places.name(0) == "X2/Y2/SLICEA.K0"


def test_blocks_change_places() -> None:
    """Of those that lie across from the registers that read them; with no logic there is no tile to
    which these could come instead. One of a kind stays where it is."""
    sites = ["X10/Y8/EBR0", "X60/Y8/EBR1", "X10/Y8/MULT18_0"]
    tiles = ["X60/Y9", "X10/Y9", "X60/Y10"]
    cells = {f"block {n}": block(site, DOA0=20 + n) for n, site in enumerate(sites)}
    cells["block 2"]["type"] = "MULT18X18D"
    for n, tile in enumerate(tiles):
        cells[f"reader {n}"] = register(f"{tile}/SLICEA.FF0")
        cells[f"reader {n}"]["connections"]["M"] = [20 + n]
    assert refine({"modules": {TOP: {"cells": cells}}}, TOP, HURRY_NS) == 2
    after = [cells[f"block {n}"]["attributes"][PLACE] for n in range(len(sites))]
    assert after == [sites[1], sites[0], sites[2]]


def test_a_loop_is_said() -> None:
    ring = [logic(f"X2/Y2/SLICEA.K{n}", A=n, F=1 - n) for n in range(2)]
    with pytest.raises(ValueError, match="loop without a register"):
        Timing(ring)


def test_a_place_of_another_family_is_said() -> None:
    with pytest.raises(ValueError, match="no place of an ECP5: R1C2"):
        Places([logic("R1C2")])


def test_a_path_is_as_long_as_its_parts() -> None:
    """Register, LUT, register: what they take, and columns and rows between."""
    start = register("X2/Y2/SLICEA.FF0") | {"connections": {"CLK": [1], "Q": [7]}}
    start["port_directions"] = {"CLK": "input", "Q": "output"}
    middle = logic("X5/Y2/SLICEA.K0", A=7, F=2)
    cells = [start, middle, register("X5/Y9/SLICEA.FF0")]
    timing, places = Timing(cells), Places(cells)
    slacks = timing.slacks(timing.delays(places.x, places.y), period=10.0)
    path = 0.525 + (0.75 + 3 * 0.06) + 0.236 + (0.7 + 7 * 0.075)
    assert slacks == pytest.approx(np.full(2, 10 - path))


@pytest.mark.usefixtures("few_rounds")
def test_refinement_moves_a_far_register_near() -> None:
    """A register between two others goes where both paths are equal."""
    cells = {}
    for n, place in enumerate(("X2/Y2/SLICEA.FF0", "X4/Y2/SLICEA.FF0", "X40/Y2/SLICEA.FF0")):
        cells[str(n)] = register(place) | {
            "connections": {"CLK": [1], "M": [10 + n], "Q": [11 + n]}
        }
        cells[str(n)]["port_directions"] = {"CLK": "input", "M": "input", "Q": "output"}
    cells["from"] = block("X2/Y3/EBR0", DOA0=10)
    cells["to"] = block("X40/Y3/EBR0", DIA0=13)
    for x in range(2, 41):
        cells[f"tile {x}"] = logic(f"X{x}/Y2/SLICED.K0")
    design = {"modules": {TOP: {"cells": cells}}}
    assert refine(design, TOP, 2.0) > 0
    columns = [int(cells[str(n)]["attributes"][PLACE].split("/")[0][1:]) for n in range(3)]
    assert columns == sorted(columns)
    assert 15 < columns[1] < 28, columns


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.usefixtures("few_rounds")
def test_what_is_not_on_a_slow_path_makes_room(busy: bool) -> None:
    """For a chain, of which only a whole slice can move; what is on one stays."""
    low = logic("X12/Y2/SLICEA.K0", "CCU2", A=10, FCO=11)
    high = logic("X12/Y2/SLICEA.K1", "CCU2", FCI=11, F=12)
    low["port_directions"]["FCO"] = "output"
    cells = {
        "from": block("X5/Y2/EBR0", DOA0=10),
        "to": block("X5/Y2/EBR1", DIA0=12),
        "low": low,
        "high": high,
    }
    # Every slice of the tile between them, and every LUT's path as slow or none.
    for n, slice_ in enumerate("ABCD"):
        source = 10 if busy else 20 + n
        cells[f"lut {n}"] = logic(f"X5/Y2/SLICE{slice_}.K1", A=source, F=30 + n)
        if busy:
            cells["to"]["connections"][f"DIB{n}"] = [30 + n]
            cells["to"]["port_directions"][f"DIB{n}"] = "input"
    for x in range(3, 13):
        cells[f"tile {x}"] = logic(f"X{x}/Y3/SLICED.K0")
    design = {"modules": {TOP: {"cells": cells}}}
    refine(design, TOP, 2.0)
    tiles = [cell["attributes"][PLACE].split("/S")[0] for cell in (low, high)]
    assert tiles[0] == tiles[1] != "X12/Y2"
    assert (tiles[0] == "X5/Y2") != busy


@pytest.mark.usefixtures("few_rounds")
def test_a_path_through_a_lut_is_seen_whole() -> None:
    """The LUT beside a register gains nothing alone: it goes ahead, and the register follows."""
    first = register("X4/Y2/SLICEA.FF0") | {"connections": {"CLK": [1], "M": [10], "Q": [11]}}
    first["port_directions"] = {"CLK": "input", "M": "input", "Q": "output"}
    cells = {
        "from": block("X2/Y3/EBR0", DOA0=10),
        "to": block("X40/Y3/EBR0", DIA0=12),
        "register": first,
        "lut": logic("X4/Y2/SLICEB.K0", A=11, F=12),
    } | {f"tile {x}": logic(f"X{x}/Y2/SLICED.K0") for x in range(2, 41)}
    refine({"modules": {TOP: {"cells": cells}}}, TOP, 4.0)
    timing, places = Timing(list(cells.values())), Places(list(cells.values()))
    slacks = timing.slacks(timing.delays(places.x, places.y), 4.0)
    # Shared out as well as can be, the three wires between the blocks leave 0.4 ns.
    assert slacks.min() > 0.25


def test_time_before_the_clock_counts() -> None:
    source = register("X2/Y2/SLICEA.FF0") | {"connections": {"CLK": [1], "Q": [7]}}
    source["port_directions"] = {"CLK": "input", "Q": "output"}
    cells = [source, register("X2/Y2/SLICEB.FF0", reset=7)]
    slacks = Timing(cells).slacks(Timing(cells).delays(*(np.zeros(2, int) for _ in "xy")), 10.0)
    assert slacks == pytest.approx([10 - 0.525 - 1.2 - 0.42])
