"""Functions that numba compiles, kept with everything else that is compiled here.

numba keeps what it compiles beside the source or in a folder of its own, and raises where it can
write to neither, as in a read-only installation. These functions are kept in the cache folder, and
compiled anew in every process if that cannot be written.
"""

from __future__ import annotations

import functools
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from .build import CACHE_VARIABLE, cache_folder

FOLDER = "numba"
"""Folder of the cache; numba has one for each folder of sources in it."""

_settings: Any = numba.config

logger = logging.getLogger(__name__)


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: compile a function to machine code, once a machine.

    Parameters
    ----------
    options
        Those of ``numba.njit`` but ``cache``.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        folder, before = cache_folder() / FOLDER, _settings.CACHE_DIR
        _settings.CACHE_DIR = str(folder)  # read where a function is decorated, and only there
        try:
            return numba.njit(cache=_can_keep(folder), **options)(function)
        finally:
            _settings.CACHE_DIR = before

    return decorate


@functools.cache
def _can_keep(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as fault:
        logger.warning(
            "compiled functions are not kept: %s cannot be written (%s), so every start compiles "
            "them for some seconds; set %s to a folder that can",
            folder,
            fault.strerror,
            CACHE_VARIABLE,
        )
        return False
    return True
