//! What comes from Redis: payloads and messages. Nothing panics, and what is read is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sansws_redis::wire::{self, Messages, Payload};

fuzz_target!(|octets: &[u8]| {
    let group = "lobby".into();
    message(octets);
    match wire::parse(&group, octets) {
        Ok(Payload::Messages(batch)) => {
            let (before, time) = (batch.before, batch.time);
            let mut count = 0;
            for one in batch {
                let Ok(one) = one else { return };
                message(one);
                count += 1;
            }
            let messages = Messages::of(octets[26..].to_vec(), count);
            assert_eq!(wire::messages(before, time, &messages), octets);
        }
        Ok(Payload::Presence(change)) => {
            assert_eq!(wire::presence(&change), octets);
        }
        Ok(Payload::Instruct(instruction)) => assert_eq!(wire::instruct(&instruction), octets),
        Ok(Payload::Close { code, reason }) => assert_eq!(wire::close(code, reason), octets),
        Ok(Payload::Watched { group, payload }) => {
            assert_eq!(wire::watched(&group, payload), octets);
            let _ = wire::parse(&group, payload);
        }
        _ => {}
    }
});

fn message(octets: &[u8]) {
    let group = "lobby".into();
    if let Ok(draft) = wire::decode(&group, octets) {
        let again = wire::decode(&group, &wire::encode(&draft)).unwrap();
        assert_eq!(again.message.payload(), draft.message.payload());
        assert_eq!(again.options.exclude, draft.options.exclude);
        assert_eq!(again.options.exclude_users, draft.options.exclude_users);
        assert_eq!(again.options.exclude_replay, draft.options.exclude_replay);
        assert_eq!((again.sender, again.options.key), (draft.sender, draft.options.key));
    }
}
