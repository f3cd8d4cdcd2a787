//! The text of a case describes its script: sizes, counts, pauses, codes, and how octets are cut.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sansws_conformance::case::Case;
use sansws_conformance::frame::{Frame, opcode};
use sansws_conformance::http::Head;
use sansws_conformance::http2::wire::{self, kind};
use sansws_conformance::script::{Act, Chop, Setting, Step};
use sansws_conformance::{Peer, cases};

/// The properties of a script.
#[derive(Debug, Default)]
struct Facts {
    sizes: BTreeSet<u64>,
    counts: BTreeSet<u64>,
    /// Times in which the suite does nothing.
    times: BTreeSet<Duration>,
    codes: BTreeSet<u64>,
    by_octet: bool,
    by_frame: bool,
    at_once: bool,
}

impl Facts {
    fn of(case: &Case) -> Self {
        let setting = Setting {
            host: "host".into(),
            ..Setting::new(case.peer.unwrap_or(Peer::Server))
        };
        let mut facts = Self::default();
        let steps = case.script(&setting).steps;
        let mut messages = BTreeMap::<usize, usize>::new();
        let mut sent = Vec::new();
        let mut writes = 0;
        for step in steps {
            match step {
                Step::Frames(frames, chop) => {
                    facts.frames(&frames);
                    facts.chop(chop);
                    facts.at_once |= frames.len() > 1 && chop == Chop::Whole;
                    writes += 1;
                    sent.extend(frames);
                }
                Step::Close(close, _) => facts.code(&close),
                Step::Message(_, payload, fragment) => {
                    facts.size(payload.len());
                    *messages.entry(payload.len()).or_default() += 1;
                    facts.sizes.extend(fragment.map(|size| size as u64));
                    writes += 1;
                }
                Step::Reference(_, payload) => facts.size(payload.len()),
                Step::Bytes(bytes, chop) => {
                    facts.bytes(&bytes);
                    facts.chop(chop);
                    facts.at_once = true;
                    writes += 1;
                }
                Step::Respond { make, chop, .. } => {
                    let request = Head::request("/", "h", "AAECAwQFBgcICQoLDA0ODw==");
                    facts.bytes(&make(&request));
                    facts.chop(chop);
                    facts.at_once = true;
                }
                Step::Trips(trips) => {
                    facts.count(trips.count);
                    facts.sizes.extend(trips.fragment.map(|size| size as u64));
                    facts.size((trips.message)(1).len());
                }
                Step::Pause(time) | Step::Quiet(time) | Step::Sleep(time) => {
                    facts.times.insert(time);
                }
                Step::EndsNot(time) => drop(facts.times.insert(time)),
                Step::Http2(Act::Frames(frames)) => facts.http2(&frames),
                _ => {}
            }
        }
        facts.count(writes);
        messages.into_values().for_each(|count| facts.count(count));
        facts.frames(&sent);
        facts
    }

    /// Payloads, and the values of settings and windows.
    fn http2(&mut self, frames: &[wire::Frame]) {
        self.count(frames.len());
        for frame in frames {
            self.size(frame.payload.len());
            match (frame.kind, frame.payload.as_slice()) {
                (kind::SETTINGS, payload) => {
                    let values = wire::pairs(payload).into_iter();
                    self.sizes.extend(values.map(|(_, value)| u64::from(value)));
                }
                (kind::WINDOW_UPDATE, [a, b, c, d]) => {
                    let count = u32::from_be_bytes([*a, *b, *c, *d]);
                    self.sizes.insert(count.into());
                }
                _ => {}
            }
        }
    }

    fn size(&mut self, size: usize) {
        self.sizes.insert(size as u64);
    }

    fn count(&mut self, count: usize) {
        self.counts.insert(count as u64);
    }

    fn chop(&mut self, chop: Chop) {
        match chop {
            Chop::Whole => {}
            Chop::Frames => self.by_frame = true,
            Chop::Bytes(size) => {
                self.by_octet |= size == 1;
                self.size(size);
            }
        }
    }

