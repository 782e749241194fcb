"""LW603."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from layerwright.core.case import Case, InputSpec
from layerwright.core.check import check
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, failed, inconclusive, passed, skipped
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.policies import to_float64, version
from layerwright.trial.trial import Trial

FIRST, SECOND = 4096, 4097
"""Two integers that are one number in float16, whose spacing is 4 there, and in bfloat16."""
ROWS = 5000
SPACING = 2.0**-10
"""The largest spacing of neighbouring float16 numbers, relative to them: what is closer may round to one output."""
INDICES = ("int16", "int32", "int64", "uint16", "uint32", "uint64")


@check("LW603", "integers-stay-exact", requires=("LW601",))
def integers_stay_exact(trial: Trial) -> Finding:
    """Integers that go in as indices are told apart under a low-precision policy too.

    What it proves:
        Where the layer's outputs for the inputs 4096 and 4097 differ in float32 by more than float16 rounds to, they
        differ under mixed_float16.

    Why it matters:
        float16 holds every integer up to 2048 and then every second, fourth and eighth. A layer that casts its
        integer inputs to its compute dtype looks up row 4096 for token 4097; with a small vocabulary in the tests
        everything is right.

    How it is tested:
        Every integer input is filled with 4096, then with 4097, and the outputs are compared, in float32 and, with
        the same constructor, under mixed_float16. If the layer does not tell the two apart in float32, as where
        its table has fewer rows, each integer constructor argument no smaller than the inputs' bound is set to 5000.

    Exempt when:
        Never; skipped where no integers go in, not probed where the layer cannot be made to tell the two apart.

    References:
        IEEE 754-2019, binary16: 11 bits of precision; keras.io/api/mixed_precision: integer inputs are not cast.
    """
    if not any(_holds_indices(spec) for spec in trial.case.specs()):
        return skipped("the layer is fed no integers")
    for case in _roomier(trial.case):
        with suppress(LayerError):
            if _tells_apart(Trial(case, trial.seed), "float32", SPACING):
                return _under_float16(Trial(case, trial.seed))
    return inconclusive(
        f"the layer does not tell {FIRST} from {SECOND} in float32, whatever is made larger",
        "Declare a case with room for 5000 indices.",
    )


def _under_float16(trial: Trial) -> Finding:
    told_apart = _tells_apart(trial, "mixed_float16")
    if isinstance(told_apart, str):
        return skipped(told_apart)
    if not told_apart:
        return failed(
            f"the inputs {FIRST} and {SECOND} give different outputs in float32, but equal ones under mixed_float16",
            "Keep indices integers: ops.cast(inputs, 'int32') and not the compute dtype; cast to it only what was "
            "looked up.",
        )
    return passed(constructor={name: value for name, value in trial.case.init.items() if isinstance(value, int)})


def _roomier(case: Case) -> Iterator[Case]:
    """Yield the case, then with 5000 for each integer constructor argument that may be the number of indices."""
    yield case
    bound = min(int(spec.high or 4) for spec in case.specs() if _holds_indices(spec))
    sizes = {name: value for name, value in case.init.items() if isinstance(value, int) and value >= bound}
    for name in sorted(sizes, key=lambda name: sizes[name]):
        yield replace(case, init={**case.init, name: ROWS})


def _tells_apart(trial: Trial, policy: str, spacing: float = 0.0) -> bool | str:
    """Whether outputs for the two integers differ by more than `spacing`, relative to them; or why that is unknown."""
    found = version(trial, policy)
    if isinstance(found, str):
        return found
    first, second = (to_float64(found.call(_filled(trial, value))) for value in (FIRST, SECOND))
    return any(_differ(a, b, spacing) for a, b in zip(first, second, strict=True))


def _differ(first: Array, second: Array, spacing: float) -> bool:
    apart = np.abs(first - second)
    return bool((np.isfinite(apart) & (apart > spacing * np.maximum(np.abs(first), np.abs(second)))).any())


def _filled(trial: Trial, value: int) -> Arguments:
    return trial.usual.map(lambda array: np.full_like(array, value) if str(array.dtype) in INDICES else array)


def _holds_indices(spec: InputSpec) -> bool:
    return spec.dtype in INDICES


def bad() -> Case:
    return _lookup("compute dtype")


def good() -> Case:
    return _lookup("int32")


def _lookup(dtype: str) -> Case:
    import keras

    class Lookup(keras.layers.Layer):
        def __init__(self, rows, **kwargs):
            super().__init__(**kwargs)
            self.rows = rows

        def build(self, input_shape):  # noqa: ARG002 - any shape will do
            self.table = self.add_weight(shape=(self.rows, 3), name="table")

        def call(self, inputs):
            indices = keras.ops.cast(inputs, self.compute_dtype if dtype == "compute dtype" else dtype)
            return keras.ops.take(self.table, keras.ops.cast(indices, "int32"), axis=0)

    return Case(Lookup, init={"rows": 7}, inputs=InputSpec((None, 6), "int32", 0, 7))
