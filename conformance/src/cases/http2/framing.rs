//! Cases 32.6: frames that break HTTP/2, beside a WebSocket.
//! RFC 9113 sections 4 to 6. A connection error may end the connection in any way.

use super::{head_frame, in_parts, key, opened, ping};
use crate::case::{Case, case};
use crate::frame::{binary, text};
use crate::http2::wire::{self, Frame, MAIN, data, flag, frame, kind};
use crate::script::{Peer, Setting, Want};

const SIZE: &str = "RFC 9113 4.2: \"An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame exceeds the size defined in SETTINGS_MAX_FRAME_SIZE, exceeds any limit defined for the frame type, or is too small to contain mandatory frame data.\"";
const ZERO: &str = "RFC 9113 6.1: \"If a DATA frame is received whose Stream Identifier field is 0x00, the recipient MUST respond with a connection error (Section 5.4.1) of type PROTOCOL_ERROR.\"";
const PADDING: &str = "RFC 9113 6.1: \"If the length of the padding is the length of the frame payload or greater, the recipient MUST treat this as a connection error (Section 5.4.1) of type PROTOCOL_ERROR.\"";
const WINDOW: &str = "RFC 9113 6.9.1: \"A sender MUST NOT allow a flow-control window to exceed 2^31-1 octets.\" A receiver of more \"MUST terminate either the stream or the connection\".";
const NOTHING: &str = "RFC 9113 6.9: \"A receiver MUST treat the receipt of a WINDOW_UPDATE frame with a flow-control window increment of 0 as a stream error (Section 5.4.2) of type PROTOCOL_ERROR\".";
const WHOLE: &str = "RFC 9113 6.2: \"A receiver MUST treat the receipt of any other type of frame or a frame on a different stream as a connection error (Section 5.4.1) of type PROTOCOL_ERROR.\"";
const IDLE: &str = "RFC 9113 6.4: \"If a RST_STREAM frame identifying an idle stream is received, the recipient MUST treat this as a connection error (Section 5.4.1) of type PROTOCOL_ERROR.\"";
const BLOCK: &str = "RFC 9113 4.3: \"A receiver MUST terminate the connection with a connection error (Section 5.4.1) of type COMPRESSION_ERROR if it does not decompress a field block.\"";
const SETTINGS: &str = "RFC 9113 6.5: \"A SETTINGS frame with a length other than a multiple of 6 octets MUST be treated as a connection error (Section 5.4.1) of type FRAME_SIZE_ERROR.\"";
const ACK: &str = "RFC 9113 6.5: \"Receipt of a SETTINGS frame with the ACK flag set and a length field value other than 0 MUST be treated as a connection error (Section 5.4.1) of type FRAME_SIZE_ERROR.\"";
const CLOSED: &str = "RFC 9113 5.1: on a stream that is half-closed (remote) an endpoint that receives DATA \"MUST respond with a stream error (Section 5.4.2) of type STREAM_CLOSED\".";

const ENDS: &str = "The stream ends, or the connection.";

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let mut bad =
        |id: &'static str, does: &'static str, rule, frames: fn(&Setting) -> Vec<Frame>| {
            all.push(case(id, does, ENDS, rule, move |setting: &Setting| {
                opened(setting)
                    .send([text("Hello")])
                    .echo_text("Hello")
                    .frames(frames(setting))
                    .expect(Want::Fail(&[]))
            }));
        };
    bad(
        "32.6.1",
        "Send a DATA frame that is longer than SETTINGS_MAX_FRAME_SIZE, with a whole message in it.",
        SIZE,
        |setting| {
            let mut bytes = Vec::new();
            binary(vec![0; 16_384]).write(key(setting), &mut bytes);
            vec![data(MAIN, bytes)]
        },
    );
    bad("32.6.2", "Send a PING frame of 7 octets.", SIZE, |_| {
        vec![frame(kind::PING, 0, 0, "7 octet")]
    });
    bad("32.6.3", "Send DATA on stream 0.", ZERO, |_| {
        vec![data(0, "Hello")]
    });
    bad(
        "32.6.4",
        "Send DATA whose padding is longer than the frame.",
        PADDING,
        |_| vec![data(MAIN, "\u{7f}abc").flags(flag::PADDED)],
    );
    bad(
        "32.6.5",
        "Enlarge the window of the stream beyond 2^31-1.",
        WINDOW,
        |_| vec![wire::window_update(MAIN, 0x7fff_ffff); 2],
    );
    bad(
        "32.6.6",
        "Send a WINDOW_UPDATE of 0 for the stream.",
        NOTHING,
        |_| vec![wire::window_update(MAIN, 0)],
    );
    bad(
        "32.6.7",
        "Send RST_STREAM for a stream that nobody has opened.",
        IDLE,
        // RFC 9113 5.1.1: a client's streams are odd, a server's even.
        |setting| {
            let stream = match setting.peer {
                Peer::Server => 99,
                Peer::Client => 98,
            };
            vec![wire::reset(stream, 8)]
        },
    );
    bad("32.6.8", "Send SETTINGS of 5 octets.", SETTINGS, |_| {
        vec![frame(kind::SETTINGS, 0, 0, "5 oct")]
    });
    bad("32.6.9", "Acknowledge SETTINGS with 6 octets.", ACK, |_| {
        vec![frame(kind::SETTINGS, flag::ACK, 0, "6 octe")]
    });
    let mut servers = Vec::new();
    let mut bad =
        |id: &'static str, does: &'static str, rule, frames: fn(&Setting) -> Vec<Frame>| {
            servers.push(
                case(id, does, ENDS, rule, move |setting: &Setting| {
                    opened(setting)
                        .send([text("Hello")])
                        .echo_text("Hello")
                        .frames(frames(setting))
                        .expect(Want::Fail(&[]))
                })
                .for_servers(),
            );
        };
    bad(
        "32.6.10",
        "Send a PING between HEADERS and CONTINUATION.",
        WHOLE,
        |setting| {
            let mut frames = in_parts(3, &setting.connect(), 40);
            frames.insert(1, ping());
            frames
        },
    );
    bad(
        "32.6.11",
        "Send HEADERS that are no HPACK.",
        BLOCK,
        |setting| {
            let mut frame = head_frame(3, &setting.connect());
            frame.payload = vec![0xff; 20];
            vec![frame]
        },
    );
    all.extend(servers);
    all.push(
        case(
            "32.6.12",
            "End our side of the stream, and send DATA on it.",
            ENDS,
            CLOSED,
            |setting| {
                let end = data(MAIN, "").flags(flag::END_STREAM);
                opened(setting)
                    .send([text("Hello")])
                    .echo_text("Hello")
                    .frames([end, data(MAIN, "more")])
                    .expect(Want::Fail(&[]))
            },
        )
        .for_servers(),
    );
    all
}