    fn code(&mut self, frame: &Frame) {
        if let (opcode::CLOSE, [high, low, ..]) = (frame.opcode, frame.payload.as_slice()) {
            self.codes.insert(u16::from_be_bytes([*high, *low]).into());
            self.size(frame.payload.len() - 2);
        }
    }

    fn frames(&mut self, frames: &[Frame]) {
        let mut message = 0;
        for frame in frames {
            self.code(frame);
            self.size(frame.payload.len());
            self.sizes.extend(frame.claim);
            if frame.opcode < 8 {
                message += frame.payload.len();
                self.size(message);
                if frame.fin {
                    message = 0;
                }
            }
        }
        // Frames of each kind, of each length, and those of one message.
        self.count(frames.len());
        for code in 0..16 {
            let of = || frames.iter().filter(|frame| frame.opcode == code);
            self.count(of().count());
            self.size(of().map(|frame| frame.payload.len()).sum());
        }
        let data = || frames.iter().filter(|frame| frame.opcode < 8);
        self.count(data().count());
        self.count(data().filter(|frame| frame.fin).count());
        self.count(data().filter(|frame| frame.payload.is_empty()).count());
        // All but the first and the last of a message.
        self.count(data().count().saturating_sub(2));
        for frames in frames.split(|frame| frame.opcode < 8 && frame.fin) {
            self.count(frames.iter().filter(|frame| frame.opcode < 8).count() + 1);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.size(bytes.len());
        let Some((head, length)) = Head::read(bytes) else {
            // A head without its end.
            for line in bytes.split(|byte| *byte == b'\n') {
                let value = line.iter().position(|byte| *byte == b' ');
                self.size(value.map_or(line.len(), |at| line.len() - at - 1));
            }
            return;
        };
        self.size(bytes.len() - length);
        self.size(head.target().len() - usize::from(head.target().len() > 1));
        self.count(
            head.fields
                .iter()
                .filter(|(name, _)| name == "X-Many")
                .count(),
        );
        for (name, value) in &head.fields {
            self.size(value.len());
            if name == "Content-Length" {
                self.sizes.extend(value.parse::<u64>());
            }
        }
        let lines = bytes.iter().take_while(|byte| b"\r\n".contains(byte));
        self.size(lines.count());
    }
}

/// A number in a sentence, and the word behind it.
struct Number {
    value: u64,
    unit: String,
    /// The words before and behind it.
    before: String,
    behind: String,
}

/// The numbers of a sentence; thousands may stand apart.
fn numbers(sentence: &str) -> Vec<Number> {
    let words: Vec<&str> = sentence
        .split([' ', ',', ';', ':', '(', ')'])
        .map(|word| word.trim_end_matches(['.', ',']))
        .collect();
    let digits = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        if !digits(word) {
            continue;
        }
        let from = at.saturating_sub(8);
        let before = words[from..at - 1].join(" ");
        let mut number = word.to_string();
        while words
            .get(at)
            .is_some_and(|next| digits(next) && next.len() == 3)
        {
            number.push_str(words[at]);
            at += 1;
        }
        let mut value: u64 = number.parse().unwrap();
        let mut unit = words.get(at).unwrap_or(&"").to_string();
        for (prefix, shift) in [("KiB", 10), ("MiB", 20), ("GiB", 30)] {
            if unit == prefix {
                value <<= shift;
                unit = "octets".into();
            }
        }
        let behind = words[at..].join(" ");
        all.push(Number {
            value,
            unit,
            before,
            behind,
        });
    }
    all
}

