"""A killed training goes on to the same bits; a checkpoint of another run is refused."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from tests.host.codes.damage import json_values, replaced_somewhere
from zipsgd.host.cli.app import app
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.devices import open as devices
from zipsgd.host.devices.software import GoldenDevice
from zipsgd.host.errors import InputError
from zipsgd.host.options.options import Options
from zipsgd.host.training.checkpoint import Checkpoint
from zipsgd.host.training.loop import prepare, train

logger = logging.getLogger(__name__)

KILLS, MANY_KILLS = 3, int(os.environ.get("ZIPSGD_KILLS", "20"))
"""How often a test kills, and how often the long one does."""

PLACES = {"before", "in a write", "between writes"}

SET = ("sklearn:breast_cancer", "--device", "golden", "--epochs", "6", "--copies", "3")


def run(*arguments: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["train", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


class Killed(BaseException):
    pass


def results(text: str) -> list[dict[str, Any]]:
    """The objects of ``--json`` without times."""
    records = [json.loads(line) for line in text.splitlines()]
    for record in records:
        record.get("summary", record).pop("elapsed_s")
    return records


@pytest.mark.parametrize("after", range(7))
def test_resuming_after_any_epoch_changes_nothing(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, resumed, saved = (tmp_path / name for name in ("a.json", "b.json", "c.json"))
    expected = run(*SET, "--json", "-o", whole)
    passes = iter(range(after))

    class Mortal(GoldenDevice):
        def run(self, *arguments: Any) -> Any:
            if next(passes, None) is None:
                raise Killed
            return super().run(*arguments)

    with monkeypatch.context() as patch:
        patch.setitem(devices.DEVICES, "golden", Mortal)
        command = ["train", *SET, "-o", str(resumed), "--checkpoint", str(saved)]
        try:
            CliRunner().invoke(app, command)
        except Killed:
            assert after < 6 and not resumed.exists()
    assert len(json.loads(saved.read_text())["epochs"]) == after
    done = run(*SET, "--json", "-o", resumed, "--checkpoint", saved, "--resume")
    assert resumed.read_bytes() == whole.read_bytes()
    assert results(done.stdout) == results(expected.stdout)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json", "c.json"]


def kill(command: list[str], saved: Path, rng: random.Random, within_s: float) -> str | None:
    """Kill -9 at a random moment from the start on, or in the next write of a checkpoint after it.

    Says when and where it hit; None if the training ended before.
    """
    moment, in_write, left = rng.uniform(0, within_s), rng.random() < 0.5, unfinished(saved)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        start = time.perf_counter()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        while in_write and process.poll() is None and unfinished(saved) <= left:
            pass
        ended = process.poll() is not None
        process.kill()
        moment = time.perf_counter() - start
    if ended:
        return None
    done = len(json.loads(saved.read_text())["epochs"]) if saved.exists() else "no"  # always whole
    place = "between writes" if saved.exists() else "before"
    if unfinished(saved) - left:
        place = "in a write"
    return f"at {moment:.3f} s {place}, {done} epochs saved"


def unfinished(saved: Path) -> set[Path]:
    return set(saved.parent.glob(f".{saved.name}.*.tmp"))


def test_resuming_between_jobs_of_several_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The margin variance comes from the model that the checkpoint holds."""
    whole, resumed, saved = (tmp_path / name for name in ("a.json", "b.json", "c.json"))
    more = ("--loss", "logistic", "--epochs-per-job", "2", "--class-weight", "balanced")
    expected = run(*SET, *more, "--json", "-o", whole)
    passes = iter(range(2))

    class Mortal(GoldenDevice):
        def run(self, *arguments: Any) -> Any:
            if next(passes, None) is None:
                raise Killed
            return super().run(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setitem(devices.DEVICES, "golden", Mortal)
        run(*SET, *more, "-o", resumed, "--checkpoint", saved)
    done = run(*SET, *more, "--json", "-o", resumed, "--checkpoint", saved, "--resume")
    assert resumed.read_bytes() == whole.read_bytes()
    assert results(done.stdout) == results(expected.stdout)
    assert [record["epoch"] for record in results(done.stdout)[:-1]] == [1, 3, 5, 6]


def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    kill_at_random_moments(tmp_path, KILLS)


@pytest.mark.long
def test_kill_9_at_many_random_moments(tmp_path: Path) -> None:
    """``pytest -m long -k kill_9 --log-cli-level=INFO`` lists the moments."""
    moments = kill_at_random_moments(tmp_path, MANY_KILLS)
    places = {place for moment in moments for place in PLACES if place in moment}
    assert places == PLACES, "the kills fell in one part of the run only; run it again"


def kill_at_random_moments(tmp_path: Path, kills: int) -> list[str]:
    seed = random.randrange(1 << 32)
    logger.info("seed %d", seed)
    rng = random.Random(seed)
    whole, resumed, saved = (tmp_path / name for name in ("a.json", "b.json", "c.json"))
    data = tmp_path / "data.csv"
    data.write_text("".join(f"{i % 7},{i % 5},{i % 11},{i % 35}\n" for i in range(300)))
    program = "from zipsgd.host.cli.app import main; main()"
    settings = ("--epochs", "60", "--device", "golden")
    plain = [sys.executable, "-c", program, "train", str(data), *settings]
    start = time.perf_counter()
    subprocess.run([*plain, "-o", str(whole)], check=True, capture_output=True, timeout=120)
    duration = time.perf_counter() - start
    command = [*plain, "-o", str(resumed), "--checkpoint", str(saved), "--resume"]
    moments: list[str] = []
    while len(moments) < kills:
        if moment := kill(command, saved, rng, duration):
            moments.append(moment)
            logger.info("kill %d of %d: %s", len(moments), kills, moment)
            continue
        assert resumed.read_bytes() == whole.read_bytes()
        resumed.unlink()
        saved.unlink()
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert resumed.read_bytes() == whole.read_bytes()
    assert sorted(tmp_path.iterdir()) == [whole, resumed, saved, data]
    return moments


CHANGES = [
    (["--seed", "1"], "seed 0 and not 1"),
    (["--bits", "5"], "bits 4 and not 5"),
    (["--epochs", "7"], "epochs 6 and not 7"),
    (["--step", "0.01"], "step from the data and not 0.01"),
    (["--schedule", "constant"], "schedule 1/k and not constant"),
    (["--sync"], "sync False and not True"),
]


@pytest.mark.parametrize(("more", "message"), CHANGES)
def test_another_run_is_refused(more: list[str], message: str, tmp_path: Path) -> None:
    saved = tmp_path / "c.json"
    run(*SET, "--checkpoint", saved)
    before = saved.read_bytes()
    done = run(*SET, *more, "--checkpoint", saved, "--resume", code=2)
    assert message in done.stderr and "same options" in done.stderr
    assert saved.read_bytes() == before


def test_other_data_is_refused(tmp_path: Path) -> None:
    saved, data = tmp_path / "c.json", tmp_path / "a.csv"
    rows = [f"{i % 7},{i % 5},{i % 3}" for i in range(40)]
    data.write_text("\n".join(rows))
    options = (data, "--device", "golden", "--epochs", "2", "--checkpoint", saved)
    run(*options)
    data.write_text("\n".join(["1,1,1", *rows[1:]]))
    done = run(*options, "--resume", code=2)
    assert "on other data than a.csv" in done.stderr


def test_a_checkpoint_is_not_overwritten(tmp_path: Path) -> None:
    saved = tmp_path / "c.json"
    run(*SET, "--checkpoint", saved)
    assert "pass --resume" in run(*SET, "--checkpoint", saved, code=2).stderr
    assert "--resume needs a --checkpoint" in run(*SET, "--resume", code=2).stderr
    missing = run(*SET, "--checkpoint", tmp_path / "none" / "c.json", code=2)
    assert "cannot be written" in missing.stderr


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The checkpoint of a whole training."""
    options = Options(epochs=2, copies=1, step=0.01)
    task = prepare(read_dataset("sklearn:iris"), options)
    checkpoint = Checkpoint(tmp_path_factory.mktemp("done") / "c.json", task, resume=False)
    checkpoint.save(list(train(task, GoldenDevice(task.config))))
    return checkpoint


def refused(done: Checkpoint, content: bytes) -> None:
    path = done.path.with_name("damaged.json")
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(str(path))) as caught:
        Checkpoint(path, done.task, resume=True)
    assert "\n" not in str(caught.value) and "; " in str(caught.value)


def test_no_damage_of_a_checkpoint_is_a_traceback(done: Checkpoint) -> None:
    text = done.path.read_bytes()
    good = json.loads(text)
    assert len(Checkpoint(done.path, done.task, resume=True).done) == 2
    strange: list[Any] = [None, 3, "x", [1], [[]], {"a": 1}]
    replaced = [(name, bad) for name in good for bad in strange]
    contents = [{**good, name: bad} for name, bad in replaced]
    contents += [{k: v for k, v in good.items() if k != name} for name in good]
    contents += [{**good, "words": [1 << 70] * len(good["words"])}]
    contents += [{**good, "epochs": [{**good["epochs"][0], "counters": {"cycles": 0}}]}]
    texts = [json.dumps(content).encode() for content in contents]
    texts += [b"", b"[]", b"{", text[:500], b"\x00", b"[" * 100_000, b'{"format": NaN}', b"\xff"]
    for damaged in texts:
        refused(done, damaged)


@given(place=st.integers(0), value=json_values)
def test_no_value_in_a_checkpoint_is_a_traceback(done: Checkpoint, place: int, value: Any) -> None:
    """Any one value replaced by any other."""
    good = json.loads(done.path.read_bytes())
    changed = replaced_somewhere(good, place, value)
    path = done.path.with_name("changed.json")
    path.write_text(json.dumps(changed))
    with contextlib.suppress(InputError):
        found = Checkpoint(path, done.task, resume=True).done
        assert len(found) <= 2 and (not found or len(found[-1].words) == 16)
