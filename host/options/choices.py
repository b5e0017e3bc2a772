"""What an option may be, apart from the code that does it: ``--help`` need not import that."""

from __future__ import annotations

from typing import Literal

Rounding = Literal["double", "single", "nearest"]
"""How features become codes, see `host.codes.rounding`."""

FeatureScale = Literal["sigma", "minmax", "maxabs"]
"""How features come to [-1, 1] or [0, 1], see `host.codes.scaling`."""

Schedule = Literal["1/k", "1/sqrt(k)", "constant"]
"""Step size over the epochs, see `host.training.schedule`."""

Interface = Literal["streams", "axi-stream"]
"""Ports of the Verilog: plain valid/ready streams, or AXI4-Stream and AXI4-Lite (docs/axi.md)."""

LossName = Literal["least-squares", "logistic", "hinge", "squared-hinge", "huber"]
"""What training minimises, see `host.options.losses`."""

Correction = Literal["full", "curvature", "none"]
"""Which terms of double sampling remove the bias of a gradient, see `host.training.job_plan`."""

ClassWeight = Literal["balanced"]
"""How samples of two classes are weighed, see `host.codes.sample_weights`."""
