//! A handler's own connection, as far as its errors are concerned.
//! RFC 6455 section 7.4.1.
//! Knows no bytes; `sansws_common` decides what an error means.

pub(crate) use sansws_common::server::verdict::{Blame, Verdict, refusal};

use sansws_common::error::ConnectionTag;
use sansws_common::server::verdict::OwnConnection;
use sansws_core::close::CloseCode;

use crate::error::Error;
use crate::socket::shared::Shared;
use crate::transport::Transport;

impl<T: Transport> OwnConnection for Shared<T> {
    fn tag(&self) -> ConnectionTag {
        Self::tag(self)
    }

    fn is_open(&self) -> bool {
        self.engine().connection().is_open()
    }

    fn has_met(&self, error: &Error) -> bool {
        self.engine().has_met(error)
    }

    fn has_reported(&self, text: &str) -> Option<(CloseCode, String)> {
        self.engine().has_reported(text)
    }
}
