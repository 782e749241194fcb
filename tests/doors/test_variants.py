"""Cases that differ in constructor arguments."""

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerwright.cases.pairwise import expanded, pairwise
from layerwright.core.case import Case, case, cases_for

OPTIONS = st.dictionaries(
    st.sampled_from(["axis", "mode", "padding", "use_bias", "keepdims"]),
    st.integers(2, 4).map(lambda n: list(range(n))),
)


@given(OPTIONS)
def test_every_two_values_meet(options):
    rows = [{name: values[0] for name, values in options.items()}, *pairwise(options, most=1000)]
    for first, second in combinations(options, 2):
        for one, other in product(options[first], options[second]):
            assert any(row[first] == one and row[second] == other for row in rows)


@given(OPTIONS)
def test_no_more_than_asked_for_and_none_twice(options):
    rows = pairwise(options, most=5)
    assert len(rows) <= 5
    assert len({tuple(row.items()) for row in rows}) == len(rows)
    assert {name: values[0] for name, values in options.items()} not in rows


def test_it_takes_fewer_than_all_combinations():
    options = {name: [0, 1, 2] for name in "abcd"}
    assert len(pairwise(options, most=1000)) < 20 < 3**4


def test_a_case_with_variants_becomes_several():
    declared = Case(dict, init={"a": 1}, inputs=(None, 5), variants={"a": [2], "b": [3, None]})
    cases = expanded(declared)
    assert cases[0].init == {"a": 1}
    assert {"a": 2, "b": 3} in [each.init for each in cases]
    assert {"a": 2, "b": None} in [each.init for each in cases]
    assert {"a": 2} in [each.init for each in cases], "an argument that is not given keeps its own default"
    assert all(not each.variants for each in cases)
    assert len({str(each) for each in cases}) == len(cases)


def test_the_decorator_takes_variants():
    @case(inputs=(None, 5), variants={"mode": ["sum"]})
    class Layer:
        pass

    (declared,) = cases_for([Layer])[Layer]
    assert [str(each) for each in expanded(declared)] == ["Layer() on (None, 5)", "Layer(mode='sum') on (None, 5)"]


@pytest.mark.parametrize("most", [1, 3])
def test_one_argument_gives_its_values(most):
    assert pairwise({"mode": ["a", "b", "c"]}, most) == [{"mode": "b"}, {"mode": "c"}][:most]
