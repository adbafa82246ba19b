"""Which faces belong to which set: names, persons, purposes; and their features."""
