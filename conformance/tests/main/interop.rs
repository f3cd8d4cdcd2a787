//! Both adapters, as client and as server, against Python `websockets`, Node `ws`, tungstenite, and each other.
//!
//! Each scenario is written once and run on both runtimes. Children and threads end with their test, also when it panics;
//! nothing waits for more than [`support::LIMIT`]. The foreign peers are installed by `interop/setup.sh`.
