//! SOCKS5: requests a connection from a proxy, which resolves the name.
//! RFC 1928 (the protocol), RFC 1929 (name and password).
//! Knows no socket, and only the command CONNECT.
//!
//! ```text
//! client                        proxy
//! methods            ───▶
//!                    ◀───       method            need 2
//! name, password     ───▶                         (if the proxy chose it)
//!                    ◀───       status            need 2
//! connect to …       ───▶
//!                    ◀───       reply             need 5, then the rest of the bound address
//! ```

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use super::{Credentials, TunnelError, TunnelStep};

/// Why a SOCKS5 proxy did not connect (RFC 1928 section 6).
///
/// For an example see [`TunnelError`](super::TunnelError).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocksReply {
    /// 1: "general SOCKS server failure".
    General,
    /// 2: "connection not allowed by ruleset".
    NotAllowed,
    /// 3: "Network unreachable".
    NetworkUnreachable,
    /// 4: "Host unreachable"; most proxies also say it when the name is not found.
    HostUnreachable,
    /// 5: "Connection refused".
    ConnectionRefused,
    /// 6: "TTL expired".
    TtlExpired,
    /// 7: "Command not supported".
    Command,
    /// 8: "Address type not supported".
    AddressType,
    /// Any other number.
    Other(u8),
}

impl SocksReply {
    const fn from_wire(reply: u8) -> Self {
        match reply {
            1 => Self::General,
            2 => Self::NotAllowed,
            3 => Self::NetworkUnreachable,
            4 => Self::HostUnreachable,
            5 => Self::ConnectionRefused,
            6 => Self::TtlExpired,
            7 => Self::Command,
            8 => Self::AddressType,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for SocksReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::General => "it failed",
            Self::NotAllowed => "its rules do not allow it",
            Self::NetworkUnreachable => "the network is unreachable",
            Self::HostUnreachable => "the host is unreachable",
            Self::ConnectionRefused => "the connection was refused",
            Self::TtlExpired => "the TTL expired",
            Self::Command => "it does not know the command",
            Self::AddressType => "it does not know this type of address",
            Self::Other(reply) => return write!(f, "it gave the reply {reply}"),
        })
    }
}

/// A client of a SOCKS5 proxy.
#[derive(Clone)]
pub(super) struct Socks5 {
    stage: Stage,
    output: Vec<u8>,
    written: usize,
    /// The received part of the expected answer.
    input: Vec<u8>,
    /// The later messages.
    login: Option<Vec<u8>>,
    request: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Method,
    Status,
    Reply,
    Open,
}

impl fmt::Debug for Socks5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socks5({:?})", self.stage)
    }
}

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const V4: u8 = 1;
const NAME: u8 = 3;
const V6: u8 = 4;

