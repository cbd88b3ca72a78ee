"""What was said: kept on disk as it happens (``log``), read back (``saved``), turned into examples (``dataset``)."""
