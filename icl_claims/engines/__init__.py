"""Engines: what runs the trials of a plan in other processes and on other machines. None is imported until chosen."""
