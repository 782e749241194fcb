"""How long working a case out may take."""

from dataclasses import dataclass, field
from time import monotonic


@dataclass
class Budget:
    """A number of seconds from now on."""

    seconds: float
    started: float = field(default_factory=monotonic)

    def share(self, part: float) -> "Budget":
        """Return a budget that ends after a part of what is left of this one."""
        return Budget(max(0.0, self.seconds - (monotonic() - self.started)) * part)

    def is_over(self) -> bool:
        """Whether the seconds are over."""
        return monotonic() - self.started > self.seconds
