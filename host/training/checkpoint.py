"""Checkpoints: a training that was killed goes on after its last whole epoch, to the same bits.

The file is JSON, replaced as a whole after each epoch. Beside the model it holds what identifies
the run: every option, and a digest of everything that training and evaluation read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from zipsgd.sim.golden import Counters

from ..errors import InputError
from ..files import replacing
from .loop import EpochResult, Losses, Task

FORMAT, VERSION = "zipsgd checkpoint", 1


class Checkpoint:
    """The checkpoint of one task.

    Parameters
    ----------
    path : Path
    task : Task

    Members
    -------
    done : tuple of Epoch
        What the file says is done; none if there is no file. Only the last one has its words.

    Raises
    ------
    InputError
        If there is a file and not ``resume``, or it cannot be read, or belongs to another run.
    """

    def __init__(self, path: Path, task: Task, *, resume: bool) -> None:
        self.path, self.task = path, task
        self.done: tuple[EpochResult, ...] = ()
        check_checkpoint(path, resume)
        if path.exists():
            self.done = self._read()

    def save(self, epochs: Sequence[EpochResult]) -> None:
        """Replace the file: these epochs are done.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        content = {
            "format": FORMAT,
            "version": VERSION,
            **self._identity,
            "epochs": [_record(epoch) for epoch in epochs],
            "words": epochs[-1].words.tolist() if epochs else [],
        }
        with replacing(self.path) as stream:
            stream.write(json.dumps(content, allow_nan=False).encode() + b"\n")

    @cached_property
    def _identity(self) -> dict[str, Any]:
        return {"options": asdict(self.task.options), "data": task_digest(self.task)}

    def _read(self) -> tuple[EpochResult, ...]:
        path = self.path
        try:
            saved = json.loads(path.read_bytes(), parse_constant=_not_finite)
            if not isinstance(saved, dict) or saved.get("format") != FORMAT:
                raise ValueError(f'it lacks "format": "{FORMAT}"')
            if saved.get("version") != VERSION:
                raise ValueError(f"its version is {saved.get('version')!r} and not {VERSION}")
            options, data = dict(saved["options"]), saved["data"]
            epochs = _epochs(self.task, saved["epochs"], saved["words"])
        except OSError as fault:
            raise InputError(f"{path} cannot be read ({fault.strerror}); check the path") from fault
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as fault:
            reason = f"it lacks {fault}" if isinstance(fault, KeyError) else str(fault)
            raise InputError(
                f"{path} is not a checkpoint that this version can read: {reason}; remove it and "
                "train from the start"
            ) from fault
        for name, value in self._identity["options"].items():
            if options.get(name) != value:
                raise InputError(
                    f"{path} is of a training with {name} {_shown(options.get(name))} and not "
                    f"{_shown(value)}; resume with the same options, or name another checkpoint"
                )
        if data != self._identity["data"]:
            raise InputError(
                f"{path} is of a training on other data than {self.task.name} (or the same, read "
                "in another way); resume with the same data, or name another checkpoint"
            )
        return epochs


def check_checkpoint(path: Path, resume: bool) -> None:
    """Raises `InputError` if a new training would overwrite a checkpoint."""
    if path.exists() and not resume:
        raise InputError(f"{path} is there already; pass --resume to go on with it, or remove it")


def task_digest(task: Task) -> str:
    """SHA-256 of everything that training and evaluation read, but for the options."""
    digest = hashlib.sha256()
    named = {
        "name": task.name,
        "features": task.feature_names,
        "scaling": task.scaling.to_json(),
        "label_scaling": task.label_scaling.to_json(),
        "jobs": [repr(job) for job in task.jobs],
    }
    digest.update(json.dumps(named, sort_keys=True).encode())
    arrays: list[NDArray[Any]] = [task.train.y, task.heldout.v, task.heldout.y]
    for array in (*(copy.beats for copy in task.copies), *arrays):
        digest.update(f"{array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _record(epoch: EpochResult) -> dict[str, Any]:
    return {
        "losses": asdict(epoch.losses),
        "counters": asdict(epoch.counters),
        "elapsed_s": epoch.elapsed_s,
        **({} if epoch.retries is None else {"retries": epoch.retries}),
    }


def _epochs(task: Task, records: Any, words: Any) -> tuple[EpochResult, ...]:
    """Raises whatever content that `Checkpoint.save` did not write deserves."""
    if not isinstance(records, list) or len(records) > len(task.jobs):
        raise ValueError(f"it must list at most {len(task.jobs)} jobs")
    limit = 1 << (task.config.model_bits - 1)
    size = task.copies[0].chunks * task.config.lanes if records else 0
    if (
        not isinstance(words, list)
        or len(words) != size
        or not all(type(word) is int and -limit <= word < limit for word in words)
    ):
        raise ValueError(f"it must hold {size} model words of {task.config.model_bits} bits")
    unknown, last = np.empty(0, dtype=np.int64), np.array(words, dtype=np.int64)
    return tuple(
        EpochResult(
            number=task.epochs_before(jobs),
            losses=_losses(record["losses"]),
            words=last if jobs == len(records) else unknown,
            counters=_counters(record["counters"]),
            elapsed_s=float(record["elapsed_s"]),
            retries=_retries(record.get("retries")),
        )
        for jobs, record in enumerate(records, start=1)
    )


def _losses(saved: dict[str, Any]) -> Losses:
    score = saved["score"]
    return Losses(
        train=float(saved["train"]),
        heldout=float(saved["heldout"]),
        score=None if score is None else float(score),
    )


def _counters(saved: Any) -> Counters:
    if not isinstance(saved, dict):
        raise TypeError("counters must be an object")
    if not all(type(value) is int and value >= 0 for value in saved.values()):
        raise ValueError("a counter is not a whole number")
    counters = Counters(**saved)
    if not counters.cycles:
        raise ValueError("an epoch took no cycles")
    return counters


def _retries(saved: Any) -> int | None:
    if saved is not None and (type(saved) is not int or saved < 0):
        raise ValueError("the retries of an epoch are not a whole number")
    return saved


def _shown(value: Any) -> str:
    return "from the data" if value is None else str(value)


def _not_finite(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
