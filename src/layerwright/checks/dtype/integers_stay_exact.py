"""LW603 integers-stay-exact."""

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
"""Two integers that float16, whose spacing is 4 there, and bfloat16 round to the same number."""
ROWS = 5000
SPACING = 2.0**-10
"""The largest relative distance of neighbouring float16 numbers. Closer outputs may round to the same number."""
INDICES = ("int16", "int32", "int64", "uint16", "uint32", "uint64")


@check("LW603", "integers-stay-exact", requires=("LW601",))
def integers_stay_exact(trial: Trial) -> Finding:
    """Integer inputs stay distinct under a low-precision dtype policy.

    What it proves:
        If the outputs for the inputs 4096 and 4097 differ in float32 by more than float16 rounding, they differ under
        mixed_float16 too.

    Why it matters:
        float16 represents every integer up to 2048, but above that only every second, fourth or eighth one. A layer
        that casts integer inputs to its compute dtype looks up row 4096 for token 4097. With a small vocabulary, as in
        most tests, this does not happen.

    How it is tested:
        Every integer input is filled with 4096, then with 4097. The outputs are compared, first in float32, then with
        the same constructor arguments under mixed_float16. If they do not differ in float32, for example because a
        table has fewer rows, each integer constructor argument that is not below the upper bound of the inputs is set
        to 5000 in turn.

    Exempt when:
        Never. The check is skipped if the layer has no integer inputs. It is inconclusive if no constructor arguments
        are found for which the float32 outputs differ.

    References:
        IEEE 754-2019, binary16: 11 bits of precision; keras.io/api/mixed_precision: integer inputs are not cast.
    """
    if not any(_is_index_input(spec) for spec in trial.case.specs()):
        return skipped("the layer has no integer inputs")
    for case in _cases_with_more_indices(trial.case):
        with suppress(LayerError):
            if _outputs_differ(Trial(case, trial.seed), "float32", SPACING):
                return _compare_under_float16(Trial(case, trial.seed))
    return inconclusive(
        f"inputs {FIRST} and {SECOND} gave equal float32 outputs with all constructor arguments that were tried",
        f"Declare a case whose constructor arguments allow {ROWS} different indices.",
    )


def _compare_under_float16(trial: Trial) -> Finding:
    differ = _outputs_differ(trial, "mixed_float16")
    if isinstance(differ, str):
        return skipped(differ)
    if not differ:
        return failed(
            f"inputs {FIRST} and {SECOND} give different outputs in float32, but equal outputs under mixed_float16; "
            "expected different outputs",
            'Keep indices as integers with `ops.cast(inputs, "int32")`. Cast only the looked-up values to the compute '
            "dtype.",
        )
    return passed(constructor={name: value for name, value in trial.case.init.items() if isinstance(value, int)})


def _cases_with_more_indices(case: Case) -> Iterator[Case]:
    """Yield the case, then the case with each integer argument that may be the number of indices set to 5000."""
    yield case
    bound = min(int(spec.high or 4) for spec in case.specs() if _is_index_input(spec))
    sizes = {name: value for name, value in case.init.items() if isinstance(value, int) and value >= bound}
    for name in sorted(sizes, key=lambda name: sizes[name]):
        yield replace(case, init={**case.init, name: ROWS})


def _outputs_differ(trial: Trial, policy: str, spacing: float = 0.0) -> bool | str:
    """Return whether the outputs for the two integers differ by more than `spacing`, relative to them.

    If that is unknown, return the reason instead.
    """
    found = version(trial, policy)
    if isinstance(found, str):
        return found
    first, second = (to_float64(found.call(_filled_with(trial, value))) for value in (FIRST, SECOND))
    return any(_differ_by_more_than(a, b, spacing) for a, b in zip(first, second, strict=True))


def _differ_by_more_than(first: Array, second: Array, spacing: float) -> bool:
    apart = np.abs(first - second)
    return bool((np.isfinite(apart) & (apart > spacing * np.maximum(np.abs(first), np.abs(second)))).any())


def _filled_with(trial: Trial, value: int) -> Arguments:
    return trial.usual.map(lambda array: np.full_like(array, value) if str(array.dtype) in INDICES else array)


def _is_index_input(spec: InputSpec) -> bool:
    return spec.dtype in INDICES


def bad() -> Case:
    return _lookup_case("compute dtype")


def good() -> Case:
    return _lookup_case("int32")


def _lookup_case(dtype: str) -> Case:
    import keras

    class Lookup(keras.layers.Layer):
        def __init__(self, rows, **kwargs):
            super().__init__(**kwargs)
            self.rows = rows

        def build(self, input_shape):  # noqa: ARG002 - the table does not depend on the shape
            self.table = self.add_weight(shape=(self.rows, 3), name="table")

        def call(self, inputs):
            indices = keras.ops.cast(inputs, self.compute_dtype if dtype == "compute dtype" else dtype)
            return keras.ops.take(self.table, keras.ops.cast(indices, "int32"), axis=0)

    return Case(Lookup, init={"rows": 7}, inputs=InputSpec((None, 6), "int32", 0, 7))
