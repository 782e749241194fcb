"""Infer a case: gather evidence, propose constructor arguments and inputs, judge them, and take the best."""

import inspect
import itertools
import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from layerwright.cases.budget import Budget
from layerwright.cases.conventions import is_conventional, values_for
from layerwright.cases.corrections import amendments, corrections
from layerwright.cases.evidence import gather
from layerwright.cases.evidence.kinds import Known, Subject, TensorFacts
from layerwright.cases.inferred import encoded
from layerwright.cases.judge import Verdict, construct, judge
from layerwright.cases.observation import Use
from layerwright.cases.proposals import USUAL, contradicts, proposals
from layerwright.cases.refusals import is_avoidable, is_own_defect, most_telling, reason_to_skip
from layerwright.cases.signatures import constructor_parameters, is_required
from layerwright.cases.smaller import smaller_cases
from layerwright.core.case import Case, InputSpec, with_batch
from layerwright.core.errors import LayerError, quote
from layerwright.trial.arguments import map_leaves
from layerwright.trial.trial import Trial

SECONDS = 6.0
"""How long working a case out may take: a tenth of the usual time limit of a check."""

MOST_CONSTRUCTIONS = 12
MOST_CONSTRUCTIBLE = 4
MOST_TRIED = 48
MOST_KEYS = 6
MOST_SMALLER = 3
MOST_ADAPTED = 8
ENOUGH_DEFECTS = 6
OF_A_PARENT = 0.3
"""The part of the time that is left which working out another layer's case may take."""

DEEPEST = 2
TIME = InputSpec((None, 10, 5))
FEATURES = InputSpec((None, 5))


def infer(case: Case, seconds: float = SECONDS) -> Case:
    """Fill in the constructor arguments and inputs that `case` leaves open.

    A layer that cannot be constructed or called with anything tried comes back with what brings out its most telling
    error; `notes` says what was tried. It is `undetermined` if other arguments or inputs might work.

    Args:
        case: The case.
        seconds: How long that may take.
    """
    return case if is_complete(case) else _Inference(case, Budget(seconds)).result()


def explained(case: Case, seconds: float = SECONDS) -> tuple[Case, tuple[str, ...]]:
    """Return what `infer` returns, and a line for each thing that was tried: on what evidence, and how it went.

    Args:
        case: The case.
        seconds: How long that may take.
    """
    if is_complete(case):
        return case, ("the case is declared; nothing was inferred",)
    inference = _Inference(case, Budget(seconds))
    return inference.result(), tuple(inference.explanation())


def is_complete(case: Case) -> bool:
    """Whether the case declares its inputs and every required constructor argument."""
    return case.inputs is not None and not _missing(case)


@dataclass(frozen=True)
class _Construction:
    """A case with constructor arguments that work, the evidence for them, and the calls that were seen with them."""

    case: Case
    why: str
    uses: tuple[Use, ...] = ()


