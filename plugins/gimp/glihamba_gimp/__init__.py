"""The plugin. `procedure` is what GIMP calls, `host` what the use case calls."""
