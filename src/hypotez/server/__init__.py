"""OpenAI's wire API over HTTP: one module per resource, spelled as in the URL and the SDK."""
