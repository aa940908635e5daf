"""Backends: small adapters from files of weights to the Model that the engine knows."""
