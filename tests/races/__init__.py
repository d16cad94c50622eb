"""Writers between plan and apply, and in the middle of a batch: staged by steps and locks, never by time."""
