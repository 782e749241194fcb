"""What layers were constructed and called while a target was imported."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from layerwright.cases.observation import Use, observing

_seen: dict[str, list[Use]] = {}


@contextmanager
def noting_uses() -> Iterator[None]:
    """Note how layers that are not Keras's own are constructed and called while the block imports their module."""
    with observing(lambda layer: not layer.__module__.startswith("keras.")) as observer:
        yield
    for use in (*observer.called, *observer.constructed):
        _seen.setdefault(use.layer.__module__, []).append(replace(use, instance=None))


def seen_at_import(module: str) -> list[Use]:
    """Return how layers of a module were constructed and called at import."""
    return _seen.get(module, [])
