"""The network: from a face to a feature and five scores, with its preprocessing and its files."""
