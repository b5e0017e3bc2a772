from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zipsgd.host.errors import InputError
from zipsgd.host.files import remove_abandoned, replacing


def test_the_file_appears_complete_and_keeps_the_usual_mode(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with replacing(path) as stream:
        stream.write(b"half")
        stream.flush()
        assert not path.exists()
        stream.write(b" and half")
    assert path.read_bytes() == b"half and half"
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_after_a_fault_nothing_has_changed(tmp_path: Path, fault: type[BaseException]) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    with pytest.raises(fault), replacing(path) as stream:
        stream.write(b"half")
        raise fault
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"before"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"before")
    link.symlink_to(target)
    with replacing(link) as stream:
        stream.write(b"after")
    assert link.is_symlink()
    assert target.read_bytes() == b"after"


@pytest.mark.parametrize("path", ["missing/out", ".", "/dev/null"])
def test_what_cannot_be_written_is_an_error_at_once(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError), replacing(tmp_path / path):
        pytest.fail("the block must not run")


WRITE = """
import sys
from pathlib import Path
from zipsgd.host.files import replacing
with replacing(Path(sys.argv[1])) as stream:
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path, others = tmp_path / "out", [tmp_path / ".out.tmp", tmp_path / ".out.0123abcg.tmp"]
    other_target = tmp_path / ".out.json.0123abcd.tmp"
    for other in (*others, other_target):
        other.touch()
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (living,) = set(tmp_path.glob(".out.*.tmp")) - {*others, other_target}
        with replacing(path) as stream:
            stream.write(b"mine")
        assert living.exists(), "another process writes it"
        process.kill()
        process.wait(10)
    with replacing(path):
        assert not living.exists()
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])
