"""What operators rely on: overload, stop and start, numbers, alerts, traces."""
