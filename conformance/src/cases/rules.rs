//! Sentences of the RFCs that many families stand on, as literals for `concat!`.
//! RFC 6455 sections 6.2 and 10.7; RFC 7692 section 7.2.2.

/// The required outcome of a message.
macro_rules! parsed {
    () => {
        "RFC 6455 6.2: \"Incoming data MUST be parsed as WebSocket frames as defined in Section 5.2.\""
    };
}

/// The required reaction to invalid framing.
macro_rules! validated {
    () => {
        "RFC 6455 10.7: \"Incoming data MUST always be validated by both clients and servers.\""
    };
}

/// The window that a compressed message may refer to.
macro_rules! window_kept {
    () => {
        "RFC 7692 7.2.2: unless \"client_no_context_takeover\" was agreed on, \"the server MUST decompress each new message using the LZ77 sliding window used to process the last compressed message\"; so must the client."
    };
}

/// The required reaction of a server to a valid request.
macro_rules! accepts {
    () => {
        "RFC 6455 4.2.2: \"When a client establishes a WebSocket connection to a server, the server MUST complete the following steps to accept the connection and send the server's opening handshake.\""
    };
}

/// The rule for choosing parameters of extensions.
macro_rules! agreed {
    () => {
        "RFC 6455 9: \"If extension parameters are included in negotiations between the client and the server, those parameters MUST be chosen in accordance with the specification of the extension to which the parameters apply.\""
    };
}

pub(super) use {accepts, agreed, parsed, validated, window_kept};
