"""Check layers that the authors of Layerwright did not write: how many it can call, what fails, and what it costs.

    python benchmarks/strangers.py --backend torch --select LW101,LW102    only how each layer is called; quick
    python benchmarks/strangers.py --backend torch --resume                every check; continues where it stopped
    python benchmarks/strangers.py --backend torch --resume --sample 100   also print 100 inferred cases, to be judged
    python benchmarks/strangers.py --backend torch --resume --findings 80  also print 80 failures, to be judged

The layers are those of public packages, installed with pip into the folder that `--folder` names, and those of the
example scripts of keras.io, from the folder that `--examples` names or else cloned with git. Of each script, only the
definitions are kept (`definitions.py`). Packages and scripts are imported, so their code runs on this machine.

`layerwright check` runs once for each package and each script. Its report is saved in the folder `results`. "called"
counts the layers whose case passes LW102, so that they accept their inputs. Only a reader can tell whether the authors
meant such inputs.
"""

import argparse
import ast
import fnmatch
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXAMPLE = "examples/"
KERAS_IO = "https://github.com/keras-team/keras-io"
CHECK = "from layerwright.cli.main import main; main()"
PACKAGES = {
    "keras-rs==0.4.0": "keras_rs",
    "HGQ2==0.2.0": "hgq",
    "bayesflow==2.0.12": "bayesflow",
    "keras-hexagdly==0.7.0": "keras_hexagdly",
    "qkeras-v3==1.2.1": "qkeras",
    "keras-lmu==0.9.0": "keras_lmu",
    "keras-tcn==3.5.7": "tcn",
    "kapre==0.4.1": "kapre",
    "ncps==1.0.1": "ncps/keras",
    "bert4keras3==1.6.6": "bert4keras3",
    "keras-vision==0.6.3": "keras_vision",
    "keras-aug==1.1.1": "keras_aug",
    "k3im==0.1.1": "k3im",
    "kgcnn==4.0.2": "kgcnn",
    "k3-node==1.0.0": "k3_node",
    "keras-hub==0.32.0": "keras_hub",
}
"""What is installed, and the folder of it that is checked."""
NEEDED = (
    "quantizers==1.2.2",
    "dm-tree==0.1.10",
    "tqdm==4.70.1",
    "regex==2026.11.19",
    "seaborn==0.13.2",
    "kagglehub==1.0.3",
    "kagglesdk==0.1.38",
    "tokenizers==0.23.3",
    "sentencepiece==0.2.3",
)
"""What the packages need and Layerwright does not."""
SECONDS_TO_STOP = 60
STATES = ("declared", "inferred", "undetermined", "skipped")


@dataclass(frozen=True)
class Source:
    """A package or a script whose layers are checked.

    Attributes:
        name: How the tables call it.
        targets: What `layerwright check` is given.
        path: Folders on which its imports are found.
    """

    name: str
    targets: tuple[str, ...]
    path: tuple[Path, ...] = ()

    @property
    def is_example(self) -> bool:
        """Whether it is a script."""
        return not self.path


