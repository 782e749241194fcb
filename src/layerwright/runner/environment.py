"""The environment of processes that check layers."""

import os
import platform
import re
import shutil
from importlib import metadata
from pathlib import Path

MOST_CACHED_BYTES = 500_000_000

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "GLOG_minloglevel": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
}


CHECKING = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
"""Programs compiled by checks run once or twice: XLA's optimisations would take longer than they save."""


QUICK_COMPILATION = {"XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false"}
"""Makes small programs quicker to compile on JAX. XLA ends the process on a flag that it does not know."""

KNOW_THE_FLAG = {"jaxlib": ((0, 6), (0, 10)), "tensorflow": ((2, 20), (2, 21)), "tensorflow-cpu": ((2, 20), (2, 21))}
"""The versions that were tried, first and last, of the packages that read XLA_FLAGS."""


def checking_environment(backend: str) -> dict[str, str]:
    """Return the environment of a process that checks layers on `backend`; the user's own settings stay."""
    quick = QUICK_COMPILATION if backend == "jax" and all(map(_knows_the_flag, KNOW_THE_FLAG)) else {}
    return {**CHECKING, **quick, **quiet_environment(backend)}


def _knows_the_flag(package: str) -> bool:
    try:
        release = re.match(r"(\d+)\.(\d+)", metadata.version(package))
    except metadata.PackageNotFoundError:
        return True
    first, last = KNOW_THE_FLAG[package]
    return release is not None and first <= (int(release[1]), int(release[2])) <= last


def quiet_environment(backend: str) -> dict[str, str]:
    """Return the environment of a process on `backend`: the CPU, quiet, one thread; what the user set stays."""
    return {**QUIET, **_jax_cache(), **os.environ, "KERAS_BACKEND": backend}


def _jax_cache() -> dict[str, str]:
    """Return settings under which JAX keeps what it compiles from one process, and one invocation, to the next.

    A layer costs hundreds of small compilations, the same ones for most layers: with the cache, attention takes a
    quarter of the time. Executables are for this machine's processor, hence its name in the path.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "layerwright" / f"jax-{platform.node()}"
    if folder.is_dir() and sum(entry.stat().st_size for entry in os.scandir(folder)) > MOST_CACHED_BYTES:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
