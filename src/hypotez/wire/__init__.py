"""The shapes of the wire: ids, request bodies, response bodies, lists, server-sent events. No I/O."""
