//! sansws-tokio.
