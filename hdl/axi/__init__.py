"""AXI ports around the engine: AXI4-Lite registers, AXI4-Stream data."""
