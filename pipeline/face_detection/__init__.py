"""Face detection: where the faces in a photograph are, and the square that is cut around each."""
