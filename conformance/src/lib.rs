//! Tests of sansws against foreign WebSocket implementations; all of it is in `tests/`.
//!
//! - `interop` talks to Python `websockets`, Node `ws` and tungstenite, with both adapters, as client and as server.
//! - `twins` compares the public names of the adapters, and looks for the wrong runtime among their dependencies.
