//! `explain`: what a case does, step by step, in words.

use std::io::{self, Write};
use std::process::ExitCode;

use console::style;
use sansws_conformance::case::Case;
use sansws_conformance::cases::family_title;
use sansws_conformance::frame::{Coding, Frame, Masking, opcode};
use sansws_conformance::http::Head;
use sansws_conformance::script::{Branch, Chop, Opening, Peer, Setting, Step};
use sansws_conformance::suite::Suite;
use sansws_conformance::verdict::{Verdict, Word};

use super::tell::say;

/// Maximum number of steps that are shown of a case.
const MOST: usize = 40;

/// Maximum number of frames that are shown of a step.
const MOST_FRAMES: usize = 6;

/// Shows all details of the chosen cases.
pub fn explain(suite: &Suite) -> io::Result<ExitCode> {
    let mut chosen = [suite.chosen(Peer::Server), suite.chosen(Peer::Client)].concat();
    chosen.sort_unstable();
    chosen.dedup();
    for (number, case) in chosen
        .iter()
        .filter_map(|at| suite.cases().get(*at))
        .enumerate()
    {
        if number > 0 {
            say!();
        }
        one(case);
    }
    Ok(ExitCode::SUCCESS)
}

fn one(case: &Case) {
    let kind = if case.is_classic() { "classic" } else { "new" };
    say!(
        "{} {} ({kind})",
        style(&case.id).bold(),
        family_title(case.family())
    );
    say!("  {}", case.does);
    say!("  Expected: {}", case.expects);
    say!("  Rule: {}", case.rule);
    for word in words(case) {
        say!("  {word}");
    }
    if let Some(why) = case.freedom {
        say!("  It may be INFORMATIONAL: {why}.");
    }
    let peer = case.peer.unwrap_or(Peer::Server);
    let tested = match case.peer {
        None => "servers and clients; for a server",
        Some(Peer::Server) => "servers",
        Some(Peer::Client) => "clients",
    };
    say!("  It tests {tested}:");
    let script = case.script(&Setting::new(peer));
    let opening = match &script.opening {
        Opening::Plain if script.http2.is_some() => {
            Some("Open a WebSocket without extensions, on a stream of HTTP/2.".into())
        }
        Opening::Plain => Some("Open a connection without extensions.".into()),
        Opening::Deflate(params) => {
            let offers: Vec<String> = params.iter().map(|params| params.write()).collect();
            Some(match peer {
                Peer::Server => format!("Open a connection, and offer {}.", offers.join(", or ")),
                Peer::Client => {
                    format!("Open a connection, and agree on {}.", offers.join(", or "))
                }
            })
        }
        Opening::Raw => None,
    };
    let steps = script.steps.iter().map(told);
    let told: Vec<String> = opening.into_iter().chain(steps).collect();
    for (step, number) in told.iter().zip(1..).take(MOST) {
        say!("  {number:3}. {}", step.replace('\n', "\n       "));
    }
    if told.len() > MOST {
        say!("       and {} more steps", told.len() - MOST);
    }
}

/// Returns the words of the RFC that the verdict stands on, as sentences.
fn words(case: &Case) -> Vec<String> {
    let told = |word: Word, who: &str| match word {
        Word::Must => format!("The verdict{who} stands on a MUST."),
        Word::Should => format!("The verdict{who} stands on a SHOULD: it is NON-STRICT at worst."),
        Word::May => format!("The verdict{who} stands on a MAY: it is INFORMATIONAL at worst."),
        Word::Unsaid => {
            format!("The RFC leaves it open{who}: the verdict is INFORMATIONAL at worst.")
        }
    };
    let [server, client] = [Peer::Server, Peer::Client].map(|peer| case.word(peer));
    match case.peer {
        Some(peer) => vec![told(case.word(peer), "")],
        None if server == client => vec![told(server, "")],
        None => vec![told(server, " for servers"), told(client, " for clients")],
    }
}

