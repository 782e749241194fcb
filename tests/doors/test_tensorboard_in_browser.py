"""A real TensorBoard, where TensorFlow is not, shows what `Watch` wrote."""

import re
import subprocess
import sys
import time

from browser import needs_browser, opened
from test_sinks import NO_TENSORFLOW, written

SERVE = NO_TENSORFLOW + "from tensorboard.main import run_main; run_main()"


@needs_browser
def test_scalars_histograms_and_pictures_are_shown(tmp_path):
    written(tmp_path, 0, 5, 10)
    command = [sys.executable, "-c", SERVE, "--logdir", str(tmp_path), "--port", "0", "--load_fast", "false"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        try:
            address = next(found[0] for line in server.stderr if (found := re.search(r"http://[^ ]+", line)))
            with opened(f"{address.rstrip('/')}/#timeseries") as browser:
                text = wait_for(browser, "activation/mean/encoder/dense")
                assert "weight/update_ratio/dense/kernel" in text
                assert "probe/confidence" in text
                assert browser.find_elements("css selector", "tb-histogram svg")
                assert browser.find_elements("css selector", "image-card img, image-card-component img")
        finally:
            server.terminate()


def wait_for(browser, wanted, seconds=90):
    """Scroll through the page until it shows `wanted`; all the text seen on the way."""
    seen = ""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen += browser.execute_script("return document.body.innerText")
        if wanted in seen:
            return seen
        time.sleep(0.5)
    raise AssertionError(f"{wanted!r} was not shown in {seconds} s: {seen[-500:]}")
