"""What a user should know before a training: where its arithmetic leaves the safe ground."""

from __future__ import annotations

import logging
import math

from .auto_step import curvature_of_head
from .copies import Part
from .options import Options
from .task import Task

MOST_MARGIN_VARIANCE = 8 / math.pi
"""Margin variance of double sampling beyond which logistic training has nowhere to settle.

The mean of the logistic function over a normally distributed margin of mean z and variance s2 is
about that of z / sqrt(1 + pi s2 / 8) (MacKay, Neural Computation 4(5), 1992). The codes' s2 grows
with the square of the model, so no model, however large, brings this margin above the best one's
if the best one's s2 is more than 8 / pi. The margin-variance term makes up for s2 up to 4 alone.
"""

_logger = logging.getLogger(__name__)


def advise(task: Task) -> None:
    """Log a warning if the codes are too coarse for the loss on this data."""
    options, part = task.options, task.train
    if options.loss != "logistic" or options.rounding != "double":
        return
    weights = part.weights if isinstance(part, Part) else None
    _, _, curvature = curvature_of_head(part.v, part.y[: len(part.v)], options, weights)
    if curvature.margin_noise > MOST_MARGIN_VARIANCE:
        _logger.warning(
            "%d bits are few for the logistic loss on this data: codes add a variance of %.2g to "
            "the margins of the best model, and beyond %.2g training does not settle, so what it "
            "ends with depends on step size and epochs; use --bits %d, or a larger --l2",
            options.bits,
            curvature.margin_noise,
            MOST_MARGIN_VARIANCE,
            _enough_bits(curvature.margin_noise, options),
        )


def _enough_bits(margin_noise: float, options: Options) -> int:
    """A bit more quarters the variance."""
    more = math.ceil(math.log(margin_noise / MOST_MARGIN_VARIANCE, 4))
    return min(options.bits + more, options.config.max_bits)
