"""A trained model: its words, and all that turns features in their own units into a prediction.

The file is JSON and does not depend on the engine's geometry: the words of padding are left out.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self, get_args

import numpy as np

from zipsgd.hdl.contract.formats import MAX_BITS, MIN_BITS

from ..codes.rounding import Ints, Rounding
from ..codes.scaling import FeatureScale, LabelScaling, Scaling, full_scale, with_intercept
from ..data.dataset import Floats
from ..data.encoding import Encoding
from ..errors import InputError
from ..options.choices import LossName

FORMAT, VERSION = "zipsgd model", 2


@dataclass(frozen=True, eq=False)
class Model:
    """A linear model of d features.

    Parameters
    ----------
    words : int64 (d + 1)
        The engine's model words; the last one is the intercept's.
    fractional_bits : int
        Fractional bits of a word.
    bits, rounding
        Of the codes that it was trained on; predictions use unrounded features.
    scaling, label_scaling
        From and to the units of the data set.
    feature_names : tuple of d str
    encoding : Encoding or None
        How the columns of a table become these features, if not as they are.
    loss : str
        That training minimised: it says what a margin means.
    """

    words: Ints
    fractional_bits: int
    bits: int
    rounding: Rounding
    scaling: Scaling
    label_scaling: LabelScaling
    feature_names: tuple[str, ...]
    encoding: Encoding | None = None
    loss: LossName = "least-squares"

    @property
    def weights(self) -> Floats:
        """float64 (d + 1): the margin of scaled features v is ``with_intercept(v) @ weights``."""
        scale = full_scale(self.bits, self.scaling.unsigned)
        return self.words.astype(np.float64) * (scale * 2.0**-self.fractional_bits)

    def predict(self, features: Floats) -> Floats:
        """Features (n, d) in the units of the data set -> labels (n)."""
        v = with_intercept(self.scaling.apply(features, self.bits))
        return self.label_scaling.invert(v @ self.weights)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `from_json` reads back without loss."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "words": self.words.tolist(),
            "fractional_bits": self.fractional_bits,
            "bits": self.bits,
            "rounding": self.rounding,
            "scaling": self.scaling.to_json(),
            "label_scaling": self.label_scaling.to_json(),
            "feature_names": list(self.feature_names),
            "encoding": None if self.encoding is None else self.encoding.to_json(),
            "loss": self.loss,
        }

    @classmethod
    def from_json(cls, saved: Any) -> Self:
        """Raises `InputError` or `ValueError` with a sentence unless `to_json` made ``saved``."""
        if not isinstance(saved, dict) or saved.get("format") != FORMAT:
            raise ValueError(f'it lacks "format": "{FORMAT}"')
        if saved.get("version") != VERSION:
            raise ValueError(f"its version is {saved.get('version')!r} and not {VERSION}")
        try:
            model = cls(
                words=np.array(saved["words"], dtype=np.int64),
                fractional_bits=saved["fractional_bits"],
                bits=saved["bits"],
                rounding=saved["rounding"],
                scaling=Scaling.from_json(saved["scaling"]),
                label_scaling=LabelScaling.from_json(saved["label_scaling"]),
                feature_names=tuple(saved["feature_names"]),
                encoding=Encoding.from_json(saved["encoding"]),
                loss=saved["loss"],
            )
            model._check()
        except KeyError as fault:
            raise ValueError(f"it lacks {fault}") from fault
        except (TypeError, OverflowError) as fault:
            raise ValueError(f"a value has the wrong type ({fault})") from fault
        if model.to_json() != saved:
            raise ValueError("a value has the wrong type, or it holds more than a model does")
        return model

    def _check(self) -> None:
        d = len(self.feature_names)
        labels, two_valued = self.label_scaling, self.scaling.two_valued
        numbers = [x for two in two_valued for x in (two.column, two.rare, two.common, two.share)]
        conditions = {
            "words": self.words.shape == (d + 1,),
            "fractional_bits": self.fractional_bits in range(64),
            "bits": self.bits in range(MIN_BITS, MAX_BITS + 1),
            "rounding": self.rounding in get_args(Rounding),
            "feature_names": all(isinstance(name, str) for name in self.feature_names),
            "scaling": self.scaling.kind in get_args(FeatureScale)
            and self.scaling.centre.shape == self.scaling.scale.shape == (d,)
            and bool((self.scaling.scale >= 0).all())
            and all(map(math.isfinite, numbers))
            and all(
                two.column in range(d) and two.rare != two.common and 0 < two.share <= 0.5
                for two in two_valued
            ),
            "label_scaling": labels.low < labels.high,
            "loss": self.loss in get_args(LossName),
        }
        wrong = [name for name, holds in conditions.items() if not holds]
        if wrong:
            raise ValueError(f"{' and '.join(wrong)} cannot be right")


def dump_model(model: Model) -> bytes:
    """The content of a model file."""
    return json.dumps(model.to_json(), indent=1, allow_nan=False).encode() + b"\n"


def load_model(path: Path) -> Model:
    """Read a model file.

    Raises
    ------
    InputError
        If it cannot be read or is not a model.
    """
    try:
        saved = json.loads(path.read_bytes(), parse_constant=_not_finite)
        return Model.from_json(saved)
    except OSError as fault:
        raise InputError(f"{path} cannot be read ({fault.strerror}); check the path") from fault
    except (ValueError, RecursionError, InputError) as fault:
        raise InputError(
            f"{path} is not a model that this version can read: {fault}; train the model again"
        ) from fault


def _not_finite(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
