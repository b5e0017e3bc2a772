"""Devices that run a job: golden model, compiled, simulated, or a board behind a link."""
