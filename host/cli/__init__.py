"""Command line: one file a command, and what they show."""