/// A step, as a sentence.
fn told(step: &Step) -> String {
    match step {
        Step::Frames(frames, chop) => {
            format!("Send {}{}.", frames_told(frames), chopped(*chop))
        }
        Step::Message(text, payload, fragment) => {
            let kind = if *text { "text" } else { "a binary message" };
            let parts = fragment.map_or_else(String::new, |size| {
                format!(", in fragments of {size} octets")
            });
            format!(
                "Send {kind} of {} octets, compressed if that was agreed on{parts}.",
                payload.len()
            )
        }
        Step::Reference(frame, payload) => format!(
            "Send {} that stands for {} octets by referring to earlier messages; if no window is kept, send those octets.",
            frame_told(frame),
            payload.len()
        ),
        Step::Bytes(bytes, chop) => match Head::read(bytes) {
            Some((_, length)) => {
                let head = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default());
                let lines: Vec<String> = head
                    .lines()
                    .filter(|line| !line.is_empty())
                    .take(12)
                    .map(|line| format!("  {}", line.chars().take(100).collect::<String>()))
                    .collect();
                let behind = match bytes.len() - length {
                    0 => String::new(),
                    count => format!(", with {count} octets behind it"),
                };
                format!(
                    "Send this request{}{behind}:\n{}",
                    chopped(*chop),
                    lines.join("\n")
                )
            }
            None => format!("Send {} octets{}.", bytes.len(), chopped(*chop)),
        },
        Step::Pause(time) => format!("Wait for {time:?}."),
        Step::Sleep(time) => format!("Wait for {time:?}, whether what was sent is read or not."),
        Step::Quiet(time) => format!("Expect nothing for {time:?}."),
        Step::Expect(branches) => branches_told(branches),
        Step::All(all) => {
            let mut wants: Vec<String> = all.wants.iter().map(ToString::to_string).collect();
            let more = wants.len().saturating_sub(MOST_FRAMES);
            wants.truncate(MOST_FRAMES);
            let more = if more > 0 {
                format!(", and {more} more")
            } else {
                String::new()
            };
            format!("Expect all of these: {}{more}.", wants.join(", "))
        }
        Step::PongWithin(time, payload) => format!(
            "Expect a pong of {} octets within {time:?}; later is NON-STRICT.",
            payload.len()
        ),
        Step::FailsWithin(time, codes) => format!(
            "Expect the end of the connection within {time:?}, with one of the codes {codes:?} if there is a Close frame; later is NON-STRICT."
        ),
        Step::EndsNot(time) => {
            format!(
                "Expect that the peer does not end TCP for {time:?}; if it does, that is NON-STRICT."
            )
        }
        Step::Anything(time) => format!("Report whatever comes within {time:?}."),
        Step::Close(frame, _) => format!("Send {}, and expect one back.", frame_told(frame)),
        Step::Trips(trips) => format!(
            "{} times: send {} of {} octets, and expect it back.",
            trips.count,
            if trips.text {
                "text"
            } else {
                "a binary message"
            },
            (trips.message)(0).len()
        ),
        Step::Until(what, _) => format!("Expect {what}."),
        Step::Respond { make, chop, .. } => {
            let request = Head::request("/", "host", "AAECAwQFBgcICQoLDA0ODw==");
            let bytes = make(&request);
            let first = bytes
                .split(|byte| *byte == b'\r')
                .next()
                .unwrap_or_default();
            let first: String = String::from_utf8_lossy(first).chars().take(100).collect();
            format!(
                "Read the request, and answer it with {} octets that begin with `{first}`{}.",
                bytes.len(),
                chopped(*chop)
            )
        }
        Step::Open => "Complete the handshake.".into(),
        Step::Reading(true) => "Read again.".into(),
        Step::Reading(false) => "Stop reading.".into(),
        Step::Shutdown => "End our side of TCP.".into(),
        Step::Leave => "Drop the connection.".into(),
        Step::Keys(pattern) => {
            format!("Check that the masking keys show no pattern ({pattern:?}).")
        }
        Step::KeysStartAnew => {
            "Check that the first masking key is not that of an earlier connection.".into()
        }
        Step::NonceIsNew => {
            "Check that the Sec-WebSocket-Key is not that of an earlier connection.".into()
        }
        Step::HostNamesPort => "Check that Host names the port, unless it is the default.".into(),
        Step::TellPongs => "From here on, report pongs that no ping asked for.".into(),
        Step::Say(_, text) => format!("Note: {text}."),
        Step::Http2(act) => act.to_string(),
    }
}

fn branches_told(branches: &[Branch]) -> String {
    let one = |branch: &Branch| {
        let verdict = match branch.verdict {
            Verdict::Ok => String::new(),
            verdict => format!(" ({verdict})"),
        };
        format!("{}{verdict}", branch.want)
    };
    let all: Vec<String> = branches.iter().map(one).collect();
    format!("Expect {}.", all.join(", or "))
}

fn chopped(chop: Chop) -> String {
    match chop {
        Chop::Whole => String::new(),
        Chop::Frames => ", frame by frame".into(),
        Chop::Bytes(1) => ", octet by octet".into(),
        Chop::Bytes(size) => format!(", {size} octets at a time"),
    }
}

fn frames_told(frames: &[Frame]) -> String {
    let mut told: Vec<String> = frames.iter().take(MOST_FRAMES).map(frame_told).collect();
    if frames.len() > MOST_FRAMES {
        told.push(format!("{} more frames", frames.len() - MOST_FRAMES));
    }
    match told.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{}, and {last}", rest.join(", ")),
        _ => told.concat(),
    }
}

/// A frame, with what is unusual about it.
fn frame_told(frame: &Frame) -> String {
    let kind = match frame.opcode {
        opcode::CONTINUATION => "a continuation".into(),
        opcode::TEXT => "text".into(),
        opcode::BINARY => "a binary frame".into(),
        opcode::CLOSE => match frame.payload.as_slice() {
            [high, low, ..] => format!("a Close frame {}", u16::from_be_bytes([*high, *low])),
            _ => "a Close frame without a code".into(),
        },
        opcode::PING => "a ping".into(),
        opcode::PONG => "a pong".into(),
        other => format!("a frame with opcode {other}"),
    };
    let mut odd = vec![format!("{} octets", frame.payload.len())];
    if let Some(claim) = frame.claim {
        odd.push(format!("its header says {claim}"));
    }
    if !frame.fin {
        odd.push("FIN 0".into());
    }
    if frame.rsv > 0 {
        odd.push(format!("RSV {}", frame.rsv));
    }
    match frame.coding {
        Coding::Minimal => {}
        Coding::Sixteen => odd.push("length in 16 bits".into()),
        Coding::SixtyFour => odd.push("length in 64 bits".into()),
    }
    match frame.masking {
        Masking::ByRole => {}
        Masking::AgainstRole => odd.push("masked as its sender must not".into()),
        Masking::Key(key) => odd.push(format!("masking key {key:02x?}")),
    }
    format!("{kind} ({})", odd.join(", "))
}
