"""Cases: what may be declared, and how it reads."""

import numpy as np
import pytest

import layerwright as lw
from layerwright.core.case import cases_for, declared_cases
from layerwright.core.errors import UsageError


class Thing:
    def __init__(self, **arguments):
        self.arguments = arguments


def test_case_in_words():
    case = lw.Case(
        Thing, init={"units": 4, "table": np.zeros((2, 3))}, inputs=[(None, 3), (None, 2)], call={"flag": True}
    )
    assert str(case) == "Thing(units=4, table=<float64 array of shape (2, 3)>) on [(None, 3), (None, 2)] with flag=True"
    assert str(lw.Case(Thing, name="a thing")) == "a thing"
    assert str(lw.Case(Thing, inputs=lw.InputSpec((None,), "int32"))) == "Thing() on (None,) int32"
    assert str(lw.Case(Thing, inputs={"a": (None, 3)})) == "Thing() on {a: (None, 3)}"


def test_constructions_share_no_state():
    shared = [1, 2]
    case = lw.Case(Thing, init={"sizes": shared})
    first, second = case.construct(), case.construct()
    first.arguments["sizes"].append(3)
    assert second.arguments["sizes"] == shared == [1, 2]
    assert case.construct(sizes=()).arguments == {"sizes": ()}


def test_declared_on_the_class_and_not_inherited():
    @lw.case(inputs=(None, 3), causal=True)
    @lw.case(inputs=(None, 3, 2), expect={"LW301": "by design"})
    class Declared(Thing):
        pass

    class Derived(Declared):
        pass

    first, second = declared_cases(Declared)
    assert first.traits.causal
    assert not second.traits.causal
    assert second.expect == {"LW301": "by design"}
    assert declared_cases(Derived) == ()
    assert cases_for([Derived])[Derived][0].inputs is None


def test_specs_cover_inputs_and_call():
    case = lw.Case(
        Thing, inputs={"a": (None, 3), "b": (None, 2)}, call={"mask": lw.InputSpec((None, 3), "bool"), "n": 1}
    )
    assert [spec.shape for spec in case.specs()] == [(None, 3), (None, 2), (None, 3)]


@pytest.mark.parametrize(
    ("shape", "free", "expected"),
    [((None, 10, 5), None, (4, 10, 5)), ((None, None, None), None, (4, 6, 5)), ((None, None, 5), {1: 2}, (4, 2, 5))],
)
def test_free_axes_get_sizes_of_their_own(shape, free, expected):
    assert lw.InputSpec(shape).concrete(4, free) == expected


def test_samples():
    rng = np.random.default_rng(0)
    floats = lw.InputSpec((None, 3)).sample(rng, (1000, 3))
    assert floats.dtype == "float32"
    assert abs(floats.mean()) < 0.1
    assert abs(floats.std() - 1) < 0.1
    bounded = lw.InputSpec((None, 3), low=2, high=5).sample(rng, (100, 3))
    assert 2 <= bounded.min() < bounded.max() < 5
    ids = lw.InputSpec((None,), "int32", high=7).sample(rng, (200,))
    assert set(ids.tolist()) == set(range(7))
    mask = lw.InputSpec((None, 3), "bool").sample(rng, (4, 3))
    assert mask.tolist() == [[True, True, True], [True, True, False], [True, False, False], [True, True, True]]
    assert lw.InputSpec((None, 3), "bool").sample(rng, (0, 3)).shape == (0, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lw.InputSpec(()), "shape is empty"),
        (lambda: lw.InputSpec((None, -1)), "non-negative integer or None"),
        (lambda: lw.InputSpec((None, 2.5)), "non-negative integer or None"),
        (lambda: lw.Case(Thing, inputs=3), "inputs must be a shape"),
        (lambda: lw.Case(Thing, traits={"causl": True}), "unknown trait causl; the traits are batch, causal"),
        (lambda: lw.case(speed=3)(Thing), "unknown trait speed"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_tensors_of_a_dict_come_in_the_same_order_on_every_backend():
    case = lw.Case(list, inputs={"labels": (None, 3), "boxes": [(None, 4), (None, 5)]})
    assert [spec.shape for spec in case.specs()] == [(None, 4), (None, 5), (None, 3)]
    assert list(case.inputs) == ["boxes", "labels"]