def main() -> None:
    """Fetch the sources, check them on one backend, and print the figures."""
    options = _options()
    folder = options.folder.resolve()
    wanted = options.only.split(",") if options.only else ["*"]
    sources = [*examples(folder, options.examples, wanted, options.resume), *packages(folder, wanted)]
    selected = re.sub(r"\W+", "-", options.select) or "all"
    results = folder / "results" / f"{options.backend}-{selected}"
    results.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.processes) as pool:
        checked = dict(zip(sources, pool.map(lambda each: check(each, results, options), sources), strict=True))
    print_figures(checked)
    figures = summary(checked)
    (results / "summary.json").write_text(json.dumps(figures, indent=1), "utf-8")
    print(f"\nThe layers, and the reports: {results}")
    chance = random.Random(options.seed)
    print_cases(checked, options.sample, chance)
    print_failures(checked, options.findings, chance)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="torch", help="the backend to check on; by default torch")
    parser.add_argument("--select", default="", help="codes of checks, separated by commas; by default all")
    parser.add_argument("--only", default="", help="names or patterns, separated by commas: 'HGQ2*,examples/vision*'")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "strangers", help="where all files are kept")
    parser.add_argument("--examples", type=Path, help="a folder with example scripts; by default keras.io is cloned")
    parser.add_argument(
        "--resume", action="store_true", help="reuse the saved reports, unless a higher --timeout can complete them"
    )
    parser.add_argument("--processes", type=int, default=2, help="how many packages and scripts to check at once")
    parser.add_argument("--timeout", type=float, default=3600, help="the time limit of a package or script, in seconds")
    parser.add_argument("--sample", type=int, default=0, help="how many inferred cases to print, drawn at random")
    parser.add_argument("--findings", type=int, default=0, help="how many failures to print, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="the seed of what is drawn at random")
    return parser.parse_args()


def examples(folder: Path, scripts: Path | None, wanted: Sequence[str], resume: bool) -> list[Source]:
    """Return the example scripts that define layers, reduced to their definitions."""
    if not any(pattern == "*" or pattern.startswith(EXAMPLE) for pattern in wanted):
        return []
    if scripts is None:
        clone = folder / "keras-io"
        if not clone.exists():
            options = ["--quiet", "--depth", "1", "--filter", "blob:none", "--no-checkout"]
            subprocess.run(["git", "clone", *options, KERAS_IO, str(clone)], check=True)
            subprocess.run(["git", "-C", str(clone), "checkout", "HEAD", "--", "examples/*.py"], check=True)
        scripts = clone / "examples"
    reduced = folder / "examples"
    if not (resume and (reduced / "definitions.json").exists()):
        for old in reduced.glob("*.py"):
            old.unlink()
        program = Path(__file__).with_name("definitions.py")
        command = [sys.executable, str(program), str(scripts.resolve()), str(reduced)]
        subprocess.run(command, env=_environment("tensorflow"), stdout=subprocess.DEVNULL, check=True)
    found = [Source(f"{EXAMPLE}{file.stem}", (str(file),)) for file in sorted(reduced.glob("*.py"))]
    return [source for source in found if _is_wanted(source.name, wanted)]


def packages(folder: Path, wanted: Sequence[str]) -> Iterator[Source]:
    """Yield the packages, installed each in a folder of its own and without what they require."""
    needed = folder / "needed"
    chosen = {requirement: module for requirement, module in PACKAGES.items() if _is_wanted(requirement, wanted)}
    for requirement in NEEDED if chosen else ():
        _install(requirement, needed)
    for requirement, module in chosen.items():
        place = folder / "packages" / requirement.partition("==")[0]
        _install(requirement, place)
        yield Source(requirement, (str(place / module),), (place, needed))


def _is_wanted(name: str, wanted: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in wanted)


def _install(requirement: str, place: Path) -> None:
    name, _, version = requirement.partition("==")
    distribution = re.sub(r"[-_.]+", "[-_.]", name)
    if any(re.fullmatch(f"(?i){distribution}-{re.escape(version)}.dist-info", each.name) for each in place.glob("*")):
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), requirement]
    subprocess.run(command, check=True)


def _environment(backend: str, path: Iterable[Path] = ()) -> dict[str, str]:
    from layerwright.runner.environment import quiet_environment

    folders = [*map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**quiet_environment(backend), "PYTHONPATH": os.pathsep.join(folders)}


