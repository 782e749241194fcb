"""Weights with one entry for each position along some axes of the inputs."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from layerwright.layers._arguments import is_integer

Shape = Sequence[int | None]


def validated_axes(layer: str, axis: Any) -> tuple[int, ...]:
    """Return `axis` as a tuple.

    Raises:
        ValueError: If `axis` is not a non-zero integer or a tuple of different non-zero integers.
    """
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    are_valid = all(is_integer(one) and one != 0 for one in axes)
    if not axes or not are_valid or len(set(axes)) < len(axes):
        raise ValueError(
            f"{layer}: axis must be an integer other than 0 (the batch axis), or a tuple of different such integers "
            f"(got {axis!r}); pass axis=-1 for the features."
        )
    return axes


def positive_axes(layer: str, axes: Sequence[int], shape: Shape) -> tuple[int, ...]:
    """Return the axes as sorted positive numbers, for inputs of this shape.

    Raises:
        ValueError: If the inputs do not have one of the axes, two of them are the same axis, or one is the batch axis.
    """
    rank = len(shape)
    found = sorted(axis % rank if -rank <= axis < rank else 0 for axis in axes)
    if 0 in found or len(set(found)) < len(found):
        raise ValueError(
            f"{layer}: axis={tuple(axes)} is not valid for inputs of shape {tuple(shape)}; pass different axes of the "
            "inputs, without the batch axis."
        )
    return tuple(found)


def sizes_along(layer: str, axes: Sequence[int], shape: Shape) -> tuple[int, ...]:
    """Return the sizes of the inputs along `axes`, which are the shape of the weight.

    Raises:
        ValueError: If one of the sizes is unknown.
    """
    sizes = tuple(shape[axis] for axis in axes)
    if None in sizes:
        raise ValueError(
            f"{layer}: the inputs must have known sizes on the axes {tuple(axes)} (got shape {tuple(shape)}); declare "
            "these sizes in keras.Input."
        )
    return tuple(int(size) for size in sizes if size is not None)


def broadcast_shape(axes: Sequence[int], shape: Shape, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape in which a weight with `sizes` along `axes` broadcasts with inputs of `shape`."""
    by_axis = dict(zip(axes, sizes, strict=True))
    return tuple(by_axis.get(axis, 1) for axis in range(len(shape)))


def feature_count(layer: str, shape: Sequence[int | None]) -> int:
    """Return the size of the last axis.

    Raises:
        ValueError: If this size is unknown.
    """
    if shape[-1] is None:
        raise ValueError(
            f"{layer}: the inputs must have a known number of features (got shape {tuple(shape)}); declare the size "
            "of the last axis in keras.Input."
        )
    return shape[-1]


def broadcast_along(axes: Sequence[int], weight: Any, inputs: Any) -> Any:
    """Reshape a weight along `axes` so that it broadcasts with the inputs. Along the last axes it needs no change."""
    rank, sizes = len(inputs.shape), tuple(weight.shape)
    if tuple(axes) == tuple(range(rank - len(sizes), rank)):
        return weight
    return ops.reshape(weight, broadcast_shape(axes, inputs.shape, sizes))
