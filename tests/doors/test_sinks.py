"""Every sink: what is written is read back by the programs that people read it with."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from layerwright.watch import statistic_names
from layerwright.watch.records import (
    Alert,
    Histogram,
    Kind,
    PredictionRecord,
    ProbeRecord,
    Sink,
    TensorRecord,
    TrainingRun,
)
from layerwright.watch.show.run import read_run
from layerwright.watch.sinks import sinks_for
from layerwright.watch.sinks.parquet import Parquet
from layerwright.watch.sinks.tensorboard import TensorBoard, logarithmic_shades

RUN = TrainingRun("model", "torch", settings={"every": 1})


def records_at(step):
    """The records of one step."""
    values = {"n": 8.0, "nonfinite": 0.0, "mean": 0.5 * step, "std": 1.0, "min": -1.0, "max": 2.0}
    bins = Histogram(-1.0, 2.0, (1, 0, 4, 3))
    return [
        TensorRecord(step, "encoder/dense", Kind.ACTIVATION, values, bins),
        TensorRecord(step, "dense/kernel", Kind.WEIGHT, {**values, "update_ratio": math.inf}),
        ProbeRecord(step, "encoder/dense", ("cat", "dog"), (0.1 * step, 0.0)),
        PredictionRecord(step, ("cat", "dog"), (1, 0), (0.9, 0.6), (True, False)),
        Alert(step, "NonFinite", "encoder/dense", Kind.ACTIVATION, "nonfinite", 1.0, 0.0, "it is not finite"),
    ]


@pytest.fixture(params=["tensorboard", "parquet"])
def sink(request, tmp_path):
    (found,) = [
        each
        for each in sinks_for(tmp_path / "run")
        if type(each).__module__ == f"layerwright.watch.sinks.{request.param}"
    ]
    return found


def test_every_sink_keeps_the_contract(sink):
    assert isinstance(sink, Sink)
    for _ in range(2):  # a second fit goes on in the same folder
        sink.open(RUN)
        sink.write(records_at(0))
        sink.write([])
        sink.close()
        sink.close()


def test_every_sink_refuses_a_folder_that_it_cannot_write_into(sink):
    for each in sinks_for("/proc/no/such"):
        with pytest.raises(ValueError, match=r"Watch: cannot write into /proc/no/such .*; choose another folder"):
            each.open(RUN)


def written(folder, *steps):
    for sink in sinks_for(folder):
        sink.open(RUN)
        for step in steps:
            sink.write(records_at(step))
        sink.close()


NO_TENSORFLOW = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")
sys.meta_path.insert(0, Refuse())
"""


