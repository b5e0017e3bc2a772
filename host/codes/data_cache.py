"""Packed forms of data sets that were trained on before, in the user's cache folder.

A packed set is found by a digest of everything that goes into it: the bytes of the source, how it
is read, how it is packed, and the versions of both. The folder is that of compiled engines; the
sets that were not used for longest make room for new ones.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zipsgd.sim.build import CACHE_VARIABLE, cache_folder, make_room, mark_used

from ..data.dataset import Dataset
from ..errors import InputError
from . import container
from .packed import PackedSet, PackOptions, open_packed, pack

LAYOUT = 2
"""Raised when readers, scaling, rounding or weaving change the bits that a source becomes."""

LEAST_BYTES = 1 << 20
"""Smaller sources are read faster than they are worth keeping."""

LIMIT_BYTES = 4 << 30
"""Most bytes of packed sets that are kept, but for the newest."""


_logger = logging.getLogger(__name__)


def source_digest(source: str) -> str:
    """SHA-256 of a file's bytes, or of the name and version of a bundled set.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    if source.startswith("sklearn:"):
        version = importlib.metadata.version("scikit-learn")
        return hashlib.sha256(f"{source} {version}".encode()).hexdigest()
    try:
        with Path(source).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError) as fault:
        raise InputError(f"{source} cannot be read ({fault}); check the path") from fault


def worth_keeping(source: str) -> bool:
    """Whether to look for a source in the cache and to keep it there."""
    path = Path(source)
    return path.is_file() and path.stat().st_size >= LEAST_BYTES


def cached_set(
    source: str, reading: dict[str, Any], options: PackOptions, read: Callable[[], Dataset]
) -> PackedSet:
    """The packed form of ``source``: from the cache, or read, packed and kept there.

    Parameters
    ----------
    reading : dict
        Every option of ``read`` that changes what it gives, for JSON.
    options : PackOptions
        Unrounded features are kept if they fit in memory, whatever they say.
    read : callable
        Reads the source.

    Raises
    ------
    InputError
        If the source cannot be read or packed, or the cache folder not written.
    """
    from ..files import remove_abandoned, replacing

    digest = source_digest(source)
    parts = {
        "versions": [LAYOUT, container.VERSION],
        "source": [digest, Path(source).name],
        "reading": reading,
        "packing": {
            **{k: v for k, v in vars(options).items() if k not in ("config", "unrounded")},
            "geometry": options.geometry,
        },
    }
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
    folder = cache_folder() / "packed"
    path = folder / f"{key}.zsgd"
    if path.exists():
        try:
            found = open_packed(path)
        except InputError as fault:
            _logger.warning("%s; it is packed again", fault)
        else:
            mark_used(path)
            return found
    dataset = read()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise InputError(
            f"the cache of packed data in {folder} cannot be written ({fault.strerror}); set "
            f"{CACHE_VARIABLE} to a folder that can"
        ) from fault
    with replacing(path) as stream:
        unrounded = not isinstance(dataset.features, np.memmap)
        pack(dataset, stream, replace(options, unrounded=unrounded), digest)
    make_room(folder.glob("*.zsgd"), path, LIMIT_BYTES)
    remove_abandoned(folder)
    return open_packed(path)
