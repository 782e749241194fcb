"""The site, built once a test run, whichever worker comes first."""

import fcntl
import os
import subprocess
import sys
import uuid
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "docs"
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)


@cache
def built():
    """Return the folder of the built site. Warnings are errors."""
    SITE.parent.mkdir(exist_ok=True)
    with SITE.with_suffix(".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if lock.read() != RUN:
            command = [
                sys.executable,
                "-m",
                "sphinx",
                "-E",
                "-a",
                "-W",
                "--keep-going",
                "-n",
                "-q",
                "-d",
                "build/doctrees",
                "docs",
            ]
            done = subprocess.run([*command, str(SITE)], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            lock.truncate(0)
            lock.write(RUN)
    return SITE
