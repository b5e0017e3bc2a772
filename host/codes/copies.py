"""Scaled samples and their copies: independent roundings, woven for an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..data.dataset import Floats
from ..options.choices import LossName
from ..options.losses import mean_loss
from ..options.options import Options
from .fused import round_and_weave
from .rounding import Draws, Ints, quantise_labels, round_codes
from .sample_weights import quantise_weights
from .weaving import Woven, weave


@dataclass(frozen=True, eq=False)
class Part:
    """Scaled samples: v (n, d + 1) unrounded with the intercept, labels y (n), weights (n) if any
    differ, and the loss that is minimised over them."""

    v: Floats
    y: Floats
    weights: Floats | None = None
    loss_name: LossName = "least-squares"

    def loss(self, weights: Floats) -> float:
        """The mean loss of the margins ``v @ weights``, without regularisation."""
        return mean_loss(self.loss_name, self.v @ weights, self.y, self.weights)

    def head(self, rows: int) -> Part:
        """Its first samples."""
        weights = None if self.weights is None else self.weights[:rows]
        return Part(self.v[:rows], self.y[:rows], weights, self.loss_name)


def round_copies(part: Part, options: Options) -> tuple[Woven, ...]:
    """As many copies as the epochs use; rounding to nearest has only one."""
    labels = quantise_labels(part.y, options.config)
    count = 1 if options.rounding == "nearest" else min(options.copies, options.epochs)
    make: Callable[[Part, Ints, Options, Draws], Woven] = _plain
    if options.unsigned or part.weights is not None:
        make = _general
    return tuple(make(part, labels, options, Draws.of(options.seed, k)) for k in range(count))


def _plain(part: Part, labels: Ints, options: Options, draws: Draws) -> Woven:
    bits, rounding = options.bits, options.rounding
    return round_and_weave(part.v, labels, bits, rounding, draws, options.config)


def _general(part: Part, labels: Ints, options: Options, draws: Draws) -> Woven:
    """The same for unsigned codes and weights too, in more time."""
    bits, unsigned = options.bits, options.unsigned
    codes = round_codes(part.v, bits, options.rounding, draws, unsigned=unsigned)
    weights = None if part.weights is None else quantise_weights(part.weights)
    return weave(codes, labels, bits, options.config, weights=weights, unsigned=unsigned)
