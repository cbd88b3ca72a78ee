"""Grades of replies by OpenAI's graders. Used where graders are tried out and where they reward training.

Knows no HTTP, no SQL and no torch; a model that judges is asked through ``outcome.Judge``.
"""
