//! Parts that servers share: options, requests, the handle that admits connections, and what errors of handlers mean.

pub mod answer;
pub mod connect_info;
pub mod handle;
pub mod options;
pub mod outcome;
pub mod policy;
pub mod scope;
#[cfg(feature = "signal")]
pub mod signal;
pub mod verdict;