class _Inference:
    """One search for the way in which a layer is constructed and called."""

    def __init__(self, case: Case, budget: Budget, depth: int = 0, others: dict[Any, Case] | None = None) -> None:
        self.case = case
        self.budget = budget
        self.depth = depth
        self.others = {} if others is None else others
        self.known: Known | None = None
        self.is_seen = False
        self.refusals: list[BaseException] = []
        self.tried: dict[str, Verdict] = {}
        self.accepted: set[str] = set()
        self.order: list[tuple[_Construction, Verdict, str]] = []

    def result(self) -> Case:
        """Return the case with everything filled in."""
        for construction in itertools.islice(self._constructions(), MOST_CONSTRUCTIBLE):
            if self.case.inputs is not None:
                return _with_arguments_noted(construction, self.case)
            if self._finds_a_call(construction) or self.budget.is_over():
                break
        working = [one for one in self.order if one[1].error is None]
        if working:
            return self._chosen(*max(working, key=lambda one: one[1].kept - len(one[1].broken)))
        return self._uncallable() if self.order else self._unconstructible()

    def explanation(self) -> Iterator[str]:
        """Yield what was tried, in that order, and what came of it."""
        for error in self.refusals:
            yield f"refused: {error}"
        for construction, verdict, why in self.order:
            because = "; ".join(one for one in (construction.why, why) if one) or "by convention"
            yield f"{verdict.case} ({because}): {_told(verdict)}"

    def _subject(self, instance: Any) -> Subject:
        return Subject(self.case, instance, self.budget, self._infer_other, self._facts_of_other)

    def _facts_of_other(self, case: Case) -> Known | None:
        if self.depth >= DEEPEST:
            return None
        other = _Inference(case, self.budget, self.depth + 1)
        return gather.facts(other._subject(None))

    def _infer_other(self, case: Case) -> Case:
        if self.depth == DEEPEST:
            return replace(case, undetermined=True)
        if case.layer not in self.others:
            self.others[case.layer] = replace(case, undetermined=True)  # for a layer that contains itself
            budget = self.budget.share(OF_A_PARENT)
            self.others[case.layer] = _Inference(case, budget, self.depth + 1, self.others).result()
        return self.others[case.layer]

    # How the layer is constructed.

    def _constructions(self) -> Iterator[_Construction]:
        """Yield arguments with which the layer can be constructed: those seen elsewhere, then those guessed."""
        parameters = constructor_parameters(self.case.layer)
        if self.depth < DEEPEST:
            for init, uses in _by_arguments(gather.uses(self._subject(None))):
                case = replace(self.case, init={**init, **self.case.init})
                if not _missing(case) and self._can_be_constructed(case):
                    yield _Construction(case, f"{uses[0].where} constructs it so", tuple(uses))
        for number, init in enumerate(itertools.islice(self._guesses(parameters), MOST_CONSTRUCTIONS)):
            case = replace(self.case, init=init)
            if self._can_be_constructed(case):
                yield _Construction(case, "")
                if number == 0 and all(is_conventional(name) for name in init if name not in self.case.init):
                    return
                continue
            for amended in amendments(init, self.refusals[-1], set(init) - set(self.case.init)):
                other = replace(self.case, init=amended)
                if self._can_be_constructed(other):
                    yield _Construction(other, "the constructor's error")
                    break

    def _can_be_constructed(self, case: Case) -> bool:
        _, error = construct(case)
        if error is not None:
            self.refusals.append(error)
        return error is None

    def _guesses(self, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield constructor arguments: those given, and values by evidence and convention for those required."""
        missing = _missing(self.case)
        for name in _named_as_missing(self.case, missing):
            missing[name] = parameters.get(name)
        suggested: dict[str, list[Any]] = {}
        if missing:
            for one in gather.values(self._subject(None)):
                suggested.setdefault(one.name, []).extend(one.values)
        options = []
        for name, parameter in missing.items():
            conventional = [make() for make in values_for(name, parameter)]
            by_name = is_conventional(name)
            own = suggested.get(name, [])
            options.append(
                [*conventional, *own] if by_name and not _contradicts(conventional, own) else [*own, *conventional]
            )
        ordered = sorted(itertools.product(*(range(len(one)) for one in options)), key=sum) if _few(options) else []
        for places in ordered or [tuple(0 for _ in options)]:
            chosen = [option[place] for option, place in zip(options, places, strict=True)]
            yield {**self.case.init, **dict(zip(missing, chosen, strict=True))}

    def _unconstructible(self) -> Case:
        init = next(self._guesses(constructor_parameters(self.case.layer)))
        case = _with_arguments_noted(_Construction(replace(self.case, init=init), ""), self.case)
        if self.case.inputs is not None:
            return case
        undetermined = is_avoidable(self.refusals, has_guesses=bool(case.inferred))
        inferred = (*case.inferred, "inputs")
        skip = reason_to_skip(self.refusals)
        case = replace(case, inputs=TIME, inferred=inferred, undetermined=undetermined and not skip)
        return _skipped(case, skip)

    # How it is called.

    def _finds_a_call(self, construction: _Construction) -> bool:
        """Whether some way to call the layer works; the search ends with one that keeps every promise."""
        start = len(self.order)
        for case, why in self._ways(construction):
            verdict = self._judged(construction, case, why)
            if verdict is not None and verdict.is_sound:
                return True
            if self.budget.is_over() or len(self.order) - start >= MOST_TRIED or self._is_hopeless(start):
                break
        return any(verdict.error is None for _, verdict, _ in self.order[start:])

    def _is_hopeless(self, start: int) -> bool:
        """Whether the first inputs, of several ranks, all met the same defect of the layer's own."""
        errors = [verdict.error for _, verdict, _ in self.order[start:] if verdict.error is not None]
        if len(errors) < len(self.order) - start or len(errors) < ENOUGH_DEFECTS:
            return False
        causes = [error.error if isinstance(error, LayerError) else error for error in errors]
        return len({str(cause) for cause in causes}) == 1 and is_own_defect(causes[0])

    def _judged(self, construction: _Construction, case: Case, why: str) -> Verdict | None:
        key = str((construction.case.init, case.inputs, case.call, case.adapt))
        if key in self.tried or _kinds(case) in self.accepted:
            return None
        verdict = judge(case)
        self.tried[key] = verdict
        if verdict.error is None:
            self.accepted.add(_kinds(case))
        self.order.append((construction, verdict, why))
        return verdict

    def _ways(self, construction: _Construction) -> Iterator[tuple[Case, str]]:
        """Yield the case with inputs and the evidence for them: those seen, those proposed, what errors ask for."""
        instance, _ = construct(construction.case)
        known = self.known = gather.facts(self._subject(instance))
        case = construction.case
        if hasattr(instance, "adapt"):
            yield from self._adapted(case, known)
        if known.batch:
            case = replace(case, traits=with_batch(case.traits, known.batch))
        for use in construction.uses:
            if use.inputs is None or (use.is_guess and contradicts(use.inputs, known)):
                continue
            seen = case.with_inputs(use.inputs, {**use.call, **self.case.call})
            for one in (*itertools.islice(smaller_cases(seen), MOST_SMALLER), seen):
                yield one, f"{use.where} calls it so"
        why = ", ".join(dict.fromkeys(known.why))
        for proposed in proposals(case, known):
            yield proposed, why
            yield from ((one, why) for one in self._corrected(proposed))
            if len(self.tried) >= MOST_TRIED or self.budget.is_over():
                return
        for spec in (TIME, FEATURES):
            keyed = _with_keys(case, spec)
            if keyed is not None:
                yield keyed, "the keys that call() reads"
                yield from ((one, "the keys that call() reads") for one in self._corrected(keyed))

    def _corrected(self, case: Case) -> Iterator[Case]:
        """Yield what the layer's errors ask for instead of a case, in up to three steps."""
        waiting = [case]
        for _ in range(3):
            if not waiting:
                return
            base = waiting.pop(0)
            verdict = next((one for _, one, _ in reversed(self.order) if one.case is base or one.case == base), None)
            if verdict is None or verdict.error is None:
                return
            better = corrections(base, verdict.error)
            for one in better:
                yield one
                if self.order and self.order[-1][1].case == one and self.order[-1][1].error is None:
                    return
            waiting += better[:1]

    def _adapted(self, case: Case, known: Known) -> Iterator[tuple[Case, str]]:
        """Yield the case with inputs that the layer was adapted to before."""
        for proposed in itertools.islice(proposals(case, known), MOST_ADAPTED):
            if isinstance(proposed.inputs, InputSpec):
                yield replace(proposed, adapt=proposed.inputs), "the layer has adapt()"

    def _chosen(self, construction: _Construction, verdict: Verdict, why: str) -> Case:
        self.is_seen = why.endswith("calls it so")
        case = _with_arguments_noted(replace(construction, case=verdict.case), self.case)
        because = f" ({why})" if why else ""
        note = f"inferred input shape {inputs_text(case)}{because}; override with --input"
        notes = (*case.notes, note)
        if case.traits.batch == "graph" and self.case.traits.batch != "graph":
            notes = (
                *notes,
                'axis 0 seems to hold nodes, not samples; declare batch="graph", or another value to check it',
            )
        chosen = replace(case, notes=notes, inferred=(*case.inferred, "inputs"))
        return replace(chosen, alternatives=self._alternatives(chosen))

    def _alternatives(self, chosen: Case) -> tuple[Case, ...]:
        """Return the case with inputs of other ranks, if nothing says which rank the layer takes."""
        spec = chosen.inputs
        known = self.known
        is_open = known is not None and not known.keys and known.tensors.get(None, TensorFacts()).rank is None
        is_guess = known is not None and known.guessed.get(None, TensorFacts()).rank is None
        if not (is_open and is_guess) or not isinstance(spec, InputSpec) or chosen.call or self.is_seen:
            return ()
        least = known.tensors.get(None, TensorFacts()).least_rank if known is not None else 1
        shapes = [USUAL[rank] for rank in (3, 2, 4) if rank >= least and rank != len(spec.shape)]
        last = spec.shape[-1:] if len(spec.shape) > 1 else ()
        others = (replace(spec, shape=(*shape[:-1], *(last or shape[-1:]))) for shape in shapes)
        return tuple(replace(chosen, inputs=other) for other in others)

    def _uncallable(self) -> Case:
        errors = [verdict.error for _, verdict, _ in self.order if verdict.error is not None]
        construction, verdict, _ = self.order[errors.index(most_telling(errors))]
        first, last = inputs_text(self.order[0][1].case), inputs_text(self.order[-1][1].case)
        note = f"the layer accepted none of {len(errors)} inputs tried, from {first} to {last}; give one with --input"
        case = _with_arguments_noted(replace(construction, case=verdict.case), self.case)
        inferred = (*case.inferred, "inputs")
        undetermined = is_avoidable(errors, has_guesses=bool(case.inferred))
        skip = reason_to_skip(errors)
        case = replace(case, notes=(*case.notes, note), inferred=inferred, undetermined=undetermined and not skip)
        return _skipped(case, skip)


def _told(verdict: Verdict) -> str:
    if verdict.error is not None:
        error = verdict.error.error if isinstance(verdict.error, LayerError) else verdict.error
        return quote(error, 120)
    if verdict.is_sound:
        return f"works, and keeps all {verdict.kept} promises"
    return f"works, but fails in: {', '.join(verdict.broken)}"


def _skipped(case: Case, reason: str) -> Case:
    """Return the case as one that is not checked, if there is a reason, which its notes say."""
    return replace(case, skip=reason, notes=(f"not checked: {reason}",)) if reason else case


def _with_arguments_noted(construction: _Construction, declared: Case) -> Case:
    """Return the construction's case, saying which constructor arguments were inferred, and from what."""
    case = construction.case
    chosen = tuple(name for name in case.init if name not in declared.init)
    if not chosen:
        return case
    plural = "s" * (len(chosen) > 1)
    because = f" ({construction.why})" if construction.why else ""
    note = f"inferred constructor argument{plural} {', '.join(chosen)}{because}; override with --init {chosen[0]}=…"
    return replace(case, notes=(*case.notes, note), inferred=chosen)


def _kinds(case: Case) -> str:
    """Return the structure, ranks and dtypes of inputs: other sizes are tried only where the layer raises."""
    tree = map_leaves(_kind, [case.inputs, dict(case.call)])
    return str((tree, case.adapt is not None))


def _kind(leaf: Any) -> Any:
    return (len(leaf.shape), leaf.dtype) if isinstance(leaf, InputSpec) else leaf


def _by_arguments(uses: list[Use]) -> list[tuple[dict[str, Any], list[Use]]]:
    """Return the uses by equal constructor arguments; those that another process cannot be told of are left out."""
    groups: dict[str, tuple[dict[str, Any], list[Use]]] = {}
    for use in uses:
        try:
            pickle.dumps({name: encoded(value) for name, value in use.init.items()})
        except Exception:
            continue
        groups.setdefault(str(Case(use.layer, use.init)), (dict(use.init), []))[1].append(use)
    return list(groups.values())


def _contradicts(conventional: list[Any], suggested: list[Any]) -> bool:
    """Whether the code shows a constructor argument to be no number or text where its name suggests one."""
    if not suggested:
        return False
    kinds = {type(one) for one in suggested}
    return bool(conventional) and isinstance(conventional[0], (int, float, str)) and not kinds & {type(conventional[0])}


def _few(options: list[list[Any]]) -> bool:
    product = 1
    for one in options:
        product *= len(one)
    return product <= 5000


def _missing(case: Case) -> dict[str, inspect.Parameter | None]:
    """Return the required constructor arguments that the case does not give."""
    return {
        name: each
        for name, each in constructor_parameters(case.layer).items()
        if name not in case.init and is_required(each)
    }


def _named_as_missing(case: Case, known: Mapping[str, Any]) -> tuple[str, ...]:
    """Return arguments that the signature hides behind **kwargs, as the constructor's own error names them."""
    found: tuple[str, ...] = ()
    init = {**case.init, **{name: values_for(name, parameter)[0]() for name, parameter in known.items()}}
    for _ in range(3):
        _, error = construct(replace(case, init=init))
        said = str(error.error) if isinstance(error, LayerError) else ""
        if "missing" not in said or "required" not in said:
            break
        names = tuple(name for name in re.findall(r"'(\w+)'", said) if name not in init)
        found += names
        init |= {name: values_for(name, None)[0]() for name in names}
    return found


def _with_keys(case: Case, spec: InputSpec) -> Case | None:
    """Return the case with a dict of inputs whose keys are those that `call` asks for, one after another."""
    keys: dict[str, InputSpec] = {}
    for _ in range(MOST_KEYS):
        missing = _missing_key(case, keys)
        if missing is None:
            break
        keys[missing] = spec
    return case.with_inputs(keys) if keys else None


def _missing_key(case: Case, keys: Mapping[str, InputSpec]) -> str | None:
    """Return the key that `call` looks up in vain in a dict with these keys, if that is why it fails."""
    import keras

    trial = Trial(case.with_inputs(keys)) if keys else Trial(case)
    given = {name: keras.ops.convert_to_tensor(array) for name, array in trial.usual.inputs.items()} if keys else {}
    try:
        trial.construct().call(given)
    except KeyError as error:
        return error.args[0] if error.args and isinstance(error.args[0], str) else None
    except Exception:
        return None
    return None


def inputs_text(case: Case) -> str:
    """Return what the layer is called with, in words."""
    plain = replace(case, layer=inputs_text, init={}, name="")
    return str(plain).partition(" on ")[2]
