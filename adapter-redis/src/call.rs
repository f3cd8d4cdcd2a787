//! Commands for Redis: those of scripts have arguments, and fall back to the script's code.
//! Knows no request.

use redis::{Arg, Cmd, Script, cmd};

/// The kind of answer to each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Done,
    /// Done, unless the incarnation was given up.
    Incarnation,
    Position,
    Published,
    Kept,
    Presence,
    Groups,
    Beat,
}

/// A script, and the name under which Redis keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) code: &'static str,
    hash: String,
}

impl Known {
    pub(crate) fn new(code: &'static str) -> Self {
        let hash = Script::new(code).get_hash().to_owned();
        Self { code, hash }
    }
}

/// A command, and the code of its script, in case Redis does not know it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) command: Cmd,
    code: Option<&'static str>,
    pub(crate) expect: Expect,
}

impl Call {
    pub(crate) fn plain(command: Cmd) -> Self {
        Self {
            command,
            code: None,
            expect: Expect::Done,
        }
    }

    /// Returns its first key, or its channel.
    pub(crate) fn subject(&self) -> String {
        let at = if self.code.is_some() { 3 } else { 1 };
        match self.command.args_iter().nth(at) {
            Some(Arg::Simple(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    /// Returns the call with the code of the script in it.
    pub(crate) fn with_code(&self) -> Option<Cmd> {
        let mut command = cmd("EVAL");
        command.arg(self.code?);
        for argument in self.command.args_iter().skip(2) {
            if let Arg::Simple(bytes) = argument {
                command.arg(bytes);
            }
        }
        Some(command)
    }
}

/// The arguments of a script.
pub(crate) struct Arguments {
    pub(crate) keys: Vec<String>,
    rest: Vec<Vec<u8>>,
}

impl Arguments {
    pub(crate) fn new<const N: usize>(keys: [String; N]) -> Self {
        Self {
            keys: keys.into(),
            rest: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, argument: impl Into<Vec<u8>>) -> Self {
        self.rest.push(argument.into());
        self
    }

    pub(crate) fn number(self, number: u64) -> Self {
        self.with(number.to_string())
    }

    pub(crate) fn flag(self, flag: bool) -> Self {
        self.with(if flag { "1" } else { "0" })
    }

    pub(crate) fn epoch(self, epoch: u64) -> Self {
        self.with(epoch.to_be_bytes())
    }

    pub(crate) fn call(self, script: &Known, expect: Expect) -> Call {
        let mut command = cmd("EVALSHA");
        command
            .arg(&script.hash)
            .arg(self.keys.len())
            .arg(&self.keys);
        for argument in &self.rest {
            command.arg(argument.as_slice());
        }
        Call {
            command,
            code: Some(script.code),
            expect,
        }
    }
}

/// Returns whether the answer is the confirmation of a subscription, or of its end.
pub(crate) fn is_subscription(command: &Cmd) -> bool {
    let word = command.args_iter().next();
    matches!(word, Some(Arg::Simple(word)) if word.ends_with(b"SUBSCRIBE"))
}
