"""Idle OpenMP threads would spin on a busy machine; must be set before XGBoost is loaded."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
