"""Settings that every test shares."""

from __future__ import annotations

from hypothesis import settings

# Machines differ in speed; a failing example prints the line that repeats it.
settings.register_profile("zipsgd", deadline=None, print_blob=True)
settings.load_profile("zipsgd")
