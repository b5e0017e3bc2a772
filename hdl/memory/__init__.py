"""Sample store: one port to every kind of memory, and what stands before and behind it."""
