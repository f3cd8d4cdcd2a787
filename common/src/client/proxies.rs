//! Proxies by the environment variables that curl and most clients obey.
//! They have no RFC; where implementations differ, curl's manual decides.
//! Knows no socket: names are compared as text, and are not looked up.

use std::net::IpAddr;

use sansws_core::error::InvalidInput;
use sansws_core::http::Url;
use sansws_core::proxy::Proxy;

/// The proxies for `ws://` and `wss://` servers, and the servers that are reached without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyVariables {
    plain: Option<Proxy>,
    secure: Option<Proxy>,
    direct: Vec<Direct>,
}

/// An entry of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Direct {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    /// `*`
    All,
    /// A name, and all names that end with it after a dot.
    Domain(String),
    /// An address, and the number of its leading bits that matter.
    Network(IpAddr, u8),
}

impl ProxyVariables {
    /// Reads the variables through `variable`; empty ones count as absent.
    ///
    /// # Errors
    /// [`InvalidInput::ProxyVariable`] with the name of one that is no URL of a proxy.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidInput> {
        let first = |names: &[&'static str]| {
            let found = names.iter().find_map(|name| {
                let value = variable(name)?;
                let value = value.trim();
                (!value.is_empty()).then(|| (*name, value.to_owned()))
            });
            found.map(|(name, value)| match value.contains("://") {
                true => value.parse().map_err(|_| InvalidInput::ProxyVariable(name)),
                false => format!("http://{value}")
                    .parse()
                    .map_err(|_| InvalidInput::ProxyVariable(name)),
            })
        };
        let bypassed = variable("no_proxy").or_else(|| variable("NO_PROXY"));
        let entries = bypassed.as_deref().unwrap_or_default();
        let entries = entries.split([',', ' ']).map(str::trim);
        Ok(Self {
            // A CGI program's HTTP_PROXY is a header field of its client: curl reads the lower-case name only.
            plain: first(&["http_proxy", "all_proxy", "ALL_PROXY"]).transpose()?,
            secure: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]).transpose()?,
            direct: entries
                .filter(|entry| !entry.is_empty())
                .map(Direct::parse)
                .collect(),
        })
    }

    /// Returns the proxy that leads to the server of `url`; `None` to connect directly.
    pub fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.is_secure() {
            &self.secure
        } else {
            &self.plain
        };
        let proxy = proxy.as_ref()?;
        let is_direct = self.direct.iter().any(|direct| direct.covers(url));
        (!is_direct).then_some(proxy)
    }
}

impl Direct {
    /// Every text is an entry: one that is neither `*` nor an address is a name.
    fn parse(entry: &str) -> Self {
        if entry == "*" {
            return Self {
                hosts: Hosts::All,
                port: None,
            };
        }
        if let Some(hosts) = Hosts::network(entry) {
            return Self { hosts, port: None };
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (entry, None),
            },
            None => (entry, None),
        };
        let hosts = Hosts::network(host).unwrap_or_else(|| {
            let name = host.trim_start_matches("*.").trim_matches('.');
            Hosts::Domain(name.to_ascii_lowercase())
        });
        Self { hosts, port }
    }

    fn covers(&self, url: &Url) -> bool {
        if self.port.is_some_and(|port| port != url.port()) {
            return false;
        }
        let host = url.host().trim_end_matches('.');
        match &self.hosts {
            Hosts::All => true,
            Hosts::Domain(name) => {
                let host = host.to_ascii_lowercase();
                let rest = host.strip_suffix(name.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Hosts::Network(network, bits) => host
                .parse()
                .is_ok_and(|address: IpAddr| prefix(address, *bits) == prefix(*network, *bits)),
        }
    }
}

impl Hosts {
    /// Parses an address, with or without brackets or the length of a prefix.
    fn network(entry: &str) -> Option<Self> {
        let (address, bits) = match entry.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (entry, None),
        };
        let bare = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let address: IpAddr = bare.unwrap_or(address).parse().ok()?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(all);
        (bits <= all).then_some(Self::Network(address, bits))
    }
}

