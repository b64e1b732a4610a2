"""The starter encyclopedia: its data, and what loads it."""
