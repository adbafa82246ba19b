"""Features of face sets, as they are or with their pictures changed on the way."""
