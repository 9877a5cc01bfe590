"""The function that looks at a version on a phase of its release, and judges it by what is known."""
