"""What was inferred of a case, as data: it is inferred once, and travels to the processes of other backends."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from layerwright.core.case import Case, with_batch


@dataclass(frozen=True)
class Inferred:
    """What was inferred of a declared case. Holds nothing of a backend's.

    Attributes:
        init: The constructor arguments that were inferred, encoded.
        inputs: The first call argument.
        call: The further call arguments that were inferred, encoded.
        notes: What was inferred, in words.
        names: What was inferred, as in `Case.inferred`.
        undetermined: As in `Case`.
        batch: The trait of this name.
        adapt: As in `Case`.
        alternatives: The inputs of those in `Case`.
        skip: As in `Case`.
    """

    init: Mapping[str, Any]
    inputs: Any
    call: Mapping[str, Any]
    notes: tuple[str, ...]
    names: tuple[str, ...]
    undetermined: bool
    batch: str
    adapt: Any = None
    alternatives: tuple[Any, ...] = ()
    skip: str = ""

    @classmethod
    def of(cls, declared: Case, known: Case) -> "Inferred":
        """Return what `known` has beyond `declared`, the case that it was inferred from."""
        init = {name: encoded(value) for name, value in known.init.items() if name not in declared.init}
        call = {name: encoded(value) for name, value in known.call.items() if name not in declared.call}
        return cls(
            init,
            known.inputs,
            call,
            known.notes,
            known.inferred,
            known.undetermined,
            known.traits.batch,
            known.adapt,
            tuple(one.inputs for one in known.alternatives),
            known.skip,
        )

    def applied_to(self, declared: Case) -> Case:
        """Return the case that was inferred from `declared`."""
        case = replace(
            declared,
            init={**declared.init, **{name: decoded(value) for name, value in self.init.items()}},
            inputs=self.inputs,
            call={**declared.call, **{name: decoded(value) for name, value in self.call.items()}},
            notes=self.notes,
            inferred=self.names,
            undetermined=self.undetermined,
            traits=with_batch(declared.traits, self.batch),
            adapt=self.adapt,
            skip=self.skip,
        )
        return replace(case, alternatives=tuple(case.with_inputs(inputs) for inputs in self.alternatives))


@dataclass(frozen=True)
class _KerasObject:
    """A layer, an initializer or the like, as Keras serializes it."""

    config: Any


@dataclass(frozen=True)
class _Named:
    """A function or a class, by its module and name."""

    module: str
    name: str


def encoded(value: Any) -> Any:
    """Return a value as what can be sent to another process: Keras's objects and functions by name and config."""
    import keras

    if type(value) in (list, tuple):
        return type(value)(encoded(item) for item in value)
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return _Named(value.__module__, value.__qualname__)
    if hasattr(value, "get_config"):
        return _KerasObject(keras.saving.serialize_keras_object(value))
    return value


def decoded(value: Any) -> Any:
    """Return the value that `encoded` was given."""
    import keras

    if type(value) in (list, tuple):
        return type(value)(decoded(item) for item in value)
    if isinstance(value, _KerasObject):
        return keras.saving.deserialize_keras_object(value.config)
    if isinstance(value, _Named):
        found = importlib.import_module(value.module)
        for part in value.name.split("."):
            found = getattr(found, part)
        return found
    return value