/// Returns the leading bits of an address, and whether it is one of version 4.
fn prefix(address: IpAddr, bits: u8) -> (bool, u128) {
    let (is_v4, value) = match address {
        IpAddr::V4(address) => (true, u128::from(address.to_bits()) << 96),
        IpAddr::V6(address) => (false, address.to_bits()),
    };
    let drop = 128 - u32::from(bits.min(128));
    (is_v4, value.checked_shr(drop).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<ProxyVariables, InvalidInput> {
        ProxyVariables::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let variables = read(variables).unwrap();
        let proxy = variables.proxy_for(&url.parse().unwrap());
        proxy.map(ToString::to_string)
    }

    #[test]
    fn the_variable_of_the_scheme_comes_first() {
        let all = [
            ("http_proxy", "http://plain:3128"),
            ("https_proxy", "secure:3129"),
            ("ALL_PROXY", "socks5://all"),
        ];
        let cases = [
            (&all[..], "ws://a/", Some("http://plain:3128")),
            (&all[..], "wss://a/", Some("http://secure:3129")),
            (&all[2..], "ws://a/", Some("socks5://all:1080")),
            (&all[2..], "wss://a/", Some("socks5://all:1080")),
            (&all[..1], "wss://a/", None),
            (&[("HTTP_PROXY", "http://cgi")], "ws://a/", None),
            (
                &[("HTTPS_PROXY", "https://up")],
                "wss://a/",
                Some("https://up:443"),
            ),
            (
                &[("https_proxy", " "), ("HTTPS_PROXY", "up")],
                "wss://a/",
                Some("http://up:80"),
            ),
            (&[], "ws://a/", None),
        ];
        for (variables, url, want) in cases {
            assert_eq!(
                chosen(variables, url).as_deref(),
                want,
                "{variables:?} {url}"
            );
        }
    }

    #[test]
    fn no_proxy_names_hosts_domains_networks_and_ports() {
        let cases = [
            ("*", "ws://anything/", true),
            ("example.org", "ws://example.org/", true),
            ("example.org", "ws://EXAMPLE.org.:80/", true),
            ("example.org", "ws://www.example.org/", true),
            ("example.org", "ws://badexample.org/", false),
            (".example.org", "ws://example.org/", true),
            ("*.example.org", "ws://a.example.org/", true),
            ("a, example.org ,b", "ws://example.org/", true),
            ("a b", "ws://b/", true),
            ("example.org:8080", "ws://example.org:8080/", true),
            ("example.org:8080", "ws://example.org/", false),
            ("127.0.0.1", "ws://127.0.0.1:9/", true),
            ("127.0.0.1:9", "ws://127.0.0.1:9/", true),
            ("127.0.0.1:9", "ws://127.0.0.1/", false),
            ("127.0.0.0/8", "ws://127.9.9.9/", true),
            ("127.0.0.0/8", "ws://128.0.0.1/", false),
            ("10.1.2.0/23", "ws://10.1.3.4/", true),
            ("10.1.2.0/23", "ws://10.1.4.4/", false),
            ("0.0.0.0/0", "ws://8.8.8.8/", true),
            ("0.0.0.0/0", "ws://[::1]/", false),
            ("::1", "ws://[::1]/", true),
            ("[::1]", "ws://[::1]/", true),
            ("[::1]:81", "ws://[::1]:81/", true),
            ("fd00::/8", "ws://[fd12::1]/", true),
            ("fd00::/8", "ws://[fe80::1]/", false),
            ("10.0.0.0/99", "ws://10.0.0.1/", false),
            ("", "ws://a/", false),
            (",,", "ws://a/", false),
        ];
        for (entries, url, is_direct) in cases {
            let variables = [("http_proxy", "p"), ("no_proxy", entries)];
            assert_eq!(
                chosen(&variables, url).is_none(),
                is_direct,
                "{entries} {url}"
            );
        }
    }

    #[test]
    fn a_variable_that_is_no_proxy_is_named() {
        for (name, value) in [
            ("http_proxy", "ftp://a"),
            ("https_proxy", "http://a/path"),
            ("all_proxy", "socks4://a"),
        ] {
            let Err(error) = read(&[(name, value)]) else {
                panic!("{name}={value}");
            };
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
