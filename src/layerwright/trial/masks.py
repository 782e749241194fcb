"""Which padding masks a layer takes, and the layer called with them: as arguments, or attached to its tensors."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from layerwright.core.case import InputSpec
from layerwright.core.errors import LayerError
from layerwright.core.finding import Finding, inconclusive, skipped
from layerwright.trial.arguments import Arguments, Array
from layerwright.trial.subject import lively
from layerwright.trial.trial import Trial, once_per_trial

EXPLICIT, ATTACHED = "explicit", "attached"
ATTACHED_ARGUMENT = "attached_mask"
NO_MASK = "takes no mask and does not declare supports_masking"


@dataclass(frozen=True)
class Slot:
    """A tensor that a padding mask covers.

    Attributes:
        place: Which of the `arrays()` that the layer is called with.
        argument: The call argument that takes the mask; None where it can only be attached.
        axes: The axes of the tensor that the mask covers, the batch axis first.
        mask: The usual mask, true where a step counts: of each sample but the first, some last steps do not.
        dtype: What the case feeds as a mask; booleans where it feeds none.
    """

    place: int
    argument: str | None
    axes: tuple[int, ...]
    mask: Array
    dtype: str


@dataclass(frozen=True, eq=False)
class Subject:
    """A layer that masks concern, built, its weights off their initial values.

    Attributes:
        layer: The layer.
        plain: What it is usually called with, without masks.
        slots: The tensors that masks cover.
        ways: How it takes masks: `"explicit"`, `"attached"` or both; the first is the one to use where one will do.
        sees_mask: Whether its `call` has an argument for a mask.
        declares: Whether it has, or declares `supports_masking`.
        mask_is_required: Whether it cannot be called without a mask.
    """

    layer: Any
    plain: Arguments
    slots: tuple[Slot, ...]
    ways: tuple[str, ...]
    sees_mask: bool
    declares: bool
    mask_is_required: bool

    @property
    def masks(self) -> list[Array]:
        """The usual masks, one for each slot."""
        return [slot.mask for slot in self.slots]

    def masked(
        self, masks: Sequence[Array], *, plain: Arguments | None = None, way: str | None = None
    ) -> tuple[Any, Arguments]:
        """Return what to call and what with, so that the layer gets these masks: for `Trial.call` and its like.

        Args:
            masks: One for each slot.
            plain: The arguments without masks; the usual ones by default.
            way: One of `ways`; the first by default.
        """
        plain = plain or self.plain
        if (way or self.ways[0]) == ATTACHED:
            places = [slot.place for slot in self.slots]
            call = {**plain.call, ATTACHED_ARGUMENT: list(masks)}
            return Attached(self.layer, places), replace(plain, call=call, tensors=(*plain.tensors, ATTACHED_ARGUMENT))
        given = self._arguments(plain, masks)
        tensors = (*plain.tensors, *given)
        return self.layer, replace(plain, call={**plain.call, **given}, tensors=tensors)

    def _arguments(self, plain: Arguments, masks: Sequence[Array]) -> dict[str, Any]:
        """Return the mask arguments, each in the structure of the tensors that it covers."""
        import keras

        names = dict.fromkeys(slot.argument for slot in self.slots if slot.argument)
        given = {}
        for name in names:
            own = [
                mask.astype(slot.dtype) for slot, mask in zip(self.slots, masks, strict=True) if slot.argument == name
            ]
            given[name] = keras.tree.pack_sequence_as(_covered(plain, name), own)
        return given


class Attached:
    """A layer that gets its masks with its tensors, as behind `Masking`; stands in for the layer wherever it is called.

    Args:
        layer: The layer.
        places: Which of the tensors, in the order of `Arguments.arrays()`, the masks belong to.
    """

    def __init__(self, layer: Any, places: Sequence[int]) -> None:
        self._layer, self._places = layer, places

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    def __call__(self, inputs: Any, *, attached_mask: Sequence[Any], **call: Any) -> Any:
        """Call the layer on tensors that the masks are attached to."""
        import keras

        tensors = tuple(name for name, value in call.items() if _holds_tensors(value))
        arguments = Arguments(inputs, call, tensors)
        flat: list[Any] = arguments.arrays()
        for place, mask in zip(self._places, attached_mask, strict=True):
            flat[place] = _attach()([flat[place], keras.ops.cast(mask, "bool")])
        given = arguments.replace_arrays(flat)
        return self._layer(given.inputs, **given.call)


def subject(trial: Trial) -> Subject | Finding:
    """Return the layer with the masks it takes, or the finding that says why there is nothing to prove."""
    found = any_subject(trial)
    return skipped(NO_MASK) if isinstance(found, Subject) and not found.declares else found


@once_per_trial
def any_subject(trial: Trial) -> Subject | Finding:
    """As `subject`, but a layer that neither takes a mask nor supports one gets them attached all the same.

    Where the case feeds no mask one of shape (batch, time) is tried; if the layer refuses that with a tensor of higher
    rank, one over all axes but the last, which is what `Masking` makes.
    """
    found = _subject(trial, all_but_last=False)
    if isinstance(found, Finding) or not found.declares or _accepts(trial, found):
        return found
    other = _subject(trial, all_but_last=True)
    return other if isinstance(other, Subject) and _accepts(trial, other) else found


def _subject(trial: Trial, *, all_but_last: bool) -> Subject | Finding:
    layer, usual = lively(trial), trial.usual
    parameters = _parameters(layer)
    names = _mask_arguments(tuple(parameters), usual)
    required = any(parameters[name].default is inspect.Parameter.empty for name in names)
    plain = without(usual, names)
    covering: dict[int, str | None] = {place: name for name in names for place in _places(plain, name)}
    covering = covering or dict.fromkeys(_places(plain, "mask"))
    fed = {name: usual.call[name] for name in names if name in usual.tensors}
    slots = tuple(_slots(trial, plain, covering, fed, all_but_last=all_but_last))
    if not slots:
        return skipped("no tensor that it is fed has a time axis for a mask to cover")
    for slot in slots:
        if not slot.axes:
            return inconclusive(
                f"no axes of a tensor of shape {plain.arrays()[slot.place].shape} are known that a mask of shape "
                f"{slot.mask.shape} covers",
                "Declare time_axis.",
            )
    ways = tuple(_ways(slots, covering, attachable=not required and names != ["padding_mask"]))
    declares = bool(names) or bool(getattr(layer, "supports_masking", False))
    return Subject(layer, plain, slots, ways, bool(names), declares, required)


def without(arguments: Arguments, names: Sequence[str]) -> Arguments:
    """Leave call arguments out."""
    call = {name: value for name, value in arguments.call.items() if name not in names}
    return replace(arguments, call=call, tensors=tuple(name for name in arguments.tensors if name not in names))


def expanded(mask: Array, axes: Sequence[int], shape: Sequence[int]) -> Array:
    """Return the mask over `axes` of a tensor of this shape, broadcast to all of it."""
    sizes = [1] * len(shape)
    for axis, size in zip(axes, mask.shape, strict=True):
        sizes[axis] = size
    return np.broadcast_to(mask.reshape(sizes), tuple(shape))


def axes_of(mask_shape: Sequence[int], shape: Sequence[int], time_axis: int) -> tuple[int, ...]:
    """Return the axes of a tensor of this shape that a mask covers: (batch, time), or as many leading ones; or none."""
    if len(mask_shape) == 2 and len(shape) > time_axis and tuple(mask_shape) == (shape[0], shape[time_axis]):
        return (0, time_axis)
    leading = tuple(range(len(mask_shape)))
    return leading if tuple(mask_shape) == tuple(shape[: len(mask_shape)]) else ()


def _parameters(layer: Any) -> Mapping[str, inspect.Parameter]:
    signature = getattr(layer, "_call_signature", None)
    return signature.parameters if signature is not None else {}


def _mask_arguments(parameters: Sequence[str], usual: Arguments) -> list[str]:
    """Return the call arguments that take padding masks, by the names that Keras fills them under.

    These are `mask`, and `<argument>_mask` for an argument that holds tensors; and `padding_mask` by convention. An
    attention mask is none of them: it says which step sees which.
    """
    tensors = {*parameters[:1], *usual.tensors}
    known = {"mask", "padding_mask", *(f"{name}_mask" for name in tensors)}
    return [name for name in parameters[1:] if name in known]


def _covered(plain: Arguments, argument: str) -> Any:
    """Return the tensors that the mask of this argument covers: those of the argument so named, else the inputs."""
    named = argument.removesuffix("_mask")
    return plain.call[named] if named in plain.tensors else plain.inputs


def _places(plain: Arguments, argument: str) -> list[int]:
    import keras

    wanted = {id(array) for array in keras.tree.flatten(_covered(plain, argument))}
    return [place for place, array in enumerate(plain.arrays()) if id(array) in wanted]


def _slots(
    trial: Trial, plain: Arguments, covering: Mapping[int, str | None], fed: Mapping[str, Any], *, all_but_last: bool
) -> Iterator[Slot]:
    import keras

    time_axis, arrays = trial.case.traits.time_axis, plain.arrays()
    own = {name: iter(keras.tree.flatten(value)) for name, value in fed.items()}
    for place, name in sorted(covering.items()):
        array = arrays[place]
        template = next(own[name]) if name in own else None
        if template is None and not _has_time(array, time_axis):
            continue
        guess = array.shape[:-1] if all_but_last else (array.shape[0], array.shape[time_axis])
        shape = guess if template is None else template.shape
        dtype = "bool" if template is None else str(template.dtype)
        mask = InputSpec((None, *shape[1:]), "bool").sample(np.random.default_rng(trial.seed), shape)
        yield Slot(place, name, axes_of(shape, array.shape, time_axis), mask, dtype)


def _accepts(trial: Trial, found: Subject) -> bool:
    if all(found.plain.arrays()[slot.place].ndim < 4 for slot in found.slots):
        return True  # if not, LW402 mask-matches-output says so
    try:
        trial.call(*found.masked(found.masks))
    except LayerError:
        return False
    return True


def _has_time(array: Array, time_axis: int) -> bool:
    rank = 2 if array.dtype.kind in "iu" else 3
    return array.ndim >= rank and array.ndim > time_axis


def _ways(slots: Sequence[Slot], covering: Mapping[int, str | None], *, attachable: bool) -> Iterator[str]:
    names = {slot.argument for slot in slots}
    if None not in names and len(slots) == sum(name in names for name in covering.values()):
        yield EXPLICIT
    if attachable:
        yield ATTACHED


def _holds_tensors(value: Any) -> bool:
    import keras

    flat = keras.tree.flatten(value)
    return bool(flat) and all(hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in flat)


@cache
def _attach() -> Any:
    """Return a layer that gives its first input its second as a mask: by Keras's own means, whatever the backend."""
    import keras

    class Attach(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__(autocast=False)
            self.supports_masking = True

        def call(self, inputs: Any) -> Any:
            return inputs[0]

        def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:  # noqa: ARG002 - as Keras calls it
            return inputs[1]

    return Attach()
