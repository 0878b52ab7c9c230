"""Silver rows from bronze slices, gold aggregates and labels from silver."""
