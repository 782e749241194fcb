"""Cases for the layers that ship with Keras. A layer that the Keras at hand lacks is left out.

Importing this package loads no Keras; asking for the cases does.
"""

import importlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from layerwright.core.case import Case
from layerwright.core.defect import Defect, defects_in

if TYPE_CHECKING:
    from layerwright.catalogue.keras._row import Row

FAMILIES = (
    "activations",
    "attention",
    "convolution",
    "core",
    "merging",
    "normalization",
    "pooling",
    "preprocessing",
    "recurrent",
    "regularization",
    "reshaping",
)

OMISSIONS: Mapping[str, str] = {
    "FlaxLayer": "needs flax, which Keras does not bring",
    "InputLayer": "marks where a functional model begins; computes nothing",
    "InputSpec": "describes inputs; is no layer",
    "Layer": "is the base class; computes nothing",
    "StringLookup": "is fed strings; a case feeds numbers",
    "TFSMLayer": "needs a SavedModel on disk",
    "TextVectorization": "is fed strings; a case feeds numbers",
    "Wrapper": "is a base class; computes nothing",
}
"""Public names of `keras.layers` that have no case, each with the reason."""


def cases(backend: str | None = None) -> tuple[Case, ...]:
    """Return a case or several for each layer, family by family.

    Args:
        backend: The backend they are meant for: cases that do not work there are left out. By default the one that
            this process's Keras runs on.
    """
    import keras

    name = backend or keras.backend.backend()
    return tuple(row.case(keras.layers) for row in _rows(keras.layers) if name not in row.without)


def defects() -> tuple[Defect, ...]:
    """Return the defects of Keras's layers that are known, each with a script that shows it."""
    return defects_in(files(__name__) / "defects")


def case_ids(backend: str | None = None) -> tuple[str, ...]:
    """Return the words that name each of `cases(backend)`, in the same order; no two are equal."""
    return tuple(str(case) for case in cases(backend))


def unsupported(backend: str | None = None) -> Mapping[str, str]:
    """Return the cases that do not work on a backend, in words, each with the reason."""
    import keras

    name = backend or keras.backend.backend()
    return {str(row.case(keras.layers)): row.without[name] for row in _rows(keras.layers) if name in row.without}


def aliases() -> Mapping[str, str]:
    """Return the public names of `keras.layers` that are second names, each with the first."""
    import keras

    public = {name: value for name, value in vars(keras.layers).items() if isinstance(value, type)}
    return {
        name: value.__name__ for name, value in public.items() if value.__name__ != name and value.__name__ in public
    }


def _rows(layers: Any) -> "Iterator[Row]":
    for family in FAMILIES:
        module = importlib.import_module(f"layerwright.catalogue.keras.{family}")
        yield from (row for row in module.rows() if hasattr(layers, row.layer))
