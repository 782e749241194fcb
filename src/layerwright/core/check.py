"""A check: one property, tested for one case on one backend."""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from layerwright.core.case import Case, Traits
from layerwright.core.finding import Finding, Outcome

HEADINGS = ("What it proves", "Why it matters", "How it is tested", "Exempt when", "References")
"""The headings that every check's docstring has, in this order."""

Stage = Literal["construct", "call"]


@dataclass(frozen=True)
class Check:
    """One property, with the code that names it for ever.

    Attributes:
        code: Stable code, such as `"LW301"`.
        slug: The name of the property, such as `"batch-independence"`.
        function: Takes a `Trial`, returns a finding or yields several.
        requires: Codes of checks that must pass first; if one does not, this check is `blocked`.
        exempt: Traits that exempt a layer: trait name to the value, or tuple of values, that does.
        needs: Traits without which the check does not apply: trait name to the value it must have.
        advisory: Whether the check warns rather than fails.
        across_backends: Whether the check compares backends. Its function then takes what was observed on two of
            them, and its module has `observe(trial, first)`, where `first` is what the first backend observed or None.
        stage: The stage that every other check needs, if this check tests it: `"construct"` or `"call"`. What ends a
            process in that stage, or keeps a layer from it, is reported by this check.
        needs_tensors: Whether the check handles inputs as tensors of this backend. It is skipped for strings where the
            backend has no string tensors.
        models: Whether the check also applies to a whole model, not only to a layer. A question in place of `True`
            says by what the layer in the model at which it fails is found; see `layerwright.trial.graph`.
    """

    code: str
    slug: str
    function: Callable[..., Finding | Iterable[Finding]]
    requires: tuple[str, ...] = ()
    exempt: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, Any] = field(default_factory=dict)
    advisory: bool = False
    across_backends: bool = False
    stage: Stage | None = None
    needs_tensors: bool = False
    models: bool | str = False

    @property
    def document(self) -> str:
        """The check's docstring."""
        return inspect.getdoc(self.function) or ""

    @property
    def title(self) -> str:
        """The first line of the check's docstring."""
        return self.document.partition("\n")[0]

    @property
    def family(self) -> str:
        """The folder that the check lives in, such as `"axes"`."""
        return self.function.__module__.split(".")[-2]

    def bad(self) -> Case:
        """The smallest case that lacks the property."""
        made: Case = self._module_attribute("bad")()
        return made

    def good(self) -> Case:
        """The smallest case that has it."""
        made: Case = self._module_attribute("good")()
        return made

    def observe(self, trial: Any, first: Any) -> Any:
        """Return what a check across backends compares, computed on this backend."""
        return self._module_attribute("observe")(trial, first)

    def compare(self, first: Any, second: Any) -> Finding:
        """Compare what a check across backends observed on two of them."""
        finding = self.function(first, second)
        assert isinstance(finding, Finding)
        return finding

    def source(self, name: str) -> str:
        """Return the source text of `bad` or `good`."""
        return inspect.getsource(self._module_attribute(name))

    def inapplicable(self, traits: Traits) -> str | None:
        """Say why the check does not apply to a layer with these traits, or return None if it does."""
        if traits.model and not self.models:
            return "applies to layers, not to a whole model"
        for name, values in self.exempt.items():
            value = getattr(traits, name)
            exempting = values if isinstance(values, tuple) else (values,)
            if value in exempting or (value == "graph" and "coupled" in exempting):
                return f"exempt: the layer declares {name}={value!r}"
        for name, wanted in self.needs.items():
            if getattr(traits, name) != wanted:
                return f"applies only to layers that declare {name}={wanted!r}"
        return None

    def _module_attribute(self, name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(sys.modules[self.function.__module__], name)
        return found


def check(
    code: str,
    slug: str,
    *,
    requires: tuple[str, ...] = (),
    exempt: Mapping[str, Any] | None = None,
    needs: Mapping[str, Any] | None = None,
    advisory: bool = False,
    across_backends: bool = False,
    stage: Stage | None = None,
    needs_tensors: bool = False,
    models: bool | str = False,
) -> Callable[[Callable[..., Finding | Iterable[Finding]]], Check]:
    """Make a check of a function that takes a `Trial`. See `Check` for the arguments."""

    def make(function: Callable[..., Finding | Iterable[Finding]]) -> Check:
        return Check(
            code,
            slug,
            function,
            requires,
            exempt or {},
            needs or {},
            advisory,
            across_backends,
            stage,
            needs_tensors,
            models,
        )

    return make


def as_expected(finding: Finding, check: Check, expect: Mapping[str, str]) -> Finding:
    """Turn a failure that `expect` names, by code or slug, into an expected one, and a pass into an unexpected one."""
    reason = expect.get(check.code, expect.get(check.slug))
    if reason is None:
        return finding
    if finding.outcome in (Outcome.FAILED, Outcome.WARNED):
        return Finding(Outcome.XFAILED, f"expected: {reason} ({finding.message})", finding.fix, finding.evidence)
    if finding.outcome in (Outcome.PASSED, Outcome.NOTE):
        return Finding(Outcome.XPASSED, f"expected to fail ({reason}), but passed", "Remove the expectation.")
    return finding
