"""What a user wants to know of a data set before training on it."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np

from ..data.dataset import Dataset, Floats
from ..data.gather import windows
from .moments import Moments
from .packed import HEAD_ROWS, PackedSet
from .scaling import FeatureScale, LabelScaling, Scaling, largest_code, with_intercept

BITS = range(2, 9)
NOISE_SHARE = 2.0
"""Suggested bits add no more than this many times the residuals' variance to the margins.

On cadata, cpusmall and cod-rna 4 bits add 0.7 to 1.5 times and train to within 0.5 % of 8 bits; 3
bits add 4 to 9 times and do not.
"""


def inspect_dataset(dataset: Dataset, seed: int = 0) -> dict[str, Any]:
    """Facts and suggestions, for JSON.

    The condition number is that of E[v v^T], the features scaled and with intercept, over a random
    sample. The suggested scaling has the smallest. The suggested bits are the fewest under which
    double sampling adds at most `NOISE_SHARE` times the residuals' variance to the margins of
    the least-squares solution of that sample.
    """
    moments = Moments.of(rows for _, rows in windows(dataset.features))
    nonzero = sum(int(np.count_nonzero(rows)) for _, rows in windows(dataset.features))
    n, d = dataset.features.shape
    sample = np.sort(np.random.default_rng(seed).permutation(n)[:HEAD_ROWS])
    x, y = np.asarray(dataset.features[sample]), dataset.labels[sample]
    conditions: dict[FeatureScale, float] = {
        kind: condition_number(with_intercept(Scaling.of_moments(moments, kind).apply(x, 8)))
        for kind in get_args(FeatureScale)
    }
    scale = min(conditions, key=lambda kind: conditions[kind])
    labels = LabelScaling.fit(dataset.labels, dataset.classification).apply(y)
    scaling = Scaling.of_moments(moments, scale)
    noise = {
        bits: margin_noise(with_intercept(scaling.apply(x, bits)), labels, bits) for bits in BITS
    }
    bits = next((bits for bits in BITS if noise[bits] <= NOISE_SHARE), BITS[-1])
    return {
        "name": dataset.name,
        "samples": n,
        "features": d,
        "test_samples": 0 if dataset.test is None else len(dataset.test.labels),
        "density": nonzero / (n * d),
        "labels": _labels(dataset),
        "columns": [
            {
                "name": name,
                "low": float(moments.low[j]),
                "high": float(moments.high[j]),
                "mean": float(moments.mean[j]),
                "deviation": float(moments.deviation[j]),
                "two_valued": bool(moments.at_low[j] + moments.at_high[j] == n),
            }
            for j, name in enumerate(dataset.feature_names)
        ],
        "sampled": len(sample),
        "condition_number": conditions,
        "margin_noise": {str(bits): share for bits, share in noise.items()},
        "suggested": {"scale": scale, "bits": bits},
        "bytes": {
            "float64": 8 * n * (d + 1),
            **{f"{q} bits": -(-n * (q * (d + 1) + 32) // 8) for q in (2, 4, 8)},
        },
    }


def inspect_packed(packed: PackedSet) -> dict[str, Any]:
    """What a packed set holds, for JSON; every byte of it was checked when it was opened."""
    woven = packed.copies[0]
    return {
        "name": packed.name,
        "source_sha256": packed.digest,
        "samples": woven.samples,
        "heldout_samples": len(packed.heldout_labels),
        "features": len(packed.feature_names),
        "bits": packed.bits,
        "rounding": packed.rounding,
        "copies": len(packed.copies),
        "scale": packed.scaling.kind,
        "seed": packed.seed,
        "lanes": packed.config.lanes,
        "banks": packed.config.banks,
        "unrounded": packed.unrounded is not None,
        "condition_number": condition_number(packed.head),
        "bytes": {"copy": woven.beats.nbytes, "heldout": packed.heldout.nbytes},
    }


def condition_number(v: Floats) -> float:
    """Of E[v v^T], v (n, F); directions without any variance are left out."""
    values = np.linalg.eigvalsh(v.T @ v / len(v))
    return float(values[-1] / values[values > values[-1] * 1e-12][0])


def margin_noise(v: Floats, labels: Floats, bits: int) -> float:
    """Variance that double sampling adds to the margins, over that of the residuals.

    Both at the least-squares solution; the variance of a code of v is 2 p (1 - p) / N**2 with p the
    place between two odd neighbours.
    """
    weights = np.linalg.lstsq(v, labels, rcond=1e-9)[0]
    residual = float(np.square(v @ weights - labels).mean())
    n = largest_code(bits)
    p = (v * n + n) / 2 % 1
    added = float((2 * p * (1 - p) / n**2).mean(axis=0) @ np.square(weights))
    return added / max(residual, 1e-12)


def _labels(dataset: Dataset) -> dict[str, Any]:
    labels = dataset.labels
    facts = {"low": float(labels.min()), "high": float(labels.max()), "mean": float(labels.mean())}
    if dataset.classification:
        share = float(np.mean(labels == labels.max()))
        return {"task": "classification", "share_of_high": share, **facts}
    return {"task": "regression", "deviation": float(labels.std()), **facts}
