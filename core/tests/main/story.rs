//! Golden transcripts: what the peer sends, what we make of it, what we answer. RFC 6455 sections 5 to 8, RFC 7692.
//!
//! A file in `story/` holds stories. `##` names one; `role`, `deflate`, `limit`, `timeout` and `pieces` set it up.
//! `> 81 05 …` are bytes of the peer, `= text "Hello"` is what they mean, `! ReservedBit` is how they are wrong,
//! `< pong "Hello"` is a frame we answer, `@ 30s` lets time pass, `send`, `ping` and `close` are what we do, `eof` ends the
//! input, `after Shutdown` is what becomes of the transport, `% …` is a remark.
//!
//! Each story is told with the peer's octets whole, one by one, and in every other small step: the outcome is the same.

use crate::support;

use std::time::Duration;

use sansws_core::close::CloseCode;
use sansws_core::config::Config;
use support::{End, Got, TAKEOVER, frames};

#[test]
fn every_story_whatever_the_parts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/story");
    let mut told = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for story in text.split("\n## ").skip(1) {
            for step in [usize::MAX, 1, 2, 3, 5, 7, 11] {
                tell(story, step);
            }
            told += 1;
        }
    }
    assert!(told >= 40, "only {told} stories");
}

fn tell(story: &str, step: usize) {
    let mut lines = story
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('%'));
    let name = lines.next().unwrap();
    let (mut config, mut server, mut deflate, mut pieces) = (Config::default(), true, None, false);
    let mut end: Option<End> = None;
    let (mut got, mut sent): (Vec<Got>, Vec<String>) = (Vec::new(), Vec::new());
    for line in lines {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let about = format!("{name}: `{line}` by {step}");
        match verb {
            "role" => server = rest == "server",
            "deflate" => deflate = Some(TAKEOVER),
            "pieces" => pieces = true,
            "limit" => match rest.split_once(' ').unwrap() {
                ("frame", n) => config.limits.frame = n.parse().unwrap(),
                ("message", n) => config.limits.message = n.parse().unwrap(),
                ("fragments", n) => config.limits.fragments = n.parse().unwrap(),
                other => panic!("{about}: {other:?}"),
            },
            "timeout" => match rest.split_once(' ').unwrap() {
                ("idle", s) => config.timeouts.idle = Some(seconds(s)),
                ("message", s) => config.timeouts.message = Some(seconds(s)),
                ("ping", "none") => config.timeouts.ping = None,
                other => panic!("{about}: {other:?}"),
            },
            _ => {
                let end = end.get_or_insert_with(|| {
                    let mut end = End::new(server, config.clone(), deflate);
                    end.pieces = pieces;
                    end
                });
                match verb {
                    ">" => {
                        let bytes = bytes(rest);
                        for part in bytes.chunks(step.min(bytes.len().max(1))) {
                            got.extend(end.feed(part));
                        }
                        sent.extend(frames(&end.output()).iter().map(shown));
                    }
                    "=" => {
                        assert!(!got.is_empty(), "{about}: nothing came");
                        assert_eq!(event(&got.remove(0)), rest, "{about}");
                    }
                    "!" => {
                        assert!(!got.is_empty(), "{about}: nothing came");
                        assert_eq!(
                            format!("{:?}", got.remove(0)),
                            format!("Wrong({rest})"),
                            "{about}"
                        );
                    }
                    "<" => {
                        assert!(!sent.is_empty(), "{about}: nothing was sent");
                        assert_eq!(sent.remove(0), rest, "{about}");
                    }
                    "@" => {
                        end.now = end.now + seconds(rest);
                        while end.connection.tick(end.now).is_some() {}
                        sent.extend(frames(&end.output()).iter().map(shown));
                    }
                    "send" => {
                        end.connection.send_text(rest.trim_matches('"')).unwrap();
                        sent.extend(frames(&end.output()).iter().map(shown));
                    }
                    "ping" => {
                        let payload = rest.trim_matches('"').as_bytes();
                        end.connection.ping(payload).unwrap();
                        sent.extend(frames(&end.output()).iter().map(shown));
                    }
                    "close" => {
                        let code = rest.parse().ok().and_then(CloseCode::new);
                        end.connection.close(end.now, code, "").unwrap();
                        sent.extend(frames(&end.output()).iter().map(shown));
                    }
                    "eof" => end.connection.end_of_input(),
                    "after" => assert_eq!(
                        format!("{:?}", end.connection.transport_action()),
                        rest,
                        "{about}"
                    ),
                    "state" => assert!(
                        format!("{:?}", end.connection.state()).starts_with(rest),
                        "{about}: {:?}",
                        end.connection.state()
                    ),
                    other => panic!("{about}: {other}"),
                }
            }
        }
    }
    assert!(got.is_empty(), "{name} by {step}: also came {got:?}");
    assert!(sent.is_empty(), "{name} by {step}: also sent {sent:?}");
}

fn seconds(text: &str) -> Duration {
    Duration::from_millis((text.trim_end_matches('s').parse::<f64>().unwrap() * 1000.0) as u64)
}

fn bytes(text: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for word in text.split_whitespace() {
        match word.split_once('*') {
            Some((byte, count)) => {
                let byte = u8::from_str_radix(byte, 16).unwrap();
                all.extend(std::iter::repeat_n(byte, count.parse().unwrap()));
            }
            None => all.push(
                u8::from_str_radix(word, 16).unwrap_or_else(|_| panic!("{word} is no octet")),
            ),
        }
    }
    all
}

fn event(got: &Got) -> String {
    let short = |bytes: &[u8]| match bytes.len() {
        0..=40 => format!("\"{}\"", bytes.escape_ascii()),
        n => format!("{n} octets"),
    };
    match got {
        Got::Text(text) => format!(
            "text {}",
            if text.len() > 40 {
                short(text.as_bytes())
            } else {
                format!("\"{text}\"")
            }
        ),
        Got::Binary(bytes) => format!("binary {}", short(bytes)),
        Got::Piece(bytes, first, last) => {
            format!(
                "piece {}{}{}",
                short(bytes),
                if *first { " first" } else { "" },
                if *last { " last" } else { "" }
            )
        }
        Got::Ping(bytes) => format!("ping {}", short(bytes)),
        Got::Pong(bytes) => format!("pong {}", short(bytes)),
        Got::Close(code, reason) => format!(
            "close {} \"{reason}\"",
            code.map_or("none".into(), |code| code.to_string())
        ),
        Got::Wrong(violation) => format!("wrong {violation:?}"),
    }
}

fn shown(frame: &support::Frame) -> String {
    let payload = frame.payload.escape_ascii();
    let name = match frame.opcode {
        0 => "continuation",
        1 => "text",
        2 => "binary",
        9 => "ping",
        10 => "pong",
        8 => {
            return match frame.payload.as_slice() {
                [] => "close none".into(),
                [high, low, ..] => format!("close {}", u16::from_be_bytes([*high, *low])),
                _ => panic!("a Close frame of one octet"),
            };
        }
        _ => panic!("opcode {}", frame.opcode),
    };
    format!(
        "{name} \"{payload}\"{}{}",
        if frame.rsv1 { " compressed" } else { "" },
        if frame.fin { "" } else { " more" }
    )
}
