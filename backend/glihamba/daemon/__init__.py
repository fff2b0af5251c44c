"""The daemon: one bounded queue of harmonizations behind a loopback port. `server.serve` runs it."""
