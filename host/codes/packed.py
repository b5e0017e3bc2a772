"""Packed data sets: scaled, shuffled, rounded and woven once, then mapped by every training.

A packed set is a container (`host.codes.container`) with these arrays, n training samples, m
held-out ones, F features with the intercept:

    copy0, copy1, ...        the woven beats of each independent rounding of the training part
    labels (n)               scaled, of the training part
    head (at most 10,000, F) its first samples, unrounded: they are shuffled, so this is a sample
    heldout (m, F), heldout_labels (m)     unrounded
    unrounded (n, F)         the training part, if it was asked for

Without ``unrounded`` the training loss comes from the codes, see `CodedPart`. The rows are read in
windows: only labels, the order of the samples and one window are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import MAX_BITS, MIN_BITS
from zipsgd.hdl.contract.parameters import Loss

from ..data.dataset import Dataset, Floats, Rows
from ..data.encoding import Encoding
from ..data.gather import WINDOW_VALUES
from ..errors import InputError
from ..options.losses import LOSSES, LossName
from .container import ContainerWriter, open_container
from .fused import round_and_weave, unweave_rows
from .moments import Moments
from .rounding import Codes, Draws, Rounding, check_rounding, quantise_labels
from .scaling import FeatureScale, LabelScaling, Scaling, largest_code, with_intercept
from .weaving import Geometry, Woven, check_shape, group_bytes, groups_of

FORMAT = "zipsgd packed data"
HEAD_ROWS = 10_000


@dataclass(frozen=True, kw_only=True)
class PackOptions:
    """How to pack.

    Parameters
    ----------
    bits, rounding, scale, seed
        As for a training.
    copies : int
        Independent roundings; rounding to nearest has only one.
    holdout : float
        Share of the samples to hold out, if there is no official test part.
    unrounded : bool
        Keep the unrounded training part, for an exact training loss; 64 bits a value.
    config : EngineConfig
        Whose stream it is.
    """

    bits: int = 4
    rounding: Rounding = "double"
    copies: int = 1
    scale: FeatureScale = "sigma"
    seed: int = 0
    holdout: float = 0.2
    unrounded: bool = False
    config: EngineConfig = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        for name, least in (("bits", 2), ("copies", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"--{name} is {getattr(self, name)}; it must be {least} or more")
        check_rounding(min(self.bits, MAX_BITS), self.rounding)

    @property
    def geometry(self) -> dict[str, int]:
        """That of the stream, by name."""
        return asdict(Geometry.of(self.config))


@dataclass(frozen=True, eq=False)
class CodedPart:
    """The training part as its codes alone.

    The code M of v has the mean v N, and the mean of M**2 exceeds (v N)**2 by the variance of the
    rounding. Under ``double`` that is the probability of an even M, so for least squares

        mean(l(m.w) - l''(m.w) / 2 * sum_j [M_j even] w_j**2 / N**2),    m = M / N

    has the loss on unrounded data as its mean: the same correction as in the gradient. For other
    losses it does to second order. Under the other roundings this is the loss on rounded data, and
    higher for it.
    """

    woven: Woven
    config: EngineConfig
    v: Floats
    """The first samples, unrounded; ``y`` are the labels of all."""
    y: Floats
    corrected: bool
    loss_name: LossName = "least-squares"

    def loss(self, weights: Floats) -> float:
        """The mean loss of the margins ``v @ weights``, estimated."""
        total, n = 0.0, largest_code(self.woven.bits)
        function = LOSSES[self.loss_name]
        for codes, labels in self.windows():
            z = codes @ (weights / n)
            total += float(function.value(z, labels).sum())
            if self.corrected:
                spread = (codes % 2 == 0) @ np.square(weights / n)
                total -= float(function.curvature(z, labels) @ spread) / 2
        return total / len(self.y)

    def windows(self) -> Iterator[tuple[Codes, Floats]]:
        """Codes (rows, F) and labels (rows), a window of samples at a time."""
        for rows in _windows(self.woven.samples, self.woven.features, self.config):
            codes = unweave_rows(self.woven, self.config, rows.start, rows.stop)
            yield codes, self.y[rows]


@dataclass(frozen=True, eq=False)
class PackedSet:
    """An open packed data set; its arrays are mapped, not read.

    Parameters
    ----------
    name, digest : str
        Of the source.
    config : EngineConfig
        The plainest engine that takes the stream; its `Geometry` is all that counts.
    bits, rounding, seed, holdout
        As it was packed.
    scaling, label_scaling, feature_names, encoding
        As in a model.
    copies : tuple of Woven
    labels, head, heldout, heldout_labels, unrounded
        See the module; ``unrounded`` may be None.
    """

    name: str
    digest: str
    config: EngineConfig
    bits: int
    rounding: Rounding
    seed: int
    holdout: float
    scaling: Scaling
    label_scaling: LabelScaling
    feature_names: tuple[str, ...]
    encoding: Encoding | None
    copies: tuple[Woven, ...]
    labels: Floats
    head: Floats
    heldout: Floats
    heldout_labels: Floats
    unrounded: Floats | None

    @property
    def decided(self) -> dict[str, Any]:
        """The options of a training that were decided when the set was packed."""
        return {
            "bits": self.bits,
            "rounding": self.rounding,
            "copies": len(self.copies),
            "scale": self.scaling.kind,
            "holdout": self.holdout,
        }

    def coded(self) -> CodedPart:
        """The training part as the codes of the first copy."""
        corrected = self.rounding == "double"
        return CodedPart(self.copies[0], self.config, self.head, self.labels, corrected)

    def misfit(self, config: EngineConfig) -> str | None:
        """The sentence on an engine of this configuration, if it reads another stream."""
        difference = Geometry.of(self.config).difference(config)
        if difference is None:
            return None
        return f"{self.name} is packed for {difference}; pack it again for this engine"

    def check(self, config: EngineConfig) -> None:
        """Raises `InputError` if an engine of this configuration reads another stream."""
        misfit = self.misfit(config)
        if misfit is not None:
            raise InputError(misfit)
        check_shape((len(self.labels), self.copies[0].features), None, self.bits, config)


def pack(dataset: Dataset, stream: BinaryIO, options: PackOptions, digest: str = "") -> None:
    """Write a packed set; ``dataset`` may lie in mapped files larger than the memory.

    Raises
    ------
    InputError
        If the engine cannot take this data.
    """
    config, bits = options.config, options.bits
    train, held_out = dataset.parts(options.holdout, options.seed)
    if dataset.test is not None:
        test, held_out = dataset.test, np.arange(len(dataset.test.labels))
    else:
        test = dataset
    n, features = len(train), dataset.features.shape[1] + 1
    check_shape((n, features), None, bits, config)
    label_scaling = LabelScaling.fit(dataset.labels[train], dataset.classification)
    y = label_scaling.apply(dataset.labels[train])
    quantised = quantise_labels(y, config)
    raw = (dataset.features[train[rows]] for rows in _windows(n, features, config))
    scaling = Scaling.of_moments(Moments.of(raw), options.scale)

    def scaled(part: Dataset, rows: Rows) -> Floats:
        return with_intercept(scaling.apply(part.features[rows], bits))

    groups, chunks = groups_of(n, config), -(-features // config.lanes)
    beats = (groups * group_bytes(chunks, bits, config) // config.beat_bytes, config.beat_bytes)
    copies = [f"copy{i}" for i in range(1 if options.rounding == "nearest" else options.copies)]
    head = min(n, HEAD_ROWS)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        **dict.fromkeys(copies, ("|u1", beats)),
        "labels": ("<f8", (n,)),
        "head": ("<f8", (head, features)),
        "heldout": ("<f8", (len(held_out), features)),
        "heldout_labels": ("<f8", (len(held_out),)),
        **({"unrounded": ("<f8", (n, features))} if options.unrounded else {}),
    }
    content = {
        "format": FORMAT,
        "name": dataset.name,
        "digest": digest,
        "samples": n,
        "feature_names": list(dataset.feature_names),
        "geometry": options.geometry,
        "bits": bits,
        "rounding": options.rounding,
        "copies": len(copies),
        "seed": options.seed,
        "holdout": options.holdout,
        "scaling": scaling.to_json(),
        "label_scaling": label_scaling.to_json(),
        "encoding": None if dataset.encoding is None else dataset.encoding.to_json(),
    }
    writer = ContainerWriter(stream, content, shapes)
    draws = [Draws.of(options.seed, index) for index in range(len(copies))]
    for rows in _windows(n, features, config):
        v = scaled(dataset, train[rows])
        for copy, words in zip(copies, draws, strict=True):
            woven = round_and_weave(
                v, quantised[rows], bits, options.rounding, words, config, rows.start
            )
            writer.append(copy, woven.beats)
        writer.append("head", v[: max(head - rows.start, 0)])
        if options.unrounded:
            writer.append("unrounded", v)
    for rows in _windows(len(held_out), features, config):
        writer.append("heldout", scaled(test, held_out[rows]))
    writer.append("labels", y)
    writer.append("heldout_labels", label_scaling.apply(test.labels[held_out]))
    writer.finish()


def open_packed(path: Path) -> PackedSet:
    """Open a packed set: every byte is checked, nothing is copied.

    Raises
    ------
    InputError
        If the file cannot be read, is damaged (the message names the offset) or holds other data.
    """
    content, arrays = open_container(path)
    try:
        return _from_content(content, arrays)
    except KeyError as fault:
        reason = f"it lacks {fault}"
    except (TypeError, ValueError, OverflowError, InputError) as fault:
        reason = str(fault)
    reason = " ".join(reason.split())[:200]
    raise InputError(f"{path}: the header (byte 20) is not right: {reason}; pack the data again")


def _from_content(content: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> PackedSet:
    """Raises whatever a header that `pack` did not write deserves."""
    if content["format"] != FORMAT:
        raise ValueError(f"the format is {content['format']!r} and not {FORMAT!r}")
    bits, n = _whole(content, "bits", MIN_BITS, MAX_BITS), _whole(content, "samples", 1, 1 << 40)
    count, seed = _whole(content, "copies", 1, 1 << 16), _whole(content, "seed", 0, 1 << 128)
    whole = (_whole(content["geometry"], each.name, 1, 1 << 16) for each in fields(Geometry))
    geometry = Geometry(*whole)
    config = _plainest(geometry, bits)
    names = tuple(content["feature_names"])
    scaling = Scaling.from_json(content["scaling"])
    features = len(names) + 1
    if scaling.scale.shape != (features - 1,) or not all(isinstance(x, str) for x in names):
        raise ValueError("scaling and feature names describe different columns")
    if content["name"] != str(content["name"]) or content["digest"] != str(content["digest"]):
        raise ValueError("name and digest must be text")
    if not 0 < float(content["holdout"]) < 1:
        raise ValueError("holdout must lie between 0 and 1")
    check_rounding(bits, content["rounding"])

    groups, chunks = groups_of(n, config), -(-features // config.lanes)
    beats = (groups * group_bytes(chunks, bits, config) // config.beat_bytes, config.beat_bytes)
    m = len(arrays["heldout_labels"])
    expected = {
        **{f"copy{i}": ("|u1", beats) for i in range(count)},
        "labels": ("<f8", (n,)),
        "head": ("<f8", (min(n, HEAD_ROWS), features)),
        "heldout": ("<f8", (m, features)),
        "heldout_labels": ("<f8", (m,)),
        **({"unrounded": ("<f8", (n, features))} if "unrounded" in arrays else {}),
    }
    if expected != {name: (array.dtype.str, array.shape) for name, array in arrays.items()}:
        raise ValueError("the arrays do not have the shapes that the header implies")
    copies = (
        Woven(arrays[f"copy{i}"], geometry, bits, chunks, groups, samples=n, features=features)
        for i in range(count)
    )
    return PackedSet(
        name=content["name"],
        digest=content["digest"],
        config=config,
        bits=bits,
        rounding=content["rounding"],
        seed=seed,
        holdout=float(content["holdout"]),
        scaling=scaling,
        label_scaling=LabelScaling.from_json(content["label_scaling"]),
        feature_names=names,
        encoding=Encoding.from_json(content["encoding"]),
        copies=tuple(copies),
        unrounded=arrays.get("unrounded"),
        **{name: arrays[name] for name in ("labels", "head", "heldout", "heldout_labels")},
    )


def _plainest(geometry: Geometry, bits: int) -> EngineConfig:
    """An engine that takes the stream, with sums as narrow as any that does."""
    return EngineConfig(
        **vars(geometry),
        max_bits=bits,
        error_bits=geometry.model_frac + 1,
        error_frac=geometry.model_frac,
        coefficient_bits=1,
        coefficient_frac=8,
        random_bits=8,
        losses=(Loss.LEAST_SQUARES,),
        coarsening=False,
    )


def _whole(content: Any, name: str, least: int, most: int) -> int:
    value = content[name]
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}")
    return value


def _windows(rows: int, features: int, config: EngineConfig) -> Iterator[slice]:
    """Slices of whole groups that cover ``rows``."""
    size = max(WINDOW_VALUES // features // config.banks, 1) * config.banks
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
