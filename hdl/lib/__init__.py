"""Circuits that know nothing of the engine, and the way to Verilog."""
