"""What a user should know before a training: where its arithmetic leaves the safe ground."""

from __future__ import annotations

import logging
import math

from ..codes.copies import Part
from ..codes.sample_weights import SMALLEST
from ..options.options import Options
from .auto_step import curvature_of_head
from .task import Task

MOST_MARGIN_VARIANCE = 8 / math.pi
"""Margin variance of double sampling beyond which logistic training has nowhere to settle.

The mean of the logistic function over a normally distributed margin of mean z and variance s2 is
about that of z / sqrt(1 + pi s2 / 8) (MacKay, Neural Computation 4(5), 1992). The codes' s2 grows
with the square of the model, so no model, however large, brings this margin above the best one's
if the best one's s2 is more than 8 / pi. The margin-variance term makes up for s2 up to 4 alone.
"""

MOST_STEPS = 8
"""Most steps in the last place of a scaled error, which is step size times an error of about 1: on
cadata 4 of them cost 2 % of the final loss, a quarter nothing; on adult 256 led training astray."""

FEWEST_UNITS = 8
"""Fewest units of a weight: rounding changes it by a sixteenth at most."""

_logger = logging.getLogger(__name__)


def advise(task: Task) -> None:
    """Log a warning where codes or gradients are too coarse for the loss on this data."""
    _advise_on_gradients(task)
    _advise_on_regularisation(task)
    _advise_on_weights(task)
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


def _advise_on_gradients(task: Task) -> None:
    config, bits = task.config, task.options.gradient_bits
    last_place = 2.0 ** (config.error_bits - bits - config.error_frac)
    if last_place > MOST_STEPS * task.step:
        enough = config.error_bits - math.floor(math.log2(task.step) + config.error_frac)
        _logger.warning(
            "%d bits are few for gradients: scaled errors become multiples of %.3g, %.0f times the "
            "step size, most of them 0 at random; use --gradient-bits %d or a larger --step",
            bits,
            last_place,
            last_place / task.step,
            min(enough, config.error_bits),
        )


def _advise_on_regularisation(task: Task) -> None:
    """Each step takes a multiple of a smallest decay and threshold."""
    config, options = task.config, task.options
    epochs = [epoch for job in task.jobs for epoch in job.epochs]
    for name, value, held in (
        ("--l2", options.l2, [epoch.decay(config) for epoch in epochs]),
        ("--l1", options.l1, [epoch.threshold(config) for epoch in epochs]),
    ):
        if value and 0 in held:
            _logger.warning(
                "%s %g is rounded to 0 from epoch %d on: its product with the step size is below "
                "the least that this engine holds; use a larger one, or a larger --step",
                name,
                value,
                1 + held.index(0),
            )


def _advise_on_weights(task: Task) -> None:
    weights = task.train.weights if isinstance(task.train, Part) else None
    if weights is None or not (weights > 0).any():
        return
    least = float(weights[weights > 0].min())
    if least < FEWEST_UNITS * SMALLEST:
        _logger.warning(
            "weights of samples are multiples of %.2g, and the smallest is %.2g, which may be off "
            "by %.0f %%: the largest leaves it no more room; bring them nearer to each other",
            SMALLEST,
            least,
            50 * SMALLEST / least,
        )


def _enough_bits(margin_noise: float, options: Options) -> int:
    """A bit more quarters the variance."""
    more = math.ceil(math.log(margin_noise / MOST_MARGIN_VARIANCE, 4))
    return min(options.bits + more, options.config.max_bits)
