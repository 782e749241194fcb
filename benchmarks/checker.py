"""Compare Layerwright with Keras's private layer test: the time per layer, and the mistakes that each finds.

    python benchmarks/checker.py                 every installed backend
    python benchmarks/checker.py --repeat 5

Both run in turns in one process per backend. The first round and the imports are not counted. The first table shows
the wall and CPU seconds per layer, as medians of the rounds. The second table shows in how many layers of
examples/common_mistakes.py each tool finds the mistake. For Layerwright, the check for this mistake must fail.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Measure on each backend in its own process, and print the tables."""
    from layerwright.backends import installed
    from layerwright.runner.environment import quiet_environment

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="the number of rounds that are counted")
    parser.add_argument("--backend", help="measure only this backend, in this process, and print JSON")
    options = parser.parse_args()
    if options.backend:
        print(json.dumps(measure(options.repeat)))
        return
    results = {}
    for backend in installed():
        command = [sys.executable, __file__, "--backend", backend, "--repeat", str(options.repeat)]
        done = subprocess.run(command, env=quiet_environment(backend), stdout=subprocess.PIPE, text=True, check=True)
        results[backend] = json.loads(done.stdout.splitlines()[-1])
    _print_costs(results)
    _print_mistakes(results)


def measure(repeat: int) -> dict[str, Any]:
    """Return the times and the found mistakes on this process's backend."""
    return {"costs": _costs(repeat), "mistakes": _mistakes_found()}


def _costs(repeat: int) -> dict[str, dict[str, list[float]]]:
    """Return, for each layer, the median wall and CPU seconds of Layerwright and of Keras's test."""
    import keras

    layers: Any = keras.layers
    subjects: list[tuple[Any, dict[str, Any], tuple[int, ...]]] = [
        (layers.Dense, {"units": 4}, (4, 5)),
        (layers.Conv1D, {"filters": 4, "kernel_size": 3}, (4, 10, 5)),
        (layers.LSTM, {"units": 4}, (4, 10, 5)),
        (layers.LayerNormalization, {}, (4, 10, 5)),
        (layers.EinsumDense, {"equation": "abc,cd->abd", "output_shape": (None, 4)}, (4, 10, 5)),
    ]
    costs: dict[str, dict[str, list[float]]] = {}
    for layer, init, shape in subjects:
        contenders = {
            "layerwright": lambda layer=layer, init=init, shape=shape: _ours(layer, init, shape),
            "run_layer_test": lambda layer=layer, init=init, shape=shape: _keras_test(layer, init, shape),
        }
        rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
        for _ in range(repeat + 1):
            for name, contender in contenders.items():
                rounds[name].append(_timed(contender))
        costs[layer.__name__] = {
            name: [statistics.median(each[part] for each in times[1:]) for part in (0, 1)] + [times[0][0]]
            for name, times in rounds.items()
        }
    return costs


def _timed(function: Callable[[], Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def _ours(layer: Any, init: dict[str, Any], shape: tuple[int, ...]) -> None:
    import layerwright as lw

    lw.check(layer, init=init, inputs=(None, *shape[1:]))


def _keras_test(layer: Any, init: dict[str, Any], shape: tuple[int, ...], call: dict[str, Any] | None = None) -> None:
    """Run Keras's private test on a layer. It raises an error if the test fails."""
    from keras.src import testing

    testing.TestCase("run").run_layer_test(
        layer, init_kwargs=init, input_shape=shape, call_kwargs=call, custom_objects={layer.__name__: layer}
    )


def _mistakes_found() -> dict[str, dict[str, bool]]:
    """Return, for each layer of the example, whether each tool finds its mistake.

    Both tools get the same constructor arguments and inputs. A correct layer comes first, which must pass both.
    """
    sys.path.insert(0, str(ROOT / "examples"))
    import common_mistakes

    import layerwright as lw

    if not lw.check(_correct_layer(), select=["LW1", "LW2", "LW3", "LW7", "LW9"]).ok or _keras_test_fails(
        _correct_layer()
    ):
        raise SystemExit("a correct layer failed, so the comparison would be meaningless")
    mistakes = {}
    for name, code in common_mistakes.PLANTED.items():
        layer = getattr(common_mistakes, name)
        found = {finding.code for finding in lw.check(layer).findings if finding.outcome in ("failed", "errored")}
        mistakes[name] = {"layerwright": code in found, "run_layer_test": _keras_test_fails(layer)}
    return mistakes


def _keras_test_fails(layer: Any) -> bool:
    """Return whether Keras's test fails on the case that Layerwright infers for the layer."""
    from layerwright.cases.candidates import infer
    from layerwright.core.case import Case
    from layerwright.trial.trial import Trial

    trial = Trial(infer(Case(layer)))
    arguments = trial.usual
    call = {name: arguments.call[name] for name in arguments.tensors}
    return _raises(lambda: _keras_test(layer, dict(trial.case.init), arguments.inputs.shape, call))


def _correct_layer() -> Any:
    import keras

    class Scale(keras.layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def call(self, inputs: Any) -> Any:
            return inputs * self.scale

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    return Scale


def _raises(function: Callable[[], Any]) -> bool:
    try:
        function()
    except Exception:
        return True
    return False


def _print_costs(results: dict[str, Any]) -> None:
    print("\nSeconds per layer, wall / CPU, median of the rounds (in brackets: the first round, which also compiles)\n")
    print(f"{'layer':<20}" + "".join(f"{f'{backend} ours':>24}{f'{backend} Keras':>24}" for backend in results))
    for layer in next(iter(results.values()))["costs"]:
        row = f"{layer:<20}"
        for result in results.values():
            for name in ("layerwright", "run_layer_test"):
                wall, cpu, first = result["costs"][layer][name]
                row += f"{f'{wall:.2f} / {cpu:.2f} ({first:.1f})':>24}"
        print(row)


def _print_mistakes(results: dict[str, Any]) -> None:
    print("\nMistakes found in examples/common_mistakes.py\n")
    for backend, result in results.items():
        for name in ("layerwright", "run_layer_test"):
            found = [layer for layer, by in result["mistakes"].items() if by[name]]
            missed = [layer for layer in result["mistakes"] if layer not in found]
            words = f"; missed {', '.join(missed)}" if missed else ""
            print(f"{backend:<12}{name:<16}{len(found)} of {len(result['mistakes'])}{words}")


if __name__ == "__main__":
    main()
