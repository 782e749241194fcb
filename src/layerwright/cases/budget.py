"""How long working a case out may take."""

from dataclasses import dataclass, field
from time import process_time


@dataclass
class Budget:
    """A number of seconds of this process's CPU time, from now on: a busy machine does not change what is found."""

    seconds: float
    started: float = field(default_factory=process_time)

    def share(self, part: float) -> "Budget":
        """Return a budget that ends after a part of what is left of this one."""
        return Budget(max(0.0, self.seconds - (process_time() - self.started)) * part)

    def is_over(self) -> bool:
        """Whether the seconds are over."""
        return process_time() - self.started > self.seconds
