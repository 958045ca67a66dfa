"""What becomes of SMS once they are with the gateway: asking it for delivery reports."""
