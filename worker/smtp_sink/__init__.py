"""A real SMTP server that keeps every mail and sends none on, and misbehaves when asked to.

For trying the product out, for benchmarks and for tests: `python -m worker.smtp_sink --help`.
"""
