"""Settings that every test shares."""

from __future__ import annotations

import signal

from hypothesis import settings

# Machines differ in speed; a failing example prints the line that repeats it.
settings.register_profile("zipsgd", deadline=None, print_blob=True)
settings.load_profile("zipsgd")

# A shell starts what it puts in the background with Ctrl-C ignored; tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
