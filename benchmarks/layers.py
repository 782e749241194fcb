"""Time our layers, and compare them with naive code, Keras's own layers, native code and the limit of the machine.

    python benchmarks/layers.py                          every installed backend, compiled as in training
    python benchmarks/layers.py --layers MaskedAverage   some layers
    python benchmarks/layers.py --torch-compile --sizes middle    torch.compile: ten minutes of compilation
    python benchmarks/layers.py --write                  also write the tables into docs/performance.md; with
                                                         --torch-compile, only the table of torch.compile

All contestants of a row take turns in one process per backend, after a test that they compute the same result. The
medians of the rounds are compared, so other programs on the machine affect all contestants alike. Our layer takes part
twice, compiled separately: the difference between the two is the noise, and a peer counts as faster only if it is
faster than both. "limit" is the time that the machine needs to copy the bytes that must be moved, or to compute the
matrix product, as a percentage of our time. It is measured in the same process. At 100 %, no implementation can be
faster. On a machine with a GPU, everything is measured on the GPU.
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
PAGE = ROOT / "docs" / "performance.md"
START, END = "<!-- tables: python benchmarks/layers.py --write -->", "<!-- end of tables -->"
COMPILED = "<!-- torch.compile: python benchmarks/layers.py --torch-compile --sizes middle --write -->"
END_COMPILED = "<!-- end of torch.compile -->"
DIRECTIONS = ("forward", "and backward")
COPY, SAFE = "copy", "as safe"
SECONDS_A_TURN = 0.02
OURS, AGAIN = "ours", "ours again"


def main() -> None:
    """Measure on each backend in its own process, and print or write the tables."""
    from layerwright.backends import installed
    from layerwright.runner.environment import quiet_environment

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11, help="the number of turns of each contestant")
    parser.add_argument("--layers", default="", help="the names of layers, separated by commas; by default all")
    parser.add_argument("--sizes", default="", help="small, middle or large, separated by commas; by default all")
    parser.add_argument("--torch-compile", action="store_true", help="measure only torch.compile, on torch")
    parser.add_argument("--write", action="store_true", help=f"write the tables into {PAGE.relative_to(ROOT)}")
    parser.add_argument("--backend", help="measure only this backend")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options)))
        return
    tables = []
    if options.torch_compile:
        options.backend = "torch"
    for backend in [options.backend] if options.backend else installed():
        environment = {**quiet_environment(backend), "OMP_NUM_THREADS": ""}
        done = subprocess.run(
            [sys.executable, __file__, "--child", *sys.argv[1:]],
            env={name: value for name, value in environment.items() if value},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found = [table(backend, *each) for each in json.loads(done.stdout.splitlines()[-1]).items()]
        print(*found, sep="\n", flush=True)
        tables += found
    if options.write:
        start, end = (COMPILED, END_COMPILED) if options.torch_compile else (START, END)
        page = PAGE.read_text("utf-8")
        before, after = page.partition(start)[0], page.partition(end)[2]
        PAGE.write_text("\n".join([before + start, "", *tables, end]) + after, "utf-8")


def measure(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Return the times of each row, for each mode of compilation."""
    from modes import modes
    from rows import rows

    wanted = set(filter(None, options.layers.split(",")))
    sizes = list(filter(None, options.sizes.split(",")))
    chosen = [row for row in rows(sizes) if not wanted or row.name in wanted]
    found: dict[str, list[dict[str, Any]]] = {}
    for mode, prepare in modes(options.torch_compile).items():
        rate = operations_a_second(prepare)
        for row in chosen:
            print(f"{mode}: {row.name} {row.inputs.shape}", file=sys.stderr, flush=True)
            result: dict[str, Any] = {"layer": row.name, "shape": row.inputs.shape}
            for direction in DIRECTIONS:
                ways = {
                    name: prepare(contestant, row.inputs, direction != "forward")
                    for name, contestant in row.contestants.items()
                }
                ways[AGAIN] = prepare(row.contestants[OURS], row.inputs, direction != "forward")
                if direction == "forward":
                    check_agreement(row, {name: call() for name, call in ways.items()})
                result[direction] = in_turns(ways | {COPY: copy_of(row, prepare)}, options.rounds)
            result["limit"] = max(result["forward"].pop(COPY), row.operations / rate)
            result["and backward"].pop(COPY)
            found.setdefault(mode, []).append(result)
    return found


