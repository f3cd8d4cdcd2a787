//! Writes metrics as text for Prometheus: the exposition format 0.0.4.
//! Knows no metric: the caller passes names, labels and values.

use alloc::string::String;
use core::fmt::{Display, Write};

/// The prefix of each name.
const PREFIX: &str = "sansws_";

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and restarts with the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts values by range.
    Histogram,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }

    /// The suffix of a counter's name.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

/// A text under construction.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Writes a metric without labels.
    pub fn one(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.family(kind, name, help).sample("", &[], value);
    }

    /// Starts a metric; its samples follow. `help` is one line without a backslash.
    pub fn family<'a>(&'a mut self, kind: Kind, name: &'a str, help: &str) -> Family<'a> {
        let (word, suffix) = (kind.word(), kind.suffix());
        let help = help.trim();
        // Writing to a string never fails.
        let _ = writeln!(self.0, "# HELP {PREFIX}{name}{suffix} {help}");
        let _ = writeln!(self.0, "# TYPE {PREFIX}{name}{suffix} {word}");
        Family {
            text: &mut self.0,
            name,
            suffix,
        }
    }

    /// The text as it was put together.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// A metric, with samples to follow.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
    suffix: &'static str,
}

impl Family<'_> {
    /// Writes a sample: the suffix of the name, such as `_bucket` of a histogram, labels, and the value. No label value needs an
    /// escape.
    pub fn sample(
        &mut self,
        part: &str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) -> &mut Self {
        let Self { name, suffix, .. } = self;
        let _ = write!(self.text, "{PREFIX}{name}{suffix}{part}");
        for (at, (label, is)) in labels.iter().enumerate() {
            let begin = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{begin}{label}=\"{is}\"");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_what_is_said_of_them() {
        let mut text = Exposition::default();
        text.one(Kind::Gauge, "open", " What is open.", 3);
        text.family(Kind::Counter, "closed", "What was closed.")
            .sample("", &[("code", "1000"), ("by", "peer")], 7);
        text.family(Kind::Histogram, "size", "Sizes.")
            .sample("_bucket", &[("le", "+Inf")], 1)
            .sample("_sum", &[], 2)
            .sample("_count", &[], 1);
        let want = "# HELP sansws_open What is open.\n# TYPE sansws_open gauge\nsansws_open 3\n\
            # HELP sansws_closed_total What was closed.\n# TYPE sansws_closed_total counter\n\
            sansws_closed_total{code=\"1000\",by=\"peer\"} 7\n\
            # HELP sansws_size Sizes.\n# TYPE sansws_size histogram\n\
            sansws_size_bucket{le=\"+Inf\"} 1\nsansws_size_sum 2\nsansws_size_count 1\n";
        assert_eq!(text.into_text(), want);
    }
}
