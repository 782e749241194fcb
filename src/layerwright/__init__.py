"""Write, check and watch custom Keras layers, on TensorFlow, JAX and PyTorch."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from layerwright.core.case import Case as Case
from layerwright.core.case import InputSpec as InputSpec
from layerwright.core.case import Traits as Traits
from layerwright.core.case import case as case
from layerwright.core.finding import Finding as Finding
from layerwright.report.report import Report as Report

if TYPE_CHECKING:
    from layerwright.pytest_plugin import parametrize_with_checks as parametrize_with_checks
    from layerwright.runner.in_process import check as check
    from layerwright.trial.influence import influence as influence
    from layerwright.watch.batch_change import BatchChangeCallback as BatchChangeCallback
    from layerwright.watch.callback import Watch as Watch
    from layerwright.watch.probe import Probe as Probe
    from layerwright.watch.rules import DeadUnits as DeadUnits
    from layerwright.watch.rules import ExplodingGradient as ExplodingGradient
    from layerwright.watch.rules import NonFinite as NonFinite
    from layerwright.watch.rules import Unchanged as Unchanged
    from layerwright.watch.rules import UpdateRatio as UpdateRatio
    from layerwright.watch.rules import VanishingGradient as VanishingGradient

__version__ = version("layerwright")

_LAZY = {
    "check": "layerwright.runner.in_process",
    "influence": "layerwright.trial.influence",
    "parametrize_with_checks": "layerwright.pytest_plugin",
    "BatchChangeCallback": "layerwright.watch.batch_change",
    "Watch": "layerwright.watch.callback",
    "Probe": "layerwright.watch.probe",
    **dict.fromkeys(
        ("DeadUnits", "ExplodingGradient", "NonFinite", "Unchanged", "UpdateRatio", "VanishingGradient"),
        "layerwright.watch.rules",
    ),
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'layerwright' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
