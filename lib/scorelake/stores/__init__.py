"""The two places where results stay: the lake (Delta) and the model registry (MLflow)."""
