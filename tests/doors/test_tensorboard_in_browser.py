"""A real TensorBoard, where TensorFlow is not, shows what `Watch` wrote."""

import re
import subprocess
import sys
import time

from browser import needs_browser, opened
from test_sinks import NO_TENSORFLOW, written

SERVE = NO_TENSORFLOW + "from tensorboard.main import run_main; run_main()"


@needs_browser
def test_scalars_and_histograms_are_shown(tmp_path):
    written(tmp_path, 0, 5, 10)
    command = [sys.executable, "-c", SERVE, "--logdir", str(tmp_path), "--port", "0", "--load_fast", "false"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        try:
            address = next(found[0] for line in server.stderr if (found := re.search(r"http://[^ ]+", line)))
            with opened(f"{address.rstrip('/')}/#timeseries") as browser:
                text = wait_for(browser, "activation/mean/encoder/dense")
                for said in ("activation/encoder/dense", "activation/max/encoder/dense", "weight", "probe", "run"):
                    assert said in text
                assert browser.find_elements("css selector", "tb-histogram svg path")
        finally:
            server.terminate()


def wait_for(browser, wanted, seconds=90):
    """Wait until the page shows `wanted`; its text without white space, which TensorBoard puts into long names."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = "".join(browser.execute_script("return document.body.textContent").split())
        if wanted in seen:
            return seen
        time.sleep(0.5)
    raise AssertionError(f"{wanted!r} was not shown in {seconds} s: {seen[-500:]}")
