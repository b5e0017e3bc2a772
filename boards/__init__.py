"""Boards: what each is, the top around the device, and the way to a bitstream."""
