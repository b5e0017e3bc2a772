"""Every fault there is to plant, most of them of one bit."""

from __future__ import annotations

from tests.faults.control import CANCELS, CONTROL, MARGINS
from tests.faults.datapath import ERRORS, SUMS
from tests.faults.memory import MEMORY
from tests.faults.ports import PORTS

FAULTS = SUMS + ERRORS + CONTROL + MARGINS + CANCELS + PORTS + MEMORY
