"""LW3: the batch axis first of all, then time and features."""
