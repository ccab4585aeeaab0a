"""Zendesk Support: event webhooks in, one safe ticket update out."""
