"""What happened while a target was imported: which layers were used, and which settings of the process changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from layerwright.backends.process_state import settings
from layerwright.cases.observation import Use, observing

_uses: dict[str, list[Use]] = {}
_effects: dict[str, list[str]] = {}


@contextmanager
def importing(name: str) -> Iterator[None]:
    """Note what an import of the module `name` does inside the block, and put changed settings back.

    Noted are the settings that it changes, and how it constructs and calls layers that are not Keras's own.
    """
    before = [(setting, setting[1]()) for setting in settings()]
    with observing(lambda layer: not layer.__module__.startswith("keras.")) as observer:
        yield
    for use in (*observer.called, *observer.constructed):
        _uses.setdefault(use.layer.__module__, []).append(replace(use, instance=None))
    for (what, read, write), value in before:
        now = read()
        if now != value:
            _effects.setdefault(name, []).append(f"{what} from {value} to {now}")
            write(value)


def seen_at_import(module: str) -> list[Use]:
    """Return how layers of a module were constructed and called while it was imported."""
    return _uses.get(module, [])


def effects_of_import(module: str) -> list[str]:
    """Return which settings of the process the import of a module changed, from what to what."""
    return _effects.get(module, [])
