"""The ceiling: a service of the same make as the others that does nothing but answer.

It runs at the same instance size behind the same gateway, through the same framework and boundary. What a stage's
service cannot reach of its throughput is the stage's own work.
"""
