"""One line of the catalogue: a layer of `keras.layers` by name, its inputs and its constructor arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from layerwright.core.case import Case


@dataclass(frozen=True)
class Row:
    """A case that names its layer, so that a layer that the installed Keras lacks can be left out.

    Attributes:
        layer: The layer's name in `keras.layers`.
        inputs: As in `Case`.
        init: As in `Case`.
        call: As in `Case`.
        traits: As in `Case`.
        expect: As in `Case`.
        without: Backends that do not support the case, each with the reason.
    """

    layer: str
    inputs: Any
    init: Mapping[str, Any] = field(default_factory=dict)
    call: Mapping[str, Any] = field(default_factory=dict)
    traits: Mapping[str, Any] = field(default_factory=dict)
    expect: Mapping[str, str] = field(default_factory=dict)
    without: Mapping[str, str] = field(default_factory=dict)

    def case(self, layers: Any) -> Case:
        """Return the case, its layer taken from `layers`, the module `keras.layers`."""
        kind = getattr(layers, self.layer)
        return Case(
            kind,
            self.init,
            self.inputs,
            self.call,
            self.traits,  # type: ignore[arg-type]  # Case makes Traits of a mapping
            self.expect,
            unsupported=self.without,
        )


def row(
    layer: str,
    inputs: Any,
    /,
    *,
    call: Mapping[str, Any] | None = None,
    traits: Mapping[str, Any] | None = None,
    expect: Mapping[str, str] | None = None,
    without: Mapping[str, str] | None = None,
    **init: Any,
) -> Row:
    """Return a row; every further argument is one of the layer's constructor."""
    return Row(layer, inputs, init, call or {}, traits or {}, expect or {}, without or {})
