"""The HTTP API: enqueueing, looking at messages, cancelling them."""
