"""Configuration files: from HCL, JSON or TOML to checked values, with every fault named at once."""
