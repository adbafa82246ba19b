"""How well anomaly scores tell AI-generated from photographic faces, and how sure that is."""
