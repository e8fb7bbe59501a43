"""Slow, obvious implementations to compare with, and plain loops in numpy and Cython to race against."""
