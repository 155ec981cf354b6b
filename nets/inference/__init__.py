"""Networks as they run: folded, streaming, and in forms that can be exported."""
