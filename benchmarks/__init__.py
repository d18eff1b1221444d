"""The benchmark: this service beside every peer that can be installed, on one machine, in one run.

Names of scenarios come in; tables, charts and figures go out, each as a ratio within a round.
It must never report a figure that was taken from different answers, or on a machine busy with others.
"""
