"""One thin file an arrow of the data's way: read, transform, write."""
