"""The presets that ship with artdiff, one TOML file each."""
