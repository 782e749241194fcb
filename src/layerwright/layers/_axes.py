"""Weights that lie along some axes of the inputs."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from layerwright.layers._arguments import is_whole

Shape = Sequence[int | None]


def checked_axes(layer: str, axis: Any) -> tuple[int, ...]:
    """Return `axis` as a tuple.

    Raises:
        ValueError: If it is neither a whole number other than 0 nor some of these, each once.
    """
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    whole = all(is_whole(one) and one != 0 for one in axes)
    if not axes or not whole or len(set(axes)) < len(axes):
        raise ValueError(
            f"{layer}: axis must be a whole number other than 0, the batch axis, or a tuple of such, each once "
            f"(got {axis!r}); pass axis=-1 for the features."
        )
    return axes


def placed_axes(layer: str, axes: Sequence[int], shape: Shape) -> tuple[int, ...]:
    """Return the axes counted from the front of inputs of this shape, in order.

    Raises:
        ValueError: If the inputs lack one of them, two of them are the same there, or one is the batch axis.
    """
    rank = len(shape)
    placed = sorted(axis % rank if -rank <= axis < rank else 0 for axis in axes)
    if 0 in placed or len(set(placed)) < len(placed):
        raise ValueError(
            f"{layer}: axis={tuple(axes)} does not fit inputs of shape {tuple(shape)}; pass axes after the batch's."
        )
    return tuple(placed)


def sizes_along(layer: str, axes: Sequence[int], shape: Shape) -> tuple[int, ...]:
    """Return the sizes of the inputs along `axes`: the shape of a weight that lies there.

    Raises:
        ValueError: If one of them is unknown.
    """
    sizes = tuple(shape[axis] for axis in axes)
    if None in sizes:
        raise ValueError(
            f"{layer}: the sizes of axes {tuple(axes)} must be known to create weights (got inputs of shape "
            f"{tuple(shape)}); pass inputs whose sizes there are given."
        )
    return tuple(int(size) for size in sizes if size is not None)


def broadcast_shape(axes: Sequence[int], shape: Shape, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape, of the inputs' rank, in which a weight with `sizes` along `axes` meets inputs of `shape`."""
    placed = dict(zip(axes, sizes, strict=True))
    return tuple(placed.get(axis, 1) for axis in range(len(shape)))


def known_features(layer: str, shape: Sequence[int | None]) -> int:
    """Return the size of the last axis.

    Raises:
        ValueError: If it is unknown.
    """
    if shape[-1] is None:
        raise ValueError(
            f"{layer}: the number of features must be known (got inputs of shape {tuple(shape)}); "
            "pass inputs whose last axis has a size."
        )
    return shape[-1]


def laid_along(axes: Sequence[int], weight: Any, inputs: Any) -> Any:
    """Return a weight with sizes along `axes` in a shape that meets the inputs; as it is if those are the last axes."""
    rank, sizes = len(inputs.shape), tuple(weight.shape)
    if tuple(axes) == tuple(range(rank - len(sizes), rank)):
        return weight
    return ops.reshape(weight, broadcast_shape(axes, inputs.shape, sizes))
