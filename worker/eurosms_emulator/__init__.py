"""A real HTTP server that speaks EuroSMS's protocol, sends no SMS, and misbehaves when asked to.

For trying the product out and for tests: `python -m worker.eurosms_emulator --help`. It reads the
protocol by itself and shares no code with the client, so that a misunderstanding of one shows at
the other.
"""
