//! Instructions to channels, in wire format.
//! The format stands in the [module](super).

use sansws_core::hub::{ChannelId, Instruction};
use sansws_core::time::Instant;

use super::read::Reader;
use super::{WireError, payload, put_name, put_place};

/// An instruction to one channel.
pub fn instruct_channel(to: ChannelId, instruction: &Instruction) -> Vec<u8> {
    let mut out = payload(9);
    put_place(&mut out, to);
    write(instruction, &mut out);
    out
}

/// An instruction to all channels of the user to whose group it is sent.
pub fn instruct(instruction: &Instruction) -> Vec<u8> {
    let mut out = payload(10);
    write(instruction, &mut out);
    out
}

fn write(instruction: &Instruction, out: &mut Vec<u8>) {
    match instruction {
        Instruction::Join(group) => {
            out.push(1);
            put_name(out, group);
        }
        Instruction::Leave(group) => {
            out.push(2);
            put_name(out, group);
        }
        Instruction::SetUser(user) => {
            out.extend([3, u8::from(user.is_some())]);
            user.iter().for_each(|user| put_name(out, user));
        }
        Instruction::SetMetadata(text) => {
            out.push(4);
            out.extend(text.as_bytes());
        }
        Instruction::SetExpiry(at) => {
            out.extend([5, u8::from(at.is_some())]);
            out.extend(at.iter().flat_map(|at| at.as_micros().to_be_bytes()));
        }
        Instruction::Signal(text) => {
            out.push(6);
            out.extend(text.as_bytes());
        }
        // An instruction of a later core, which the receiver would not know either.
        _ => out.push(0),
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Instruction, WireError> {
    Ok(match reader.u8()? {
        1 => Instruction::Join(reader.name()?),
        2 => Instruction::Leave(reader.name()?),
        3 => Instruction::SetUser(match reader.u8()? {
            0 => None,
            1 => Some(reader.name()?),
            _ => return Err(WireError::Unknown),
        }),
        4 => Instruction::SetMetadata(reader.text_to_the_end()?.into()),
        5 => Instruction::SetExpiry(match reader.u8()? {
            0 => None,
            1 => Some(Instant::from_micros(reader.u64()?)),
            _ => return Err(WireError::Unknown),
        }),
        6 => Instruction::Signal(reader.text_to_the_end()?.into()),
        _ => return Err(WireError::Unknown),
    })
}
