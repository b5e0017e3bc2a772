"""Golden model, the same compiled, and the gateware in simulation."""
