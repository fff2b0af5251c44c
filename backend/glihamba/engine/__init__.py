"""What harmonizes, whoever asks: the daemon, `--local`, `doctor`, `bench` and `evaluate` share it."""
