"""Custom layers of reference quality: formula, source, mask and streaming stated, a NumPy reference beside each.

Each name in brackets is the same class under the name that articles on custom Keras layers use.

* `MaskedAverage`: the average over time of what a mask leaves.
* `CausalConv1D` (`ThreePointDependency`): a convolution over time that sees no later step, whole or step by step.
"""

from layerwright.layers.causal_conv1d import CausalConv1D as CausalConv1D
from layerwright.layers.masked_average import MaskedAverage as MaskedAverage

ThreePointDependency = CausalConv1D
