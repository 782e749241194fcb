"""Records how a model trains, batch by batch, inside the compiled training step, on every backend."""
