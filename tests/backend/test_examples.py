"""The examples run, in their short setting, and say what they are there to say."""

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    yield
    sys.modules.pop("series_classifier", None)  # it keeps what it loaded


def test_series_classifier():
    import series_classifier

    figures = series_classifier.main(attention=True, epochs=2)
    for network in ("CausalConv1D and MaskedAverage", "CausalConv1D and SelfAttention"):
        usual, otherwise_padded = figures[network]
        assert usual == otherwise_padded > 0.2


def test_image_network(tmp_path):
    import image_network

    ratios = image_network.main(short=True, folder=tmp_path)
    assert ratios["SineDense"] > max(ratios["ReLU"], ratios["sines, Glorot"]) + 3
    assert (tmp_path / "image_network.png").stat().st_size > 1000


def test_streaming_sunspots(tmp_path):
    import streaming_sunspots

    figures = streaming_sunspots.main(short=True, folder=tmp_path)
    assert figures["difference"] < 1e-4
    assert (tmp_path / "streaming_sunspots.png").stat().st_size > 1000


def test_codebook_digits(tmp_path):
    import codebook_digits

    figures = codebook_digits.main(short=True, folder=tmp_path)
    assert figures["error"] < 0.8 * figures["blank"]
    assert figures["accuracy"] > 0.5
    assert (tmp_path / "codebook_digits.png").stat().st_size > 1000


def test_auxiliary_loss():
    import auxiliary_loss

    figures = auxiliary_loss.main(short=True)
    assert figures["active"][1.0] < figures["active"][0.1] < figures["active"][0.0]
    assert figures["accuracy"][0.0] > 0.6


def test_drifting_batches():
    import drifting_batches

    distances = drifting_batches.main()
    assert distances.index(max(distances)) == drifting_batches.CHANGED


def test_mislabelled_digits(tmp_path):
    import mislabelled_digits

    figures = mislabelled_digits.main(short=True, folder=tmp_path)
    assert figures["chance"] == 0.1
    assert figures["precision"] > 0.6


def test_failing_networks():
    import failing_networks

    watches = failing_networks.main()
    (first, *_) = watches["dying"].history.alerts
    assert (first.rule, first.kind) == ("DeadUnits", "activation")
    (first, *_) = watches["exploding"].history.alerts
    assert first.rule == "ExplodingGradient"
    for watch in watches.values():
        assert max(record.step for record in watch.history.tensors) < 40
