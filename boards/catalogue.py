"""Boards by name. To add one, write a file like `boards.icepi_zero` and name it here."""

from __future__ import annotations

from .arty_a7 import ARTY_A7
from .icebreaker import ICEBREAKER
from .icepi_zero import ICEPI_ZERO
from .tang_nano_9k import TANG_NANO_9K
from .ulx3s import ULX3S_85F, ULX3S_85F_WIDE

ALL = (ULX3S_85F, ULX3S_85F_WIDE, ICEPI_ZERO, ICEBREAKER, TANG_NANO_9K, ARTY_A7)
BOARDS = {board.name: board for board in ALL}
