"""Watch a model learn, batch by batch, on every backend, from inside the compiled training step."""
