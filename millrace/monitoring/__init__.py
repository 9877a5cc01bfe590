"""Monitoring: are a window's input and its error what the training history leads one to expect?"""
