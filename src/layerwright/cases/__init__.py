"""From a target to a case: which layers there are, and how each is constructed and called."""
