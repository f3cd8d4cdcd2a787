//! sansws-smol.
