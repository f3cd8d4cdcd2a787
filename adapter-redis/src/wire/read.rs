//! Parses bytes from the front.
//! Reserves no memory: a length beyond the end is an error.

use std::sync::Arc;

use sansws_core::close::CloseCode;
use sansws_core::hub::{ChannelId, NodeId, Position};

use super::WireError;
use crate::name::Name;

/// The unread rest.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(WireError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(WireError::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Redis has signed numbers: a higher one was not given by a script, and nothing could follow it.
    pub(super) fn number(&mut self) -> Result<u64, WireError> {
        let number = self.u64()?;
        if i64::try_from(number).is_ok() {
            Ok(number)
        } else {
            Err(WireError::Malformed)
        }
    }

    pub(super) fn position(&mut self) -> Result<Position, WireError> {
        Ok(Position {
            epoch: self.u64()?,
            offset: self.number()?,
        })
    }

    pub(super) fn channel(&mut self) -> Result<ChannelId, WireError> {
        let node = NodeId(self.u64()?);
        Ok(ChannelId::from_parts(node, self.u32()?, self.u32()?))
    }

    pub(super) fn code(&mut self) -> Result<CloseCode, WireError> {
        CloseCode::new(self.u16()?).ok_or(WireError::Malformed)
    }

    pub(super) fn name(&mut self) -> Result<Name, WireError> {
        let length = self.u16()?;
        self.take(length.into()).and_then(text).map(Arc::from)
    }

    pub(super) fn long(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| WireError::Malformed)?)
    }

    pub(super) fn long_text(&mut self) -> Result<&'a str, WireError> {
        self.long().and_then(text)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    pub(super) fn text_to_the_end(&mut self) -> Result<&'a str, WireError> {
        text(self.rest())
    }
}

fn text(bytes: &[u8]) -> Result<&str, WireError> {
    core::str::from_utf8(bytes).map_err(|_| WireError::Malformed)
}
