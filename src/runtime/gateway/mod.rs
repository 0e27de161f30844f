//! `OpenClaw` over its WebSocket protocol.
