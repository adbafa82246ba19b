"""The Gaussian mixture of photographic features: fitted, scored, selected."""
