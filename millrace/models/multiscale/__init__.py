"""Feedforward networks on the means of one history at several scales."""
