"""Forecast sunspots year by year from a stream, with a network that was trained on whole series.

Two causal convolutions and causal self-attention learn to forecast the number of sunspots in the next year from the
years before (Zurich series, 1700 to 2008). Then the same layers run one year at a time. Each layer keeps an explicit
state, so no earlier year is computed again. Every forecast equals the forecast from a full pass.

    KERAS_BACKEND=jax python examples/streaming_sunspots.py [--short]
"""

import argparse
from pathlib import Path
from typing import Any

import keras
import numpy as np
import statsmodels.api as sm
from keras import ops

from layerwright.layers import CausalConv1D, Linear, SelfAttention

Array = np.ndarray[Any, Any]
FIRST_TEST_YEAR = 1920


class Forecaster(keras.Model):
    """Forecasts the next year from each year and the years before it: (batch, time, 1) to (batch, time, 1)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.convolutions = [CausalConv1D(32, 3), CausalConv1D(32, 3, dilation_rate=4)]
        self.attention = SelfAttention(key_dim=16, num_heads=2, causal=True, sliding_window=24)
        self.forecast = Linear(1, use_bias=True)

    def call(self, inputs: Any) -> Any:
        """Return the forecasts for whole series."""
        x = inputs
        for convolution in self.convolutions:
            x = convolution(x)
        return self.forecast(x + self.attention(x))

    def get_initial_state(self, batch_size: int, length: int) -> list[Any]:
        """Return the state before the first of at most `length` steps."""
        states = [layer.get_initial_state(batch_size) for layer in self.convolutions]
        return [*states, self.attention.get_initial_state(batch_size, length)]

    def step(self, x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Return the forecasts after one more step (batch, 1), and the new state."""
        after = []
        for convolution, state in zip(self.convolutions, states, strict=False):
            x, state = convolution.step(x, state)
            after.append(state)
        attended, state = self.attention.step(x, states[-1])
        return self.forecast(x + attended), [*after, state]


def load() -> tuple[Array, Array]:
    """Return the years and the square roots of their sunspot numbers. The square root makes the noise uniform."""
    data = sm.datasets.sunspots.load_pandas().data
    return data["YEAR"].to_numpy().astype(int), np.sqrt(data["SUNACTIVITY"].to_numpy()).astype("float32")


def train(series: Array, epochs: int, window: int = 60) -> Forecaster:
    """Return a forecaster, trained on every window of the series."""
    keras.utils.set_random_seed(0)
    windows = np.lib.stride_tricks.sliding_window_view(series, window + 1)
    model = Forecaster()
    model.compile(keras.optimizers.AdamW(2e-3), "mse")
    model.fit(windows[:, :-1, None], windows[:, 1:, None], batch_size=32, epochs=epochs, verbose=0)
    return model


def stream(model: Forecaster, series: Array) -> Array:
    """Return the forecasts from one value after another."""
    states = model.get_initial_state(1, len(series))
    forecasts = []
    for value in series:
        forecast, states = model.step(ops.reshape(value, (1, 1)), states)
        forecasts.append(float(ops.convert_to_numpy(forecast)[0, 0]))
    return np.array(forecasts)


def draw(years: Array, series: Array, forecasts: Array, path: Path) -> None:
    """Save a picture of the forecasts and the observed numbers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(years, series**2, color="0.6", label="observed")
    axes.plot(years, np.maximum(forecasts, 0) ** 2, color="tab:orange", label="forecast")
    axes.axvline(FIRST_TEST_YEAR, color="0.3", linestyle=":", label="end of the training data")
    axes.set_ylabel("sunspots per year")
    axes.legend()
    figure.savefig(path, dpi=100)


def main(short: bool = False, folder: Path = Path()) -> dict[str, float]:
    """Train, forecast by stream and by full pass, print the errors, and save a picture of the forecasts."""
    years, series = load()
    mean, deviation = series[years < FIRST_TEST_YEAR].mean(), series[years < FIRST_TEST_YEAR].std()
    scaled = (series - mean) / deviation
    model = train(scaled[years < FIRST_TEST_YEAR], epochs=3 if short else 60)
    whole = model.predict(scaled[None, :, None], verbose=0)[0, :, 0]
    streamed = stream(model, scaled)
    test = years[1:] >= FIRST_TEST_YEAR
    figures = {
        "difference": float(np.abs(whole - streamed).max()),
        "error": float(np.abs(streamed[:-1] - scaled[1:])[test].mean() * deviation),
        "persistence": float(np.abs(scaled[:-1] - scaled[1:])[test].mean() * deviation),
    }
    print(f"{len(series)} years; largest difference between stream and full pass: {figures['difference']:.1e}")
    print(f"mean absolute error from {FIRST_TEST_YEAR} on, in square roots of sunspots: {figures['error']:.2f}")
    print(f"  if the forecast is the current year's value: {figures['persistence']:.2f}")
    draw(years[1:], series[1:], (streamed * deviation + mean)[:-1], folder / "streaming_sunspots.png")
    print(f"Saved the picture to {folder / 'streaming_sunspots.png'}.")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="train for a few epochs only")
    main(parser.parse_args().short)