/// Returns the properties that only the sentence or only the script has.
fn lies(case: &Case) -> Vec<String> {
    let facts = Facts::of(case);
    let says = case.does.as_str();
    let mut wrong = Vec::new();
    let mut claim = |good: bool, what: String| {
        if !good {
            wrong.push(what);
        }
    };
    let mut spoken = BTreeSet::new();
    for number in numbers(says) {
        let Number {
            value,
            unit,
            before,
            behind,
        } = number;
        // Numbers of characters, powers and distances are no sizes of payloads, nor are the lengths of inflated messages and decoded keys.
        let other = behind.starts_with("octets of a character")
            || behind.starts_with("octets back")
            || before.contains("characters of")
            || before.ends_with("character of")
            || before.ends_with('-')
            || before.ends_with("inflates to")
            || before.ends_with("key of");
        match unit.as_str() {
            _ if other => {}
            "octets" | "octet" => claim(facts.sizes.contains(&value), format!("{value} octets")),
            "s" | "ms" => {
                let time = Duration::from_millis(if unit == "s" { value * 1000 } else { value });
                spoken.insert(time);
                claim(facts.times.contains(&time), format!("{time:?}"));
            }
            "times" | "messages" | "pings" | "pongs" | "fragments" | "fields" | "empty"
            | "text" | "binary" | "compressed" => {
                claim(facts.counts.contains(&value), format!("{value} {unit}"))
            }
            _ if before.ends_with("code") && says.contains("Close") => {
                claim(facts.codes.contains(&value), format!("the code {value}"));
            }
            _ => {}
        }
    }
    if says.contains("for a second") {
        spoken.insert(Duration::from_secs(1));
        claim(
            facts.times.contains(&Duration::from_secs(1)),
            "a second".into(),
        );
    }
    for time in &facts.times {
        // Shorter ones only keep writes apart.
        let told = spoken.contains(time) || *time < Duration::from_millis(50);
        claim(told, format!("not a pause of {time:?}"));
    }
    claim(
        !says.contains("pause") || !facts.times.is_empty(),
        "a pause".into(),
    );
    let by_octet = says.contains("octet by octet");
    claim(by_octet == facts.by_octet, "octet by octet".into());
    let by_frame = says.contains("frame by frame");
    claim(by_frame == facts.by_frame, "frame by frame".into());
    let at_once = says.contains("in one write") || says.contains("at once");
    claim(!at_once || facts.at_once, "in one write".into());
    wrong
}

#[test]
fn each_case_does_what_it_says() {
    let mut wrong = Vec::new();
    for case in cases::all() {
        for lie in lies(&case) {
            wrong.push(format!("{} does not: {lie} ({})", case.id, case.does));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} lies:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The test itself can fail.
#[test]
fn a_case_that_lies_is_found() {
    use sansws_conformance::case::case;
    use sansws_conformance::frame::{close, ping, text};
    use sansws_conformance::script::{Script, seconds};
    let script = |_: &Setting| {
        Script::new()
            .send_chopped([text("four"), ping(""), ping("")], Chop::Bytes(1))
            .pause(seconds(1))
            .send([close(1000, "")])
    };
    let found = |does: &'static str| lies(&case("0", does, "", "", script));
    let truth = "Send text of 4 octets and 2 pings, octet by octet, after 1 s a Close frame with the code 1000.";
    assert_eq!(found(truth), [] as [&str; 0]);
    for (does, lie) in [
        (truth.replace("4 octets", "5 octets"), "5 octets"),
        (truth.replace("2 pings", "7 pings"), "7 pings"),
        (truth.replace("1 s", "2 s"), "2s"),
        (truth.replace("after 1 s", "then"), "not a pause of 1s"),
        (truth.replace("1000", "1001"), "the code 1001"),
        (truth.replace(", octet by octet", ""), "octet by octet"),
        (
            truth.replace("octet by octet", "frame by frame"),
            "frame by frame",
        ),
        (
            format!("{truth} In one write; in one write."),
            "in one write",
        ),
    ] {
        let found = found(does.clone().leak());
        assert!(found.iter().any(|one| one == lie), "{does}: {found:?}");
    }
}
