//! Changes of presence, as the presence script sends them to the channel of a group.
//! The format stands in the [module](super).

use std::sync::Arc;

use sansws_core::hub::{PresenceChange, Present};
use sansws_core::time::Instant;

use super::read::Reader;
use super::{WireError, length, payload, put_long, put_name};
use crate::name::Name;

/// Returns what the script sends.
pub fn write(change: &PresenceChange) -> Vec<u8> {
    let mut out = payload(11);
    out.extend(change.epoch.to_be_bytes());
    out.extend(change.version.to_be_bytes());
    out.extend((change.count as u64).to_be_bytes());
    for present in [&change.joined, &change.updated, &change.left] {
        out.extend(length(present.len()));
        for present in present {
            put_name(&mut out, &present.user);
            out.extend(present.said.as_micros().to_be_bytes());
            out.push(u8::from(present.metadata.is_some()));
            if let Some(metadata) = &present.metadata {
                put_long(&mut out, metadata.as_bytes());
            }
        }
    }
    out
}

/// Parses a change; with kind 8, those who left have no metadata.
pub(super) fn read(
    group: &Name,
    kind: u8,
    reader: &mut Reader<'_>,
) -> Result<PresenceChange, WireError> {
    let (epoch, version) = (reader.u64()?, reader.u64()?);
    let count = usize::try_from(reader.u64()?).map_err(|_| WireError::Malformed)?;
    let mut change = PresenceChange::new(Arc::clone(group), epoch, version, count);
    for list in [&mut change.joined, &mut change.updated] {
        for _ in 0..reader.u32()? {
            list.push(read_present(reader)?);
        }
    }
    for _ in 0..reader.u32()? {
        change.left.push(match kind {
            8 => Present {
                user: reader.name()?,
                metadata: None,
                said: Instant::ZERO,
            },
            _ => read_present(reader)?,
        });
    }
    Ok(change)
}

fn read_present(reader: &mut Reader<'_>) -> Result<Present, WireError> {
    Ok(Present {
        user: reader.name()?,
        said: Instant::from_micros(reader.u64()?),
        metadata: match reader.u8()? {
            0 => None,
            1 => Some(Arc::from(reader.long_text()?)),
            _ => return Err(WireError::Unknown),
        },
    })
}
