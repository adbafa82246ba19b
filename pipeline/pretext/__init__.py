"""The pretext task: batches, losses, the training loop, resuming."""
