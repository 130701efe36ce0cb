"""Kafka as ordertide uses it: connect, produce, consume, topics, the clock of a partition.

The same code talks to a real Kafka and to the embedded broker (`broker.embedded`).
"""
