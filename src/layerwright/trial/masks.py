"""Find the padding masks that a layer takes, and call it with them: as arguments, or attached to its tensors."""

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
WAY_IN_WORDS = {EXPLICIT: "as an argument", ATTACHED: "attached to the inputs"}
ATTACHED_ARGUMENT = "attached_mask"
NO_MASK = "the layer takes no mask and does not declare supports_masking"


@dataclass(frozen=True)
class Slot:
    """A tensor that a padding mask covers.

    Attributes:
        place: The index of the tensor in the `arrays()` that the layer is called with.
        argument: The call argument that takes the mask; None if the mask can only be attached.
        axes: The axes of the tensor that the mask covers, the batch axis first.
        mask: The usual mask, True at unmasked steps. In each sample but the first some of the last steps are masked.
        dtype: The dtype of the mask in the case; `"bool"` if the case has none.
        added_axis: The axis, of any size, that a three-dimensional argument has beside batch and time: 1 in masks of
            shape (batch, 1, time) and (batch, time, time), 2 in masks of shape (batch, time, 1). None if it has none.
        is_square: Whether the added axis is as long as time.
    """

    place: int
    argument: str | None
    axes: tuple[int, ...]
    mask: Array
    dtype: str
    added_axis: int | None = None
    is_square: bool = False

    def as_argument(self, mask: Array) -> Array:
        """Return a mask of shape (batch, time) as the layer's argument takes it."""
        mask = mask.astype(self.dtype)
        if self.added_axis is None:
            return mask
        mask = np.expand_dims(mask, self.added_axis)
        return np.repeat(mask, mask.shape[-1], axis=1) if self.is_square else mask


@dataclass(frozen=True, eq=False)
class Subject:
    """A built layer, its weights moved off their initial values, together with the masks that it takes.

    Attributes:
        layer: The layer.
        plain: The usual arguments, without masks.
        slots: The tensors that masks cover.
        ways: How the layer takes masks: `"explicit"`, `"attached"` or both. Use the first if one way is enough.
        sees_mask: Whether `call` has an argument for a mask.
        declares: Whether `call` has an argument for a mask, or the layer declares `supports_masking`.
        mask_is_required: Whether the layer cannot be called without a mask.
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
        """Return a callable and its arguments, for `Trial.call` for example, that give the layer these masks.

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
                slot.as_argument(mask) for slot, mask in zip(self.slots, masks, strict=True) if slot.argument == name
            ]
            given[name] = keras.tree.pack_sequence_as(_covered(plain, name), own)
        return given


class Attached:
    """Calls a layer on tensors that carry masks, as after `Masking`. It can be called in place of the layer.

    Args:
        layer: The layer.
        places: The indices of the tensors that get masks, in the order of `Arguments.arrays()`.
    """

    def __init__(self, layer: Any, places: Sequence[int]) -> None:
        self._layer, self._places = layer, places

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    def __call__(self, inputs: Any, *, attached_mask: Sequence[Any], **call: Any) -> Any:
        """Attach the masks to the tensors and call the layer."""
        import keras

        tensors = tuple(name for name, value in call.items() if _holds_tensors(value))
        arguments = Arguments(inputs, call, tensors)
        flat: list[Any] = arguments.arrays()
        for place, mask in zip(self._places, attached_mask, strict=True):
            flat[place] = _mask_attacher()()([flat[place], keras.ops.cast(mask, "bool")])
        given = arguments.replace_arrays(flat)
        return self._layer(given.inputs, **given.call)


def subject(trial: Trial) -> Subject | Finding:
    """Return the layer with the masks that it takes, or a finding that says why there is nothing to check."""
    found = any_subject(trial)
    return skipped(NO_MASK) if isinstance(found, Subject) and not found.declares else found


@once_per_trial
def any_subject(trial: Trial) -> Subject | Finding:
    """As `subject`, but also for a layer that takes no mask and declares no support: its masks are attached.

    If the case has no mask, one of shape (batch, time) is tried. If the layer does not accept it for a tensor of higher
    rank, a mask over all axes but the last is tried, which is what `Masking` makes.
    """
    found = _subject_with_masks(trial, all_but_last=False)
    if isinstance(found, Finding) or not found.declares or _accepts_masks(trial, found):
        return found
    other = _subject_with_masks(trial, all_but_last=True)
    return other if isinstance(other, Subject) and _accepts_masks(trial, other) else found


def _subject_with_masks(trial: Trial, *, all_but_last: bool) -> Subject | Finding:
    layer, usual = lively(trial), trial.usual
    parameters = _call_parameters(layer)
    names = _mask_arguments(tuple(parameters), usual)
    required = any(parameters[name].default is inspect.Parameter.empty for name in names)
    plain = without(usual, names)
    covering: dict[int, str | None] = {place: name for name in names for place in _covered_places(plain, name)}
    covering = covering or dict.fromkeys(_covered_places(plain, "mask"))
    fed = {name: usual.call[name] for name in names if name in usual.tensors}
    slots = tuple(_find_slots(trial, plain, covering, fed, all_but_last=all_but_last))
    if not slots:
        return skipped("no input has a time axis that a mask could cover")
    for slot in slots:
        if not slot.axes:
            return inconclusive(
                f"a mask of shape {slot.mask.shape} matches no axes of the input of shape "
                f"{plain.arrays()[slot.place].shape}",
                "Declare `time_axis`.",
            )
    # Keras attaches masks of shape (batch, time). A layer that takes three axes gets its mask as an argument only.
    has_three_axes = any(slot.added_axis is not None for slot in slots)
    supports_masking = bool(getattr(layer, "supports_masking", False))
    is_attached_by_name = names != ["padding_mask"] or supports_masking
    attachable = not required and is_attached_by_name and not has_three_axes
    ways = tuple(_ways_to_pass_masks(slots, covering, attachable=attachable))
    declares = bool(names) or supports_masking
    return Subject(layer, plain, slots, ways, bool(names), declares, required)


