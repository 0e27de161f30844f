//! Why there is no connection to a gateway. What goes wrong with one agent is no error: it is a report.

use std::path::PathBuf;

use thiserror::Error;

use crate::core::check::Check;

/// What keeps a run from reaching its gateway.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// Nothing listens there.
    #[error(
        "nothing answers at `{url}`, known from {from}; start the gateway with `openclaw gateway run`, or point to one with \
         Gateway(url=...) or OPENCLAW_GATEWAY_URL"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// What named that address.
        from: String,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The token or password is missing or wrong.
    #[error(
        "the gateway at `{url}` refused the credentials (`{reason}`); pass Gateway(token=...), or set \
         OPENCLAW_GATEWAY_TOKEN or `gateway.auth.token` in openclaw.json"
    )]
    Auth {
        /// Where.
        url: String,
        /// The gateway's words.
        reason: String,
    },
    /// The gateway speaks another version of the protocol.
    #[error(
        "the gateway at `{url}` does not speak protocol 4 (`{reason}`); use OpenClaw 2026.9 or a later release of this package"
    )]
    Protocol {
        /// Where.
        url: String,
        /// The gateway's words.
        reason: String,
    },
    /// The gateway has been starting for too long.
    #[error("the gateway at `{url}` was still starting after {seconds} s (`{reason}`); see its log, then try again")]
    Starting {
        /// Where.
        url: String,
        /// How long it was given.
        seconds: u64,
        /// The gateway's words.
        reason: String,
    },
    /// The token does not allow to start agents.
    #[error(
        "the gateway at `{url}` grants `{granted}` only, and starting agents needs `operator.write`; connect with a \
         token that grants it"
    )]
    NoWriteScope {
        /// Where.
        url: String,
        /// What it grants.
        granted: String,
    },
    /// What answers is no gateway, or broke off the greeting.
    #[error("what answers at `{url}` does not greet like an OpenClaw gateway (`{reason}`); check the address and port")]
    Greeting {
        /// Where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The gateway's configuration cannot be read.
    #[error("cannot read `{}` (`{reason}`); correct it, or pass Gateway(url=..., token=...)", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The token is kept where only `OpenClaw` itself can get it.
    #[error(
        "`gateway.auth.{field}` in `{}` is {problem}; pass Gateway(token=...) or set OPENCLAW_GATEWAY_TOKEN",
        .path.display()
    )]
    TokenSource {
        /// `token` or `password`.
        field: &'static str,
        /// The configuration file.
        path: PathBuf,
        /// How it is kept.
        problem: String,
    },
    /// The address is none.
    #[error("`{url}` is no address of a gateway ({problem}); expected one such as `ws://127.0.0.1:18789`")]
    Url {
        /// What was given, without what may be secret.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The token would travel in the clear.
    #[error(
        "`{url}` would send the token unencrypted to another machine; use `wss://`, a tunnel to 127.0.0.1, or \
         Gateway(allow_insecure=True)"
    )]
    Insecure {
        /// Where.
        url: String,
    },
}

impl GatewayError {
    /// The line of `parallel-agents doctor` that explains it.
    pub const fn check(&self) -> Check {
        match self {
            Self::Unreachable { .. } | Self::Starting { .. } | Self::Greeting { .. } => Check::Gateway,
            Self::Auth { .. } | Self::TokenSource { .. } => Check::Token,
            Self::Protocol { .. } => Check::Version,
            Self::NoWriteScope { .. } => Check::Scopes,
            Self::Config { .. } | Self::Url { .. } | Self::Insecure { .. } => Check::Runtime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_names_the_value_and_what_to_do_next_and_every_error_its_check() {
        let url = || "ws://h:1/".to_owned();
        let reason = || "why".to_owned();
        let path = || PathBuf::from("/c/openclaw.json");
        let cases = [
            (
                GatewayError::Unreachable { url: url(), from: "the `url` argument".into(), source: "refused".into() },
                "nothing answers at `ws://h:1/`, known from the `url` argument; start the gateway with `openclaw gateway run`, or point to one with \
                 Gateway(url=...) or OPENCLAW_GATEWAY_URL",
                Check::Gateway,
            ),
            (
                GatewayError::Auth { url: url(), reason: reason() },
                "the gateway at `ws://h:1/` refused the credentials (`why`); pass Gateway(token=...), or set \
                 OPENCLAW_GATEWAY_TOKEN or `gateway.auth.token` in openclaw.json",
                Check::Token,
            ),
            (
                GatewayError::Protocol { url: url(), reason: reason() },
                "the gateway at `ws://h:1/` does not speak protocol 4 (`why`); use OpenClaw 2026.9 or a later \
                 release of this package",
                Check::Version,
            ),
            (
                GatewayError::Starting { url: url(), seconds: 60, reason: reason() },
                "the gateway at `ws://h:1/` was still starting after 60 s (`why`); see its log, then try again",
                Check::Gateway,
            ),
            (
                GatewayError::NoWriteScope { url: url(), granted: "operator.read".to_owned() },
                "the gateway at `ws://h:1/` grants `operator.read` only, and starting agents needs `operator.write`; \
                 connect with a token that grants it",
                Check::Scopes,
            ),
            (
                GatewayError::Greeting { url: url(), reason: reason() },
                "what answers at `ws://h:1/` does not greet like an OpenClaw gateway (`why`); check the address and \
                 port",
                Check::Gateway,
            ),
            (
                GatewayError::Config { path: path(), reason: reason() },
                "cannot read `/c/openclaw.json` (`why`); correct it, or pass Gateway(url=..., token=...)",
                Check::Runtime,
            ),
            (
                GatewayError::TokenSource { field: "token", path: path(), problem: "of source `exec`".to_owned() },
                "`gateway.auth.token` in `/c/openclaw.json` is of source `exec`; pass Gateway(token=...) or set \
                 OPENCLAW_GATEWAY_TOKEN",
                Check::Token,
            ),
            (
                GatewayError::Url { url: "ftp://h".to_owned(), problem: "not ws:// or wss://" },
                "`ftp://h` is no address of a gateway (not ws:// or wss://); expected one such as \
                 `ws://127.0.0.1:18789`",
                Check::Runtime,
            ),
            (
                GatewayError::Insecure { url: url() },
                "`ws://h:1/` would send the token unencrypted to another machine; use `wss://`, a tunnel to \
                 127.0.0.1, or Gateway(allow_insecure=True)",
                Check::Runtime,
            ),
        ];
        for (error, expected, check) in cases {
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.check(), check, "{expected}");
        }
    }
}
