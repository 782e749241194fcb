"""LW110 import-changes-nothing."""

import inspect
import sys
from types import ModuleType
from typing import Any

from layerwright.cases.imports import effects_of_import, importing
from layerwright.core.case import Case
from layerwright.core.check import check
from layerwright.core.finding import Finding, passed, skipped, warned
from layerwright.trial.trial import Trial

FIX = "Remove the call from the module, or move it into the function or script that needs the setting."


@check("LW110", "import-changes-nothing", advisory=True)
def import_changes_nothing(trial: Trial) -> Finding:
    """Importing the module of the layer leaves the settings of the process alone.

    What it proves:
        Advisory. The import does not change Keras's global dtype policy, floatx, epsilon or image data format, torch's
        autograd, default dtype or deterministic mode, TensorFlow's eager mode, JAX's main settings, or how NumPy
        handles floating-point errors.

    Why it matters:
        Whoever imports the layer gets the setting with it: `torch.set_grad_enabled(False)` in one file stops every
        model of the program from training.

    How it is tested:
        The settings are read before and after the import. What was changed is put back, so that the other checks test
        the layer and not the setting. It is said once, for the first layer that the module defines.

    Exempt when:
        The module was imported before Layerwright could look, as with `layerwright.check` and in pytest.

    References:
        PyTorch's notes on autograd mechanics, "Locally disabling gradient computation"; keras.io/api/utils.
    """
    module = str(getattr(trial.case.layer, "__module__", ""))
    changed = effects_of_import(module)
    if not changed:
        return passed()
    if not _is_first(trial.case.layer, module):
        return skipped(f"said for the first layer of {module}: the import changes settings of the process")
    return warned(
        f"importing {module} changes {'; '.join(changed)} (put back for the other checks)", FIX, changed=changed
    )


def _is_first(layer: Any, module: str) -> bool:
    """Whether a layer is the first that a module defines."""
    import keras

    defined = vars(sys.modules[module]).values() if module in sys.modules else ()
    own = (
        one
        for one in defined
        if inspect.isclass(one) and issubclass(one, keras.layers.Layer) and one.__module__ == module
    )
    return next(own, layer) is layer


def bad() -> Case:
    return Case(_layer_of("layerwright_example_that_changes_settings", "keras.config.set_epsilon(1e-3)"), {}, (None, 5))


def good() -> Case:
    return Case(_layer_of("layerwright_example_that_changes_nothing", ""), {}, (None, 5))


def _layer_of(name: str, statement: str) -> Any:
    """Return the layer of a module that executes a statement when it is imported."""
    source = f"import keras\n{statement}\nclass Same(keras.layers.Layer):\n    def call(self, x):\n        return x\n"
    module = sys.modules.get(name)
    if module is None:
        module = ModuleType(name)
        sys.modules[name] = module
        with importing(name):
            exec(source, vars(module))
    return module.Same