def check(source: Source, results: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Check a source in a process of its own, or read its saved report; return the report and what it cost."""
    saved = results / f"{source.name.replace('/', '-')}.json"
    if options.resume and saved.exists():
        read: dict[str, Any] = json.loads(saved.read_text("utf-8"))
        if not read["was_stopped"] or options.timeout <= read["time_limit"]:
            return read
    command = [sys.executable, "-c", CHECK, "check", *source.targets, "--backend", options.backend]
    command += ["--format", "json", "--jobs", "1", *(["--select", options.select] if options.select else [])]
    start = time.monotonic()
    output, errors = saved.with_suffix(".out"), saved.with_suffix(".err")
    environment = _environment(options.backend, source.path)
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            command, env=environment, cwd=results, stdout=out, stderr=err, start_new_session=True
        )
        status, used, was_stopped = _wait(process.pid, options.timeout)
        process.returncode = status
    text = output.read_text("utf-8", "replace")
    done = {
        "source": source.name,
        "status": status,
        "was_stopped": was_stopped,
        "time_limit": options.timeout,
        "wall_seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(used, 1),
        "errors": errors.read_text("utf-8", "replace").splitlines()[-200:],
        "report": json.loads(text) if text.startswith("{") else {"runs": []},
    }
    saved.write_text(json.dumps(done, indent=1), "utf-8")
    output.unlink()
    errors.unlink()
    layers = len(done["report"]["runs"])
    print(f"{source.name}: {layers} layers, {done['wall_seconds']:.0f} s", file=sys.stderr, flush=True)
    return done


def _wait(process: int, seconds: float) -> tuple[int, float, bool]:
    """Wait for a process; return its status, its CPU seconds with those of its children, and whether it was stopped.

    At the limit it is interrupted, for it then prints what it has found. If it goes on all the same, it is killed.
    """
    limit, was_stopped = time.monotonic() + seconds, False
    while True:
        ended, status, usage = os.wait4(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, was_stopped
        if time.monotonic() > limit:
            os.killpg(process, signal.SIGKILL if was_stopped else signal.SIGINT)
            was_stopped, limit = True, time.monotonic() + SECONDS_TO_STOP
        time.sleep(0.1)


def print_figures(checked: dict[Source, dict[str, Any]]) -> None:
    """Print a row for each package, one for all scripts, and one for all layers; then the findings by code."""
    scripts = [done for source, done in checked.items() if source.is_example]
    rows = {source.name: [done] for source, done in checked.items() if not source.is_example}
    if scripts:
        rows = {f"{len(scripts)} example scripts": scripts, **rows}
    rows["all"] = list(checked.values())
    words = (*STATES, "called", "failed", "warned", "broke", "CPU s a layer")
    print(f"\n{'':<28}{'layers':>8}" + "".join(f"{word:>14}" for word in words))
    for name, parts in rows.items():
        figures = _figures(parts)
        print(f"{name:<28}{figures['layers']:>8}" + "".join(f"{figures[word]:>14}" for word in words))
    for outcome in ("failed", "warned", "errored"):
        counts = Counter(
            finding["code"] for run, finding in _findings(checked.values()) if finding["outcome"] == outcome
        )
        print(f"\n{outcome}: " + ", ".join(f"{code} {count}" for code, count in counts.most_common()))
    for source, done in checked.items():
        if done["was_stopped"] or not done["report"]["runs"]:
            reason = "stopped at the time limit" if done["was_stopped"] else " ".join(done["errors"][-1:])
            print(f"incomplete: {source.name}: {reason}")


def _figures(parts: Sequence[dict[str, Any]]) -> dict[str, str]:
    runs = [run for done in parts for run in done["report"]["runs"]]
    counts = Counter(map(_state, runs))
    counts["called"] = sum(map(_was_called, runs))
    outcomes = Counter(finding["outcome"] for _, finding in _findings(parts))
    count = max(1, len(runs))
    seconds = sum(done["cpu_seconds"] for done in parts)
    shares = {word: f"{counts[word]} ({counts[word] / count:.0%})" for word in (*STATES, "called")}
    named = {"failed": "failed", "warned": "warned", "broke": "errored"}
    found = {word: str(outcomes[outcome]) for word, outcome in named.items()}
    return {"layers": str(len(runs)), **shares, **found, "CPU s a layer": f"{seconds / count:.2f}"}


def _state(run: dict[str, Any]) -> str:
    if all(finding["outcome"] == "skipped" for finding in run["findings"]):
        return "skipped"
    return str(run["case_status"])


def _was_called(run: dict[str, Any]) -> bool:
    """Whether the layer could be called: a case that the layer refuses is inferred too."""
    return any(finding["code"] == "LW102" and finding["outcome"] == "passed" for finding in run["findings"])


def _findings(parts: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for done in parts:
        for run in done["report"]["runs"]:
            for finding in run["findings"]:
                yield run, finding


def summary(checked: dict[Source, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry for each layer: where it is, how it was called, and the codes of what was found."""
    return [
        {
            "source": source.name,
            "layer": run["layer"],
            "place": place(run["target"]),
            "status": _state(run),
            "called": _was_called(run),
            "case": run["case"]["text"],
            "evidence": run["case_evidence"],
            "found": [f"{each['code']} {each['outcome']}" for each in run["findings"] if each["outcome"] != "passed"],
        }
        for source, done in checked.items()
        for run in done["report"]["runs"]
    ]


def place(target: str) -> str:
    """Return `file:line` of a layer's class, or the target itself if the class is not found in the file."""
    file, _, layer = target.rpartition(":")
    lines = _lines_of_classes(file)
    return f"{file}:{lines[layer]}" if layer in lines else target


@cache
def _lines_of_classes(file: str) -> dict[str, int]:
    if not Path(file).is_file():
        return {}
    tree = ast.parse(Path(file).read_text("utf-8"))
    return {node.name: node.lineno for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def print_cases(checked: dict[Source, dict[str, Any]], count: int, chance: random.Random) -> None:
    """Print inferred cases drawn at random: somebody reads the layers, and judges whether their authors meant this."""
    runs = [run for done in checked.values() for run in done["report"]["runs"] if _state(run) == "inferred"]
    for number, run in enumerate(chance.sample(runs, min(count, len(runs))), 1):
        print(f"\n{number}. {run['layer']}  {place(run['target'])}\n   {run['case']['text']}")
        print(*(f"   - {note}" for note in run["case_evidence"]), sep="\n")


def print_failures(checked: dict[Source, dict[str, Any]], count: int, chance: random.Random) -> None:
    """Print failures drawn at random, in turn from each package and check, so that none of them fills the list."""
    groups: dict[tuple[bool, str, str], list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for source, done in checked.items():
        for run, finding in _findings([done]):
            if finding["outcome"] == "failed":
                name = "" if source.is_example else source.name
                groups.setdefault((source.is_example, name, finding["code"]), []).append((run, finding))
    order = [chance.sample(group, len(group)) for group in groups.values()]
    chance.shuffle(order)
    drawn = [group[turn] for turn in range(max(map(len, order), default=0)) for group in order if turn < len(group)]
    for number, (run, finding) in enumerate(drawn[:count], 1):
        print(f"\n{number}. {finding['code']} {finding['check']}: {run['layer']}  {place(run['target'])}")
        print(f"   {run['case']['text']}\n   {finding['message']}")


if __name__ == "__main__":
    main()
