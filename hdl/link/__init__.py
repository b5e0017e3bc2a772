"""The link: bytes of a line into commands for the device, and its replies into bytes."""
