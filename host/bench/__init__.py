"""Measurements that the README quotes: ``zipsgd bench``."""
