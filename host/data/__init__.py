"""From files to a `Dataset`: a reader a format, tables, categories."""
