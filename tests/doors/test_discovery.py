"""Selecting checks by code, family and slug."""

import pytest

from layerwright.checks.discovery import all_checks, check_by_code, select_checks
from layerwright.core.errors import UsageError


def codes(checks):
    return [check.code for check in checks]


def test_order_is_that_of_codes():
    numbers = [int(check.code[2:]) for check in all_checks()]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == len(numbers)


def test_families():
    chosen = codes(select_checks(["LW3"]))
    assert "LW301" in chosen
    assert chosen == [code for code in codes(all_checks()) if code.startswith("LW3")]
    assert not set(codes(select_checks(ignore=["LW3"]))) & set(codes(select_checks(["LW3"])))


def test_slug_and_code():
    assert codes(select_checks(["batch-independence"])) == ["LW301"] == codes(select_checks(["lw301"]))
    assert check_by_code("batch-independence") is check_by_code("LW301")


def test_select_and_ignore():
    assert "LW301" not in codes(select_checks(["LW3"], ["LW301"]))


@pytest.mark.parametrize("word", ["LW999", "LW", "nonsense"][::2])
def test_unknown_codes_are_refused(word):
    with pytest.raises(UsageError, match=f"no check's code starts with '{word}'"):
        select_checks([word])
    with pytest.raises(UsageError, match="layerwright checks"):
        check_by_code(word)


def test_one_text_is_enough():
    assert select_checks("LW3") == select_checks(["LW3"])


def test_a_family_is_no_check_but_names_its_own():
    with pytest.raises(UsageError, match="lw3 is a family of checks; give one of LW301, LW302"):
        check_by_code("lw3")


def test_nothing_left_is_refused():
    with pytest.raises(UsageError, match="no check is left"):
        select_checks(["LW301"], ["LW3"])


def test_requirements_have_no_cycles():
    def walk(code, seen):
        assert code not in seen, f"cycle through {seen}"
        for needed in check_by_code(code).requires:
            walk(needed, (*seen, code))

    for check in all_checks():
        walk(check.code, ())
