"""Renderers of the manual: tables of the pages in docs/, and the C header."""
