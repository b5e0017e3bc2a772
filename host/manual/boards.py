"""The boards as text: the tables of ``docs/boards.md``.

``python -m zipsgd.host.manual.boards docs/boards.md`` brings the page up to date.
"""

from __future__ import annotations

from collections.abc import Iterator

from zipsgd.boards.catalogue import BOARDS
from zipsgd.boards.description import Board
from zipsgd.boards.prediction import predict
from zipsgd.hdl.device.lights import Light

from .link import members
from .page import fill, markdown_table, update_file


def update_page(page: str) -> str:
    """``page`` with its tables made anew; raises as `host.manual.page.fill`."""
    return fill(page, tables())


def tables() -> dict[str, str]:
    """Every table, in Markdown."""
    texts = members(Light)
    return {
        "boards": markdown_table(
            (
                *("board", "what", "clock", "lanes x banks", "samples in", "UART"),
                *("`train` with", "note"),
            ),
            map(_board, BOARDS.values()),
        ),
        "lights": markdown_table(
            ("LED", "name", "meaning"),
            ((light.value, f"`{light.name}`", texts[light.name]) for light in Light),
        ),
        "expected": markdown_table(
            (
                *("board", "largest data set, samples", "its upload"),
                *("predicted samples a second", "the memory's bound", "beside scikit-learn"),
            ),
            (list(_expected(board)) for board in BOARDS.values()),
        ),
    }


def _board(board: Board) -> tuple[str, ...]:
    engine = board.engine
    return (
        f"`{board.name}`",
        board.title,
        f"{board.clock_hz / 1e6:g} MHz",
        f"{engine.lanes} x {engine.banks}",
        str(board.samples),
        f"{board.baud / 1e6:g} Mbaud",
        f"`{board.train_options}`" if board.train_options else "",
        f"{board.note}.",
    )


def _expected(board: Board) -> Iterator[str]:
    found = predict(board)
    yield f"`{board.name}`"
    yield f"{found.samples:,}"
    yield f"{found.upload_s:.2g} s" if found.upload_s < 100 else f"{found.upload_s:.0f} s"
    yield _per_s(found.samples_per_s)
    yield _per_s(found.bound_per_s)
    yield f"{found.beside_sklearn:.2g}"


def _per_s(rate: float) -> str:
    """In thousands, or in millions from one on."""
    return f"{rate / 1e6:.2f} million" if rate >= 1e6 else f"{rate / 1e3:.0f} thousand"


if __name__ == "__main__":
    update_file(update_page)
