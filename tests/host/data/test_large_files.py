"""Files are read in pieces: the pieces change nothing, and memory stays bounded."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy import sparse

from zipsgd.host.data import arrays as array_readers
from zipsgd.host.data import arrow as arrow_readers
from zipsgd.host.data import gather, sources
from zipsgd.host.data.dataset import Floats
from zipsgd.host.data.file_format import read_dataset

SAMPLES, FEATURES = 700, 9


def table() -> Floats:
    """Half zeros; the last feature is zero but at the end."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random((SAMPLES, FEATURES)) < 0.5, 0, rng.normal(size=(SAMPLES, FEATURES)))
    x[: SAMPLES // 2, -1] = 0
    return np.column_stack([x, rng.normal(size=SAMPLES)])


def svm(rows: Floats) -> str:
    return "".join(
        f"{row[-1]!r} " + " ".join(f"{j + 1}:{x!r}" for j, x in enumerate(row[:-1]) if x) + "\n"
        for row in rows.tolist()
    )


def save_svm(path: Path, rows: Floats) -> None:
    path.write_text(svm(rows))


def save_gzip(path: Path, rows: Floats) -> None:
    path.write_bytes(gzip.compress(svm(rows).encode()))


def save_csv(path: Path, rows: Floats) -> None:
    names = ",".join(f"f{j}" for j in range(rows.shape[1]))
    path.write_text(
        names + "\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows.tolist())
    )


def save_parquet(path: Path, rows: Floats) -> None:
    names = [f"f{j}" for j in range(rows.shape[1])]
    parquet.write_table(pa.table(list(rows.T), names=names), path)


def save_npz(path: Path, rows: Floats) -> None:
    np.savez(path, X=rows[:, :-1], y=rows[:, -1])


def save_fortran(path: Path, rows: Floats) -> None:
    np.savez(path, X=np.asfortranarray(rows[:, :-1]), y=rows[:, -1])


def save_sparse(path: Path, rows: Floats) -> None:
    sparse.save_npz(path, sparse.csr_matrix(rows))


SAVE: dict[str, Callable[[Path, Floats], None]] = {
    "a.svm": save_svm,
    "a.svm.gz": save_gzip,
    "a.csv": save_csv,
    "a.parquet": save_parquet,
    "a.npy": np.save,
    "a.npz": save_npz,
    "fortran.npz": save_fortran,
    "sparse.npz": save_sparse,
}


@pytest.mark.parametrize("name", SAVE)
@pytest.mark.parametrize("piece", [100, 3000])
def test_pieces_and_mapped_files_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, piece: int
) -> None:
    rows = table()
    SAVE[name](tmp_path / name, rows)
    whole = read_dataset(str(tmp_path / name))
    monkeypatch.setattr(sources, "PIECE_BYTES", piece)
    monkeypatch.setattr(arrow_readers, "BATCH_ROWS", piece // 30)
    monkeypatch.setattr(array_readers, "WINDOW_VALUES", piece)
    monkeypatch.setattr(gather, "WINDOW_VALUES", piece)
    monkeypatch.setattr(gather, "MEMORY_BYTES", 20_000)
    parts = read_dataset(str(tmp_path / name))
    assert isinstance(parts.features, np.memmap) and not isinstance(whole.features, np.memmap)
    for found in (whole, parts):
        assert np.array_equal(found.features, rows[:, :-1])
        assert np.array_equal(found.labels, rows[:, -1])
    assert whole.feature_names == parts.feature_names


@pytest.mark.parametrize("name", ["a.csv", "a.svm"])
def test_a_fault_in_a_later_piece_has_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sources, "PIECE_BYTES", 1000)
    SAVE[name](tmp_path / name, table())
    lines = (tmp_path / name).read_text().splitlines()
    lines[432] = lines[432].replace(".", "x", 1)
    (tmp_path / name).write_text("\n".join(lines))
    with pytest.raises(Exception, match=r":433:\d+: .* not a number"):
        read_dataset(str(tmp_path / name))


def test_constant_features_of_a_mapped_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "MEMORY_BYTES", 20_000)
    monkeypatch.setattr(gather, "WINDOW_VALUES", 500)
    rows = table()
    rows[:, 2] = 3
    np.save(tmp_path / "a.npy", rows)
    found = read_dataset(str(tmp_path / "a.npy"), drop_constant=True)
    assert isinstance(found.features, np.memmap)
    assert np.array_equal(found.features, np.delete(rows, [2, FEATURES], axis=1))


LIMITED = """
import resource, sys
from pathlib import Path
from zipsgd.host.data import gather
from zipsgd.host.codes.packed import PackOptions, open_packed, pack
from zipsgd.host.data.file_format import read_dataset
import pyarrow.parquet, sklearn.datasets, scipy.sparse  # what readers load when they run
gather.MEMORY_BYTES = 4 << 20
small, large, output = sys.argv[1:4]
with open(output, "wb") as stream:
    pack(read_dataset(small), stream, PackOptions())  # loads compiled code
used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
limit = used + int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
dataset = read_dataset(large)
with open(output, "wb") as stream:
    pack(dataset, stream, PackOptions())
found = open_packed(Path(output))
print(len(found.labels), dataset.features.nbytes)
try:
    bytes(8 * int(sys.argv[4]))
except MemoryError:
    print("limited")
"""

LIMIT_BYTES = 48 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of data segments is Linux's")
@pytest.mark.parametrize("name", ["a.svm", "a.npy"])
def test_a_set_several_times_the_memory_limit_is_packed(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    large, small = tmp_path / name, tmp_path / f"small-{name}"
    columns, samples = (60, 420_000) if name == "a.npy" else (499, 55_000)
    if name == "a.npy":
        mapped = np.lib.format.open_memmap(large, "w+", np.float64, (samples, columns + 1))
        for start in range(0, samples, 10_000):
            mapped[start : start + 10_000] = rng.normal(size=(10_000, columns + 1))
        np.save(small, mapped[:100])
        del mapped
    else:  # sparse text: short, but wide once expanded
        lines = [
            f"{i % 7} {i % (columns - 1) + 1}:{i % 11 + 1}.5 {columns}:{i % 3}\n"
            for i in range(samples)
        ]
        large.write_text("".join(sorted(lines[: 50 * columns])) + "".join(lines[50 * columns :]))
        small.write_text("".join(lines[: 2 * columns]))
    arguments = [str(small), str(large), str(tmp_path / "a.zsgd"), str(LIMIT_BYTES)]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    kept, size, limited = done.stdout.split()
    assert int(kept) == samples - round(0.2 * samples)
    assert int(size) > 4 * LIMIT_BYTES
    assert limited == "limited"
