//! What comes from Redis: payloads and messages. Nothing panics, and what is read is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sansws_redis::wire::{self, Messages, Payload};

fuzz_target!(|bytes: &[u8]| {
    let group = "lobby".into();
    message(bytes);
    match wire::parse(&group, bytes) {
        Ok(Payload::Messages(batch)) => {
            let (before, time) = (batch.before, batch.time);
            let mut count = 0;
            for one in batch {
                let Ok(one) = one else { return };
                message(one);
                count += 1;
            }
            let messages = Messages::of(bytes[26..].to_vec(), count);
            assert_eq!(wire::messages(before, time, &messages), bytes);
        }
        Ok(Payload::Presence(change)) => {
            let written = wire::presence(&change);
            // Kind 8 is what earlier versions wrote: it is read, and written as kind 11.
            if bytes[1] == 8 {
                let Ok(Payload::Presence(again)) = wire::parse(&group, &written) else {
                    panic!("what was written is not read");
                };
                assert_eq!(format!("{again:?}"), format!("{change:?}"));
            } else {
                assert_eq!(written, bytes);
            }
        }
        Ok(Payload::Instruct(instruction)) => assert_eq!(wire::instruct(&instruction), bytes),
        Ok(Payload::Close { code, reason }) => assert_eq!(wire::close(code, reason), bytes),
        Ok(Payload::Watched { group, payload }) => {
            assert_eq!(wire::watched(&group, payload), bytes);
            let _ = wire::parse(&group, payload);
        }
        Ok(Payload::Several(payloads)) => {
            let all: Result<Vec<_>, _> = payloads.map(|one| one.map(<[u8]>::to_vec)).collect();
            if let Ok(all) = all
                && all.len() > 1
            {
                assert_eq!(wire::several(all), bytes);
            }
        }
        _ => {}
    }
});

fn message(bytes: &[u8]) {
    let group = "lobby".into();
    if let Ok(draft) = wire::decode(&group, bytes) {
        let again = wire::decode(&group, &wire::encode(&draft)).unwrap();
        assert_eq!(again.message.payload(), draft.message.payload());
        assert_eq!(again.options.exclude, draft.options.exclude);
        assert_eq!(again.options.exclude_users, draft.options.exclude_users);
        assert_eq!(again.options.exclude_replay, draft.options.exclude_replay);
        assert_eq!((again.sender, again.options.key), (draft.sender, draft.options.key));
    }
}