def test_events_are_read_by_tensorboard_without_tensorflow(tmp_path):
    code = NO_TENSORFLOW + (
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import json, numpy as np\n"
        "from pathlib import Path\n"
        "from test_sinks import written\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "written(folder, 0, 5, 10)\n"
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
        "events = EventAccumulator(str(folder), size_guidance={'tensors': 0}).Reload()\n"
        "from tensorboard.util.tensor_util import make_ndarray\n"
        "def points(tag): return [(e.step, make_ndarray(e.tensor_proto).tolist()) for e in events.Tensors(tag)]\n"
        "print(json.dumps({'tags': events.Tags()['tensors'],\n"
        "    'mean': points('activation/mean/encoder/dense'), 'histogram': points('activation/encoder/dense')[-1]}))\n"
        "images = [tag for tag in events.Tags()['tensors'] if tag.startswith('run/')]\n"
        "for number, tag in enumerate(images):\n"
        "    (event,) = events.Tensors(tag)\n"
        "    (folder / f'{number}.png').write_bytes(event.tensor_proto.string_val[2])\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["mean"] == [[0, 0.0], [5, 2.5], [10, 5.0]]
    step, bins = found["histogram"]
    assert step == 10
    np.testing.assert_allclose(bins, [[-1, -0.25, 1], [-0.25, 0.5, 0], [0.5, 1.25, 4], [1.25, 2, 3]])
    expected = {
        *("weight/update_ratio/dense/kernel", "probe/accuracy", "probe/confidence", "alert/NonFinite/encoder/dense"),
        *("probe/relative_change_max/encoder/dense", "run/activation/mean", "run/probe/encoder/dense"),
    }
    assert expected <= set(found["tags"])
    pictures = [Image.open(BytesIO(path.read_bytes())) for path in tmp_path.glob("*.png")]
    assert pictures
    assert all(min(picture.size) >= 3 for picture in pictures)  # three recorded steps, or three rows


def test_tables_are_read_by_duckdb_and_pandas(tmp_path):
    written(tmp_path, 0, 5)
    written(tmp_path, 10)
    table = duckdb.sql(
        f"SELECT step, tensor, kind, mean, counts FROM '{tmp_path}/tensors/*.parquet' ORDER BY step, kind"
    )
    rows = table.fetchall()
    assert rows[-2:] == [
        (10, "encoder/dense", "activation", 5.0, [1, 0, 4, 3]),
        (10, "dense/kernel", "weight", 5.0, None),
    ]
    frame = pd.read_parquet(tmp_path / "probe")
    assert frame.groupby("id")["relative_change"].sum().to_dict() == pytest.approx({"cat": 1.5, "dog": 0.0})
    assert pd.read_parquet(tmp_path / "predictions")["correct"].tolist() == [True, False] * 3
    assert pd.read_parquet(tmp_path / "alerts")["message"].unique().tolist() == ["it is not finite"]


def test_every_listed_statistic_reaches_parquet_and_is_read_back(tmp_path, monkeypatch):
    added = statistic_names.Statistic("median", "moments")
    monkeypatch.setattr(statistic_names, "STATISTICS", (*statistic_names.STATISTICS, added))
    values = {name: float(number) for number, name in enumerate(statistic_names.statistic_names())}
    assert "median" in values
    sink = Parquet(tmp_path)
    sink.open(RUN)
    sink.write([TensorRecord(0, "dense", Kind.ACTIVATION, values)])
    sink.close()
    (row,) = pd.read_parquet(tmp_path / "tensors").to_dict("records")
    assert {name: row[name] for name in values} == values
    assert read_run(tmp_path).series[0].values == {name: [value] for name, value in values.items()}


def test_a_part_is_written_when_it_is_time(tmp_path):
    sink = Parquet(tmp_path, seconds=0.0)
    sink.open(RUN)
    sink.write(records_at(0))
    assert len(pd.read_parquet(tmp_path / "tensors")) == 2
    patient = Parquet(tmp_path / "other", seconds=1e9)
    patient.open(RUN)
    patient.write(records_at(0))
    assert not (tmp_path / "other" / "tensors").exists()
    patient.close()
    assert len(pd.read_parquet(tmp_path / "other" / "tensors")) == 2


def test_a_killed_run_loses_at_most_the_part_in_hand(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_sinks import records_at, RUN\n"
        "from layerwright.watch.sinks.parquet import Parquet\n"
        "from layerwright.watch.sinks.tensorboard import TensorBoard\n"
        f"sinks = [Parquet({str(tmp_path)!r}, seconds=0.0), TensorBoard({str(tmp_path)!r})]\n"
        "for sink in sinks: sink.open(RUN)\n"
        "step = 0\n"
        "while True:\n"
        "    for sink in sinks: sink.write(records_at(step))\n"
        "    print(step, flush=True)\n"
        "    step += 1\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        last = -1
        while last < 25:
            last = int(process.stdout.readline())
            if last == 10:  # read while it is being written
                assert len(pd.read_parquet(tmp_path / "tensors")) >= 20
        os.kill(process.pid, signal.SIGKILL)
        last = int((process.stdout.read().split() or [last])[-1])
    steps = duckdb.sql(f"SELECT DISTINCT step FROM '{tmp_path}/tensors/*.parquet' ORDER BY step").fetchall()
    assert [step for (step,) in steps][: last + 1] == list(range(last + 1))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    assert [event.step for event in events.Tensors("probe/confidence")][: last + 1] == list(range(last + 1))


def test_pictures_show_orders_of_magnitude():
    shades = logarithmic_shades(np.array([[0.0, 1e-6, 1.0, np.nan, np.inf]]))
    np.testing.assert_allclose(shades, [[0, 0.1, 1.0, 0, 0]])
    assert (logarithmic_shades(np.zeros((2, 2))) == 0).all()


def test_a_package_that_is_missing_is_named(monkeypatch):
    from layerwright.core.errors import UsageError

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(
        UsageError, match=r"Watch: writing records into a folder requires pyarrow.*: pip install 'layerwright\[watch\]'"
    ):
        sinks_for("run")


def test_a_second_run_gets_a_file_of_its_own(tmp_path):
    for _ in range(2):
        sink = TensorBoard(tmp_path)
        sink.open(RUN)
        sink.close()
        time.sleep(0.01)
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 2