def without(arguments: Arguments, names: Sequence[str]) -> Arguments:
    """Return the arguments without the call arguments of these names."""
    call = {name: value for name, value in arguments.call.items() if name not in names}
    return replace(arguments, call=call, tensors=tuple(name for name in arguments.tensors if name not in names))


def with_last_row_masked(mask: Array) -> Array:
    """Return the mask with the last sample fully masked."""
    masked = mask.copy()
    masked[-1] = False
    return masked


def expanded(mask: Array, axes: Sequence[int], shape: Sequence[int]) -> Array:
    """Broadcast a mask over `axes` to the shape of the tensor."""
    sizes = [1] * len(shape)
    for axis, size in zip(axes, mask.shape, strict=True):
        sizes[axis] = size
    return np.broadcast_to(mask.reshape(sizes), tuple(shape))


def axes_of(mask_shape: Sequence[int], shape: Sequence[int], time_axis: int) -> tuple[int, ...]:
    """Return the axes of a tensor that a mask covers: batch and time, or the leading axes; empty if it matches none."""
    if len(mask_shape) == 2 and len(shape) > time_axis and tuple(mask_shape) == (shape[0], shape[time_axis]):
        return (0, time_axis)
    leading = tuple(range(len(mask_shape)))
    return leading if tuple(mask_shape) == tuple(shape[: len(mask_shape)]) else ()


def _call_parameters(layer: Any) -> Mapping[str, inspect.Parameter]:
    signature = getattr(layer, "_call_signature", None)
    return signature.parameters if signature is not None else {}


def _mask_arguments(parameters: Sequence[str], usual: Arguments) -> list[str]:
    """Return the names of the call arguments that take padding masks.

    Keras passes masks to `mask`, and to `<argument>_mask` for an argument that holds tensors. `padding_mask` is one by
    convention. An attention mask is not a padding mask: it says which steps attend to which.
    """
    tensors = {*parameters[:1], *usual.tensors}
    known = {"mask", "padding_mask", *(f"{name}_mask" for name in tensors)}
    return [name for name in parameters[1:] if name in known]


def _covered(plain: Arguments, argument: str) -> Any:
    """Return the tensors that a mask argument covers: `<argument>` for `<argument>_mask`, otherwise the inputs."""
    named = argument.removesuffix("_mask")
    return plain.call[named] if named in plain.tensors else plain.inputs


def _covered_places(plain: Arguments, argument: str) -> list[int]:
    import keras

    wanted = {id(array) for array in keras.tree.flatten(_covered(plain, argument))}
    return [place for place, array in enumerate(plain.arrays()) if id(array) in wanted]


def _find_slots(
    trial: Trial, plain: Arguments, covering: Mapping[int, str | None], fed: Mapping[str, Any], *, all_but_last: bool
) -> Iterator[Slot]:
    import keras

    time_axis, arrays = trial.case.traits.time_axis, plain.arrays()
    own = {name: iter(keras.tree.flatten(value)) for name, value in fed.items()}
    for place, name in sorted(covering.items()):
        array = arrays[place]
        template = next(own[name]) if name in own else None
        if template is None and not _has_time_axis(array, time_axis):
            continue
        guess = array.shape[:-1] if all_but_last else (array.shape[0], array.shape[time_axis])
        shape = guess if template is None else template.shape
        dtype = "bool" if template is None else str(template.dtype)
        added_axis, is_square = _added_axis(shape, array.shape, time_axis)
        if added_axis is not None:
            shape = (array.shape[0], array.shape[time_axis])
        mask = InputSpec((None, *shape[1:]), "bool").sample(np.random.default_rng(trial.seed), shape)
        yield Slot(place, name, axes_of(shape, array.shape, time_axis), mask, dtype, added_axis, is_square)


def _added_axis(mask_shape: Sequence[int], shape: Sequence[int], time_axis: int) -> tuple[int | None, bool]:
    """Return the axis that a three-dimensional mask has beside batch and time, and whether it is as long as time."""
    if len(mask_shape) != 3 or axes_of(mask_shape, shape, time_axis) or len(shape) <= time_axis:
        return None, False
    samples, steps = shape[0], shape[time_axis]
    if tuple(mask_shape) == (samples, steps, 1):
        return 2, False
    is_square = tuple(mask_shape) == (samples, steps, steps)
    return (1, is_square) if is_square or tuple(mask_shape) == (samples, 1, steps) else (None, False)


def _accepts_masks(trial: Trial, found: Subject) -> bool:
    # Up to rank 3 there is only one mask to try. LW402 mask-matches-output reports a layer that does not accept it.
    if all(found.plain.arrays()[slot.place].ndim < 4 for slot in found.slots):
        return True
    try:
        trial.call(*found.masked(found.masks))
    except LayerError:
        return False
    return True


def _has_time_axis(array: Array, time_axis: int) -> bool:
    rank = 2 if array.dtype.kind in "iu" else 3
    return array.ndim >= rank and array.ndim > time_axis


def _ways_to_pass_masks(
    slots: Sequence[Slot], covering: Mapping[int, str | None], *, attachable: bool
) -> Iterator[str]:
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
def _mask_attacher() -> Any:
    """Return a class of layers that output their first input, with the second as the mask. Keras itself attaches it."""
    import keras

    class Attach(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__(autocast=False)
            self.supports_masking = True

        def call(self, inputs: Any) -> Any:
            return inputs[0]

        def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:  # noqa: ARG002 - as Keras calls it
            return inputs[1]

    return Attach
