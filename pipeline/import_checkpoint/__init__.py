"""Released checkpoints as encoder files of ours, for training to start from."""
