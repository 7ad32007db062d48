"""Tiny random cross-encoders of every family and checkpoint form, as the reference writes them."""