def check_agreement(row: Any, outputs: dict[str, Any]) -> None:
    """Exit if a contestant of a row and our layer compute different results."""
    import numpy as np
    from keras import ops

    arrays = {name: ops.convert_to_numpy(each) for name, each in outputs.items()}
    for name, contestant in row.contestants.items():
        if contestant.comparable and not np.allclose(arrays[name], arrays["ours"], 1e-3, 1e-3):
            raise SystemExit(f"{row.name} {row.inputs.shape}: the outputs of {name!r} differ from ours.")


def in_turns(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds per call of each contestant. All take turns."""
    calls = {}
    for name, call in ways.items():
        call()
        call()
        start = time.perf_counter()
        call()
        calls[name] = max(1, round(SECONDS_A_TURN / max(time.perf_counter() - start, 1e-7)))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways.items())
    for _ in range(rounds):
        order = order[1:] + order[:1]
        for name, call in order:
            start = time.perf_counter()
            for _ in range(calls[name]):
                call()
            seconds[name].append((time.perf_counter() - start) / calls[name])
    return {name: statistics.median(each) for name, each in seconds.items()}


def operations_a_second(prepare: Callable[..., Callable[[], Any]]) -> float:
    """Return how many floating-point operations per second the machine does in a large matrix product."""
    import numpy as np
    from contestants import Contestant

    square = np.ones((1024, 1024), "float32")
    product = prepare(Contestant(function=lambda _, x: x @ x), square, False)
    return 2 * 1024**3 / in_turns({"product": product}, rounds=7)["product"]


def copy_of(row: Any, prepare: Callable[..., Callable[[], Any]]) -> Callable[[], Any]:
    """Return a function that reads and writes as many bytes as the row must."""
    import numpy as np
    from contestants import Contestant

    return prepare(Contestant(function=lambda _, x: x + 1.0), np.zeros(row.moved // 8, "float32"), False)


def table(backend: str, mode: str, results: list[dict[str, Any]]) -> str:
    """Return a table of ratios: the time of each contestant, divided by our time."""
    itself = sorted(
        result[direction][AGAIN] / result[direction][OURS] for result in results for direction in DIRECTIONS
    )
    tenth = len(itself) // 10
    lines = [
        f"### {backend}: {mode}",
        "",
        f"In 80 % of the rows, our second time was {itself[tenth]:.2f} to {itself[-1 - tenth]:.2f} times our first.",
        "",
        "| layer | inputs | ours, ms | naive | best peer | as safe | limit "
        "| ours, ms, and backward | naive | best peer | as safe |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results:
        forward, backward = (_cells(result[direction]) for direction in DIRECTIONS)
        limit = f"{result['limit'] / result['forward'][OURS]:.0%}"
        shape = ", ".join(map(str, result["shape"]))
        lines.append("| " + " | ".join([result["layer"], shape, *forward, limit, *backward]) + " |")
    return "\n".join([*lines, ""])


def _cells(seconds: dict[str, float]) -> list[str]:
    ours, again = seconds[OURS], seconds[AGAIN]
    naive = [each / ours for name, each in seconds.items() if name.startswith("naive")]
    peers = {name: each for name, each in seconds.items() if name not in (OURS, AGAIN, SAFE)}
    best = min((name for name in peers if not name.startswith("naive")), key=lambda name: peers[name])
    cells = [f"{ours * 1e3:.3f}", f"{naive[0]:.2f}" if naive else ""]
    for each, name in ((seconds[best], f" {best}"), (seconds[SAFE], "")):
        bold = "**" if each * 1.05 < min(ours, again) else ""
        cells.append(f"{bold}{each / ours:.2f}{bold}{name}")
    return cells


if __name__ == "__main__":
    main()
