"""Every fault there is to plant, most of them of one bit."""

from __future__ import annotations

from .control import CANCELS, CONTROL, MARGINS
from .datapath import ERRORS, SUMS
from .memory import MEMORY
from .ports import PORTS

FAULTS = SUMS + ERRORS + CONTROL + MARGINS + CANCELS + PORTS + MEMORY
