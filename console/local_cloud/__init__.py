"""The local cloud as its user handles it: started, deployed into, moved in time, stopped."""
