"""What every stage stands on: parameters, files, keyed randomness, processes, the terminal."""
