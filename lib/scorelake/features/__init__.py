"""Feature values as of an instant: frames in, frame out."""
