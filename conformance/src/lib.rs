//! sansws-conformance.
