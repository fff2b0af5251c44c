"""The plugin: `procedure` is what GIMP sees, `host` what the use case sees."""
