"""The main job, and the pipeline's, shown from beginning to end, on data that this package makes."""
