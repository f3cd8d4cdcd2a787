//! The state of the subscription to a group.

/// Maximum number of messages that are held until the position of their group is known. Beyond it, the oldest is dropped, which shows as a
/// gap and is repaired.
pub(super) const MOST_HELD: usize = 16_384;

/// The state of the subscription to a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing is passed on.
    #[default]
    Off,
    /// Messages arrive, and are held until the position is known.
    Positioning,
    /// Messages are passed on as they arrive.
    Live,
}
