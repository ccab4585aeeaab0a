"""The generic connector: Standard Webhooks in our own documented format, in and out."""
