"""What a layer is called with, as NumPy arrays."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Arguments:
    """What a layer is called with, as NumPy arrays.

    Attributes:
        inputs: The first call argument: an array, or a list, tuple or dict of arrays.
        call: The further call arguments by name.
        tensors: Names in `call` that hold tensors.
    """

    inputs: Any
    call: Mapping[str, Any] = field(default_factory=dict)
    tensors: tuple[str, ...] = ()

    def map(self, function: Callable[[Array], Any]) -> Self:
        """Apply `function` to every array and return the results in a new structure; this one is not changed."""
        # Inputs come first, so that `function` sees the arrays in the order of `arrays()`.
        inputs = map_leaves(function, self.inputs)
        call = {name: map_leaves(function, self.call[name]) for name in self.tensors}
        return replace(self, inputs=inputs, call={**self.call, **call})

    def arrays(self) -> list[Array]:
        """Return every array: first those of `inputs`, then those of `call`."""
        return [array for _, array in self.named_arrays()]

    def named_arrays(self) -> list[tuple[str, Array]]:
        """Return every array with its name, such as `inputs`, `inputs[0]` or `mask`."""
        trees = [("inputs", self.inputs), *((name, self.call[name]) for name in self.tensors)]
        return [
            (name + "".join(f"[{part!r}]" for part in path), array)
            for name, tree in trees
            for path, array in _flatten_with_path(tree)
            if array is not None
        ]

    def rows(self, index: Any) -> Self:
        """Select samples: index axis 0 of every array."""
        return self.map(lambda array: array[index])

    def replace_arrays(self, arrays: Sequence[Array]) -> Self:
        """Return the same structure with these arrays, in the order of `arrays()`."""
        import keras

        left = iter(arrays)

        def refill(tree: Any) -> Any:
            flat = [None if leaf is None else next(left) for leaf in keras.tree.flatten(tree)]
            return keras.tree.pack_sequence_as(tree, flat)

        inputs = refill(self.inputs)
        return replace(
            self, inputs=inputs, call={**self.call, **{name: refill(self.call[name]) for name in self.tensors}}
        )

    @property
    def batch(self) -> int:
        """The number of samples."""
        return int(self.arrays()[0].shape[0])


def describe(arguments: Arguments) -> str:
    """Describe the arguments of a call: names, shapes and dtypes."""
    words = []
    for name, array in arguments.named_arrays():
        dtype = "" if str(array.dtype) == "float32" else f" {array.dtype}"
        words.append(f"{'' if name == 'inputs' else name + ' '}{tuple(array.shape)}{dtype}")
    return ", ".join(words)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply `function` to every leaf of a structure except None, which stands for a tensor that is not passed."""
    import keras

    return keras.tree.map_structure(lambda leaf: None if leaf is None else function(leaf), tree)


def _flatten_with_path(tree: Any) -> Iterator[tuple[tuple[Any, ...], Array]]:
    import keras

    yield from keras.tree.flatten_with_path(tree)
