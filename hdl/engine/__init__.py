"""The engine, one stage of its pipeline a file; `engine` is the box diagram."""
