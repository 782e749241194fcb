"""The words everything else is said in: cases, checks, findings. Imports no sibling, and no Keras at import time."""
