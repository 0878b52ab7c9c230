"""One model applied to a frame of features."""
