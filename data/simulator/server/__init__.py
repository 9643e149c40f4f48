"""The embedded environment as an HTTP and WebSocket server."""
