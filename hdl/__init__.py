"""Gateware of the engine and of the device around it, in Amaranth."""
