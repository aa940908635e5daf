"""First-party plugins; each is registered through the entry points that anyone's plugin uses."""
