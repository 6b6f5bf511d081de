"""What the commands in `experiments/` share: their jobs, their help, their sweeps and searches."""

__all__: list[str] = []
