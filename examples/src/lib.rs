//! sansws-examples.
