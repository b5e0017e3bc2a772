"""Low-precision SGD on FPGAs: gateware, its golden model, host and boards.

The packages of this folder are links to the folders beside it, so that they are imported under one
name, `zipsgd`, from a checkout and from an installed wheel alike.
"""
