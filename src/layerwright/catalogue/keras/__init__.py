"""Cases for the layers that ship with Keras, one family a file. A layer that the installed Keras lacks is left out.

Left out are also layers that compute nothing (`InputLayer`, `InputSpec` and the base classes `Layer` and `Wrapper`),
those that need what a case cannot bring (`FlaxLayer`: flax; `TFSMLayer`: a SavedModel) and those whose inputs are
strings (`StringLookup`, `TextVectorization`).

Importing this package loads no Keras; asking for the cases does.
"""

import importlib
import pkgutil
from importlib.resources import files

from layerwright.core.case import Case
from layerwright.core.defect import Defect, defects_in


def cases() -> tuple[Case, ...]:
    """Return a case or several for each layer, family by family."""
    import keras

    names = [info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_")]
    families = [importlib.import_module(f"{__name__}.{name}") for name in sorted(names)]
    rows = [row for family in families for row in family.rows() if hasattr(keras.layers, row.layer)]
    return tuple(row.case(keras.layers) for row in rows)


def defects() -> tuple[Defect, ...]:
    """Return the known defects of Keras's layers, each with a script that shows it."""
    return defects_in(files(__name__) / "defects")
