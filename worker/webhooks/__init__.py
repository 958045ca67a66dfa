"""Webhooks: a company's own addresses, told of each change of state of its messages.

Told at least once: a courier that dies between the receiver's answer and its note of it has the
event told again, under the same id.
"""
