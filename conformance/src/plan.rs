//! How a server is reached, and which cases run over which version of HTTP.
//! RFC 6455 section 3; RFC 9113 section 3; RFC 8441 section 3.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use smol::future::FutureExt;

use crate::reach;
use crate::script::Peer;
use crate::suite::Suite;
use crate::target::{Target, client_tls, http2_only};

/// How a server is reached.
pub(crate) struct Dial {
    pub(crate) target: Target,
    /// TLS settings for HTTP/1.1.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    /// TLS settings for HTTP/2.
    pub(crate) http2: Option<Arc<rustls::ClientConfig>>,
}

impl Dial {
    pub(crate) const fn over(&self, http2: bool) -> Option<&Arc<rustls::ClientConfig>> {
        match http2 {
            true => self.http2.as_ref(),
            false => self.tls.as_ref(),
        }
    }
}

/// The cases of a run, by the version of HTTP.
pub(crate) struct Plan {
    pub(crate) http1: Vec<usize>,
    pub(crate) http2: Vec<usize>,
    pub(crate) notes: Vec<String>,
}

impl Suite {
    pub(crate) fn reach_http1(&self, dial: &Dial) -> Result<(), String> {
        let Dial { target, tls, .. } = dial;
        let setting = self.setting(Peer::Server, &target.path, &target.authority);
        let request = setting.of_case("reach").request();
        let silence = self.patience().silence;
        self.unless_stopped(reach::reach(target, tls.as_ref(), &request, silence))
    }

    pub(crate) fn reach_http2(&self, dial: &Dial) -> Result<(), String> {
        let silence = self.patience().silence;
        self.unless_stopped(reach::reach_http2(&dial.target, dial.over(true), silence))
    }

    fn unless_stopped(
        &self,
        reached: impl Future<Output = Result<(), String>>,
    ) -> Result<(), String> {
        let stopped = async {
            while !self.is_stopped() {
                smol::Timer::after(Duration::from_millis(50)).await;
            }
            Err("stopped".into())
        };
        smol::block_on(reached.or(stopped))
    }

    pub(crate) fn dial(&self, url: &str) -> io::Result<Dial> {
        let target: Target = url.parse().map_err(io::Error::other)?;
        let tls = target
            .secure
            .then(|| client_tls(self.roots.as_deref(), self.insecure))
            .transpose()?;
        let http2 = tls.as_deref().map(http2_only);
        Ok(Dial { target, tls, http2 })
    }

    /// Returns the cases to run over HTTP/1.1, those to run over HTTP/2, and what a reader must know of the choice.
    pub(crate) fn plan(&self, dial: &Dial) -> Plan {
        let mut plan = Plan {
            http1: self.chosen_over(Peer::Server, false),
            http2: self.chosen_over(Peer::Server, true),
            notes: Vec::new(),
        };
        // A server that is reached over HTTP/2 alone has answered no request of HTTP/1.1.
        if self.is_http2() || plan.http2.is_empty() {
            return plan;
        }
        let mut left_out = |cases: &mut Vec<usize>, version: &str, why: String| {
            let count = std::mem::take(cases).len();
            plan.notes
                .push(format!("{count} cases over {version} were left out: {why}"));
        };
        match (self.reach_http2(dial), plan.http1.is_empty()) {
            (Err(why), _) => left_out(&mut plan.http2, "HTTP/2", why),
            (Ok(()), true) => {}
            (Ok(()), false) => {
                if let Err(why) = self.reach_http1(dial) {
                    left_out(&mut plan.http1, "HTTP/1.1", why);
                }
            }
        }
        plan
    }
}