impl Socks5 {
    /// Requests a connection to `host`: an address, or a name of 1 to 255 bytes that the proxy resolves.
    ///
    /// Name and password of [`Credentials`] have 1 to 255 bytes each; without them no authentication is offered.
    pub fn new(
        host: &str,
        port: u16,
        credentials: Option<&Credentials>,
    ) -> Result<Self, TunnelError> {
        let mut request = alloc::vec![VERSION, CONNECT, 0];
        match host.parse() {
            Ok(IpAddr::V4(address)) => {
                request.push(V4);
                request.extend_from_slice(&address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                request.push(V6);
                request.extend_from_slice(&address.octets());
            }
            Err(_) if host.bytes().all(|byte| byte.is_ascii_graphic()) => {
                request.push(NAME);
                push_counted(&mut request, host).ok_or(TunnelError::Host)?;
            }
            Err(_) => return Err(TunnelError::Host),
        }
        request.extend_from_slice(&port.to_be_bytes());
        let login = credentials.map(|Credentials { user, password }| {
            // RFC 1929 2: VER, ULEN, UNAME, PLEN, PASSWD; "the current version of the subnegotiation, which is X'01'"
            let mut login = alloc::vec![1];
            push_counted(&mut login, user)
                .and_then(|()| push_counted(&mut login, password))
                .map(|()| login)
                .ok_or(TunnelError::Credentials)
        });
        let login = login.transpose()?;
        let output = match login {
            Some(_) => alloc::vec![VERSION, 2, NO_AUTHENTICATION, PASSWORD],
            None => alloc::vec![VERSION, 1, NO_AUTHENTICATION],
        };
        Ok(Self {
            stage: Stage::Method,
            output,
            written: 0,
            input: Vec::new(),
            login,
            request,
        })
    }

    /// Returns the bytes to write.
    pub fn output(&self) -> &[u8] {
        self.output.get(self.written..).unwrap_or_default()
    }

    /// Reports that so many bytes of the output were written.
    pub const fn written(&mut self, count: usize) {
        self.written = self.written.saturating_add(count);
    }

    /// Returns the maximum number of bytes to read next; fewer will do. 0 once it is open.
    pub fn need(&self) -> usize {
        self.length().saturating_sub(self.input.len())
    }

    /// Takes the bytes that were read, as [`ProxyHandshake::receive`](super::ProxyHandshake::receive) does.
    pub fn receive(&mut self, input: &[u8]) -> Result<TunnelStep, TunnelError> {
        if input.is_empty() {
            return Err(TunnelError::EndOfInput);
        }
        if input.len() > self.need() {
            return Err(TunnelError::Early);
        }
        self.input.extend_from_slice(input);
        match (self.stage, self.input.as_slice()) {
            (Stage::Method | Stage::Reply, [version, ..]) if *version != VERSION => {
                Err(TunnelError::Malformed)
            }
            (Stage::Method, [_, NO_AUTHENTICATION]) => {
                self.login = None;
                Ok(self.ask())
            }
            (Stage::Method, [_, PASSWORD]) => match self.login.take() {
                Some(login) => {
                    self.turn(Stage::Status, login);
                    Ok(TunnelStep::More)
                }
                None => Err(TunnelError::Malformed),
            },
            // RFC 1928 3: "If the selected METHOD is X'FF', none of the methods listed by the client are acceptable"
            (Stage::Method, [_, NO_METHOD]) => Err(TunnelError::NoMethod),
            (Stage::Method, [_, _]) => Err(TunnelError::Malformed),
            // RFC 1929 2: "A STATUS field of X'00' indicates success." Proxies differ in the version that precedes it.
            (Stage::Status, [_, 0]) => Ok(self.ask()),
            (Stage::Status, [_, _]) => Err(TunnelError::Unauthorized),
            // Some proxies end the connection right after the number.
            (Stage::Reply, [_, reply, ..]) if *reply != 0 => {
                Err(TunnelError::Failed(SocksReply::from_wire(*reply)))
            }
            (Stage::Reply, [_, _, _, kind, ..]) if ![V4, NAME, V6].contains(kind) => {
                Err(TunnelError::Malformed)
            }
            (Stage::Reply, reply) if reply.len() == self.length() => {
                self.turn(Stage::Open, Vec::new());
                Ok(TunnelStep::Open)
            }
            (Stage::Method | Stage::Status | Stage::Reply | Stage::Open, _) => Ok(TunnelStep::More),
        }
    }

    fn ask(&mut self) -> TunnelStep {
        let request = core::mem::take(&mut self.request);
        self.turn(Stage::Reply, request);
        TunnelStep::More
    }

    fn turn(&mut self, stage: Stage, output: Vec<u8>) {
        (self.stage, self.output, self.written) = (stage, output, 0);
        self.input.clear();
    }

    /// Returns the length of the expected answer, as far as known.
    fn length(&self) -> usize {
        match (self.stage, self.input.as_slice()) {
            (Stage::Method | Stage::Status, _) => 2,
            // RFC 1928 6: VER, REP, RSV, ATYP, BND.ADDR, BND.PORT
            (Stage::Reply, [_, _, _, V4, _, ..]) => 4 + 4 + 2,
            (Stage::Reply, [_, _, _, V6, _, ..]) => 4 + 16 + 2,
            (Stage::Reply, [_, _, _, NAME, length, ..]) => 4 + 1 + usize::from(*length) + 2,
            // The shortest reply is longer: these bytes may be read.
            (Stage::Reply, _) => 5,
            (Stage::Open, _) => 0,
        }
    }
}

/// A length byte, and then so many bytes. `None` unless there are 1 to 255.
fn push_counted(out: &mut Vec<u8>, text: &str) -> Option<()> {
    let count = u8::try_from(text.len()).ok().filter(|count| *count > 0)?;
    out.push(count);
    out.extend_from_slice(text.as_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn login() -> Credentials {
        Credentials {
            user: "me".to_string(),
            password: "secret".to_string(),
        }
    }

    /// Plays a conversation; each answer as a whole as far as it may be read, or byte by byte.
    fn play(
        socks: &mut Socks5,
        answers: &[u8],
        most: usize,
    ) -> (Vec<u8>, Result<TunnelStep, TunnelError>) {
        let (mut said, mut rest) = (Vec::new(), answers);
        loop {
            said.extend_from_slice(socks.output());
            socks.written(socks.output().len());
            let (now, later) = rest.split_at(socks.need().min(most).min(rest.len()));
            rest = later;
            match socks.receive(now) {
                Ok(TunnelStep::More) => {}
                Ok(TunnelStep::Open) if !rest.is_empty() => return (said, Err(TunnelError::Early)),
                end => return (said, end),
            }
        }
    }

    #[test]
    fn conversations() {
        const OPEN: Result<TunnelStep, TunnelError> = Ok(TunnelStep::Open);
        const CUT: Result<TunnelStep, TunnelError> = Err(TunnelError::EndOfInput);
        let failed = |reply| Err(TunnelError::Failed(reply));
        let cases: &[(&str, bool, &[u8], Result<TunnelStep, TunnelError>)] = &[
            (
                "open, IPv4",
                false,
                b"\x05\0\x05\0\0\x01\x7f\0\0\x01\0\x50",
                OPEN,
            ),
            (
                "open, IPv6",
                false,
                b"\x05\0\x05\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50",
                OPEN,
            ),
            ("open, name", false, b"\x05\0\x05\0\0\x03\x01a\0\x50", OPEN),
            (
                "open, empty name",
                false,
                b"\x05\0\x05\0\0\x03\0\0\x50",
                OPEN,
            ),
            (
                "open, with a password",
                true,
                b"\x05\x02\x01\0\x05\0\0\x01\0\0\0\0\0\0",
                OPEN,
            ),
            (
                "status of another version",
                true,
                b"\x05\x02\x05\0\x05\0\0\x01\0\0\0\0\0\0",
                OPEN,
            ),
            (
                "password not wanted",
                true,
                b"\x05\0\x05\0\0\x01\0\0\0\0\0\0",
                OPEN,
            ),
            (
                "nothing is read past the end",
                false,
                b"\x05\0\x05\0\0\x03\x01a\0\x50!",
                Err(TunnelError::Early),
            ),
            (
                "password not accepted",
                true,
                b"\x05\x02\x01\x01",
                Err(TunnelError::Unauthorized),
            ),
            (
                "password not offered",
                false,
                b"\x05\x02",
                Err(TunnelError::Malformed),
            ),
            ("no method", false, b"\x05\xff", Err(TunnelError::NoMethod)),
            (
                "a method that was not offered",
                true,
                b"\x05\x01",
                Err(TunnelError::Malformed),
            ),
            ("SOCKS4", false, b"\0\x5a", Err(TunnelError::Malformed)),
            (
                "HTTP",
                false,
                b"HTTP/1.1 400 Bad",
                Err(TunnelError::Malformed),
            ),
            (
                "reply of another version",
                false,
                b"\x05\0\x04\0",
                Err(TunnelError::Malformed),
            ),
            (
                "address of no type",
                false,
                b"\x05\0\x05\0\0\x02\0",
                Err(TunnelError::Malformed),
            ),
            (
                "1",
                false,
                b"\x05\0\x05\x01\0\x01\0\0\0\0\0\0",
                failed(SocksReply::General),
            ),
            (
                "2",
                false,
                b"\x05\0\x05\x02",
                failed(SocksReply::NotAllowed),
            ),
            (
                "3",
                false,
                b"\x05\0\x05\x03",
                failed(SocksReply::NetworkUnreachable),
            ),
            (
                "4",
                false,
                b"\x05\0\x05\x04",
                failed(SocksReply::HostUnreachable),
            ),
            (
                "5",
                false,
                b"\x05\0\x05\x05",
                failed(SocksReply::ConnectionRefused),
            ),
            (
                "6",
                false,
                b"\x05\0\x05\x06",
                failed(SocksReply::TtlExpired),
            ),
            ("7", false, b"\x05\0\x05\x07", failed(SocksReply::Command)),
            (
                "8",
                false,
                b"\x05\0\x05\x08",
                failed(SocksReply::AddressType),
            ),
            ("9", false, b"\x05\0\x05\x09", failed(SocksReply::Other(9))),
            ("silence", false, b"", CUT),
            ("cut", false, b"\x05\0\x05\0\0\x01\0\0\0", CUT),
        ];
        for (name, with, answers, want) in cases {
            let login = login();
            for most in [usize::MAX, 3, 1] {
                let mut socks = Socks5::new("a.example", 80, with.then_some(&login)).unwrap();
                let (said, got) = play(&mut socks, answers, most);
                assert_eq!(got, *want, "{name}, {most}");
                if got == OPEN {
                    assert!(
                        said.ends_with(b"\x05\x01\0\x03\x09a.example\0\x50"),
                        "{name}"
                    );
                    let asked = *with && answers.get(1) == Some(&PASSWORD);
                    assert_eq!(
                        said.windows(11).any(|part| part == b"\x01\x02me\x06secret"),
                        asked
                    );
                }
            }
        }
    }

    #[test]
    fn requests_of_every_kind() {
        let request = |host: &str| {
            let mut socks = Socks5::new(host, 258, None)?;
            socks.written(3);
            socks.receive(&[5, 0]).map(|_| socks.output().to_vec())
        };
        assert_eq!(
            request("192.0.2.1").unwrap(),
            [5, 1, 0, 1, 192, 0, 2, 1, 1, 2]
        );
        let v6 = [
            5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2,
        ];
        assert_eq!(request("::1").unwrap(), v6);
        assert!(request(&"a".repeat(255)).is_ok());
        for bad in ["", "a b", "\u{e4}", "a\0", &"a".repeat(256)] {
            assert_eq!(request(bad), Err(TunnelError::Host), "{bad}");
        }
        for (user, password) in [("", "a"), ("a", ""), (&*"a".repeat(256), "a")] {
            let (user, password) = (user.to_string(), password.to_string());
            let bad = Socks5::new("a", 1, Some(&Credentials { user, password }));
            assert_eq!(bad.map(|_| ()), Err(TunnelError::Credentials));
        }
    }
}
