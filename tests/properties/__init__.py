"""Properties that hold for any data: random small herds with random collisions, NULLs and rings of references."""
