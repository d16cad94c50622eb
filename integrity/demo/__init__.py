"""The main job shown from beginning to end, on data that this package makes."""
