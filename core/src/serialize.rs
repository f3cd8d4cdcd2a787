//! Ids, positions and close codes for serde: the first two as the text that they parse from, a code as its number.

use alloc::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::close::CloseCode;
use crate::hub::{ChannelId, Position};

macro_rules! as_text {
    ($($type:ty)*) => {$(
        /// As text.
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        /// From text.
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

as_text!(ChannelId Position);

/// As its number.
impl Serialize for CloseCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.get())
    }
}

/// From a number that may be sent.
impl<'de> Deserialize<'de> for CloseCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u16::deserialize(deserializer)?;
        Self::try_from(number).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn each_value_becomes_json_and_comes_back() {
        let position = Position {
            epoch: 0xabc,
            offset: 7,
        };
        let id: ChannelId = "000000000000000a-2-3".parse().unwrap();
        let json = serde_json::to_value((position, id, CloseCode::AWAY)).unwrap();
        assert_eq!(
            json,
            serde_json::json!([position.to_string(), id.to_string(), 1001])
        );
        let back: (Position, ChannelId, CloseCode) = serde_json::from_value(json).unwrap();
        assert_eq!(back, (position, id, CloseCode::AWAY));
    }

    #[test]
    fn invalid_input_is_an_error() {
        assert!(serde_json::from_str::<Position>("\"seven\"").is_err());
        assert!(serde_json::from_str::<ChannelId>("7").is_err());
        assert!(serde_json::from_str::<CloseCode>("1005").is_err());
    }
}
