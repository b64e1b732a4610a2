"""Faults, made for real: servers that freeze, die and fill up, networks that break, clients that misbehave.

    make faults                       about six minutes
    make faults FAULTS_ARGS=--full    each fault for as long as the bounds speak of
    make faults FAULTS_ARGS="--only overload"

Everything runs on servers of its own, which are removed at the end. Exit 1 if a bound is broken.
"""
