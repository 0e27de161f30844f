//! Which gateway is meant: what the caller says, and what is found where he says nothing.
//!
//! Address: argument, `OPENCLAW_GATEWAY_URL`, `OPENCLAW_GATEWAY_PORT`, `gateway.port` in openclaw.json, 18789. Token:
//! argument, `OPENCLAW_GATEWAY_TOKEN` or `_PASSWORD`, `gateway.auth` in openclaw.json, `.env` in the state folder.
//! Reads the surroundings only through [`Surroundings`]; opens no connection but for [`Endpoint::probe`].

use std::fmt;
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio_tungstenite::tungstenite::http::Uri;

use super::error::GatewayError;
use crate::core::output::{NAME_CHARS, abridged};

/// The port that a gateway listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 18789;

/// What `openclaw config get` prints in place of a secret.
const REDACTED: &str = "__OPENCLAW_REDACTED__";

const TOKEN_VARIABLES: [&str; 2] = ["OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD"];

/// Where the address comes from if nothing names one.
const NOWHERE: &str =
    "the default port (no OPENCLAW_GATEWAY_URL, OPENCLAW_GATEWAY_PORT or openclaw.json names another)";

/// How deep openclaw.json may nest: its reader follows it down with no bound of its own.
const DEPTH_MAX: usize = 500;

/// How long [`Endpoint::probe`] waits for a connection.
const PROBE_PATIENCE: Duration = Duration::from_millis(300);

/// A token or password. Shows itself nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the handshake only.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// How agents are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Path {
    /// By the `agent` call: no configuration needed, one call per agent.
    #[default]
    Agent,
    /// By the `sessions_spawn` tool: child sessions of a parent; needs `gateway.tools.allow`.
    Spawn,
}

/// What the caller says about the gateway. The default finds it by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Its address, `ws://` or `wss://`. Default: found.
    pub url: Option<String>,
    /// Its token or password. Default: found.
    pub token: Option<Secret>,
    /// How agents are started.
    pub path: Path,
    /// Whether the token may travel unencrypted to another machine.
    pub allow_insecure: bool,
    /// The configured agent that the runs belong to. Default `main`.
    pub agent_id: String,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self { url: None, token: None, path: Path::default(), allow_insecure: false, agent_id: "main".to_owned() }
    }
}

/// Environment and files, as far as they matter here.
pub struct Surroundings<'a> {
    /// A variable's value.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// A file's text; `None` if there is no such file.
    pub file: &'a dyn Fn(&FilePath) -> std::io::Result<Option<String>>,
}

impl Surroundings<'static> {
    /// Those of this process.
    pub fn real() -> Self {
        Self {
            variable: &|name| std::env::var(name).ok(),
            file: &|path| match std::fs::read_to_string(path) {
                Ok(text) => Ok(Some(text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
        }
    }
}

impl Surroundings<'_> {
    fn set(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.trim().is_empty())
    }

    /// The folder in which OpenClaw keeps its state.
    pub fn state_folder(&self) -> PathBuf {
        match self.set("OPENCLAW_STATE_DIR") {
            Some(folder) => folder.into(),
            None => PathBuf::from(self.set("OPENCLAW_HOME").or_else(|| self.set("HOME")).unwrap_or_default())
                .join(".openclaw"),
        }
    }

    /// Whether something says where that is. Without a home it would be a folder of whatever project a process works in.
    pub fn is_state_known(&self) -> bool {
        self.state_folder() != *".openclaw"
    }

    /// Ours in it.
    pub fn own_folder(&self) -> PathBuf {
        self.state_folder().join("parallel-agents")
    }

    /// OpenClaw's configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.set("OPENCLAW_CONFIG_PATH").map_or_else(|| self.state_folder().join("openclaw.json"), PathBuf::from)
    }

    /// What openclaw.json holds at `pointer`, as RFC 6901 writes it, if it holds anything there.
    pub fn configured(&self, pointer: &str) -> Result<Option<Value>, GatewayError> {
        let mut file = ConfigFile { surroundings: self, path: self.config_path(), value: None };
        Ok(file.get(pointer)?.filter(|value| !value.is_null()).cloned())
    }

    fn read(&self, path: &FilePath) -> Result<Option<String>, GatewayError> {
        (self.file)(path).map_err(|error| GatewayError::Config { path: path.into(), reason: error.to_string() })
    }

    /// A variable of `.env` in the state folder: `NAME=value`, quotes and `export` allowed.
    fn dotenv(&self, name: &str) -> Result<Option<String>, GatewayError> {
        let text = self.read(&self.state_folder().join(".env"))?.unwrap_or_default();
        let value = text.lines().find_map(|line| {
            let line = line.trim();
            let (key, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
            (key.trim() == name).then(|| value.trim().trim_matches(['"', '\'']).to_owned())
        });
        Ok(value.filter(|value| !value.is_empty()))
    }
}

/// The gateway that will be used, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub url: String,
    /// Its token or password.
    pub token: Option<Secret>,
    host: String,
    port: u16,
    url_from: String,
    token_from: Option<String>,
}

/// openclaw.json, read at most once and only if something in it is needed.
struct ConfigFile<'a> {
    surroundings: &'a Surroundings<'a>,
    path: PathBuf,
    value: Option<Value>,
}

impl ConfigFile<'_> {
    fn get(&mut self, pointer: &str) -> Result<Option<&Value>, GatewayError> {
        if self.value.is_none() {
            let text = self.surroundings.read(&self.path)?;
            let parsed = match text {
                None => Value::Null,
                Some(text) if depth(&text) > DEPTH_MAX => {
                    let reason = format!("it nests deeper than {DEPTH_MAX} levels");
                    return Err(GatewayError::Config { path: self.path.clone(), reason });
                }
                // The parser's message may quote the line it stumbled over, and that line may hold the token.
                Some(text) => json5::from_str(&text).map_err(|_| GatewayError::Config {
                    path: self.path.clone(),
                    reason: "it is not valid JSON5".to_owned(),
                })?,
            };
            self.value = Some(parsed);
        }
        Ok(self.value.as_ref().and_then(|value| value.pointer(pointer)))
    }
}

/// How deep the brackets of a text nest, those in its strings and comments included.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

impl GatewayConfig {
    /// Finds the gateway in the surroundings of this process.
    pub fn resolve(&self) -> Result<Endpoint, GatewayError> {
        self.resolve_in(&Surroundings::real())
    }

    /// Finds the gateway in `surroundings`.
    pub fn resolve_in(&self, surroundings: &Surroundings<'_>) -> Result<Endpoint, GatewayError> {
        let (endpoint, credentials) = self.locate_in(surroundings)?;
        Ok(endpoint.with_credentials(credentials?))
    }

    /// The gateway's address, without what it is opened with; and beside it that, with where it comes from.
    #[expect(clippy::type_complexity, reason = "two things that fail apart")]
    pub fn locate_in(
        &self,
        surroundings: &Surroundings<'_>,
    ) -> Result<(Endpoint, Result<Option<(Secret, String)>, GatewayError>), GatewayError> {
        let mut file = ConfigFile { surroundings, path: surroundings.config_path(), value: None };
        let (url, url_from) = self.address(surroundings, &mut file)?;
        let Address { shown, host, port, is_tls } = Address::parse(&url)?;
        let is_local = is_loopback(&host);
        if !is_local && !is_tls && !self.allow_insecure {
            return Err(GatewayError::Insecure { url: shown });
        }
        let credentials = self.credentials(surroundings, &mut file, is_local);
        Ok((Endpoint { url: shown, token: None, host, port, url_from, token_from: None }, credentials))
    }

    /// That an address which the caller gave can be used, before anything is looked for.
    pub fn check_address(&self) -> Result<(), GatewayError> {
        let Some(url) = &self.url else { return Ok(()) };
        let Address { shown, host, is_tls, .. } = Address::parse(url)?;
        if is_loopback(&host) || is_tls || self.allow_insecure {
            Ok(())
        } else {
            Err(GatewayError::Insecure { url: shown })
        }
    }

    fn address(
        &self,
        surroundings: &Surroundings<'_>,
        file: &mut ConfigFile<'_>,
    ) -> Result<(String, String), GatewayError> {
        if let Some(url) = &self.url {
            return Ok((url.clone(), "the `url` argument".to_owned()));
        }
        if let Some(url) = surroundings.set("OPENCLAW_GATEWAY_URL") {
            return Ok((url, "OPENCLAW_GATEWAY_URL".to_owned()));
        }
        if let Some(port) = surroundings.set("OPENCLAW_GATEWAY_PORT") {
            return Ok((format!("ws://127.0.0.1:{}", port.trim()), "OPENCLAW_GATEWAY_PORT".to_owned()));
        }
        if let Some(port) = file.get("/gateway/port")?.and_then(Value::as_u64) {
            return Ok((format!("ws://127.0.0.1:{port}"), format!("`{}`", file.path.display())));
        }
        Ok((format!("ws://127.0.0.1:{DEFAULT_PORT}"), NOWHERE.to_owned()))
    }

    /// What a configuration file of this machine holds is never sent to another one.
    fn credentials(
        &self,
        surroundings: &Surroundings<'_>,
        file: &mut ConfigFile<'_>,
        is_local: bool,
    ) -> Result<Option<(Secret, String)>, GatewayError> {
        if let Some(token) = self.token.clone().filter(|token| is_secret(token.reveal())) {
            return Ok(Some((token, "the `token` argument".to_owned())));
        }
        for name in TOKEN_VARIABLES {
            if let Some(value) = surroundings.set(name).filter(|value| is_secret(value)) {
                return Ok(Some((Secret(value), name.to_owned())));
            }
        }
        if !is_local {
            return Ok(None);
        }
        for (field, pointer) in [("token", "/gateway/auth/token"), ("password", "/gateway/auth/password")] {
            let Some(value) = file.get(pointer)?.cloned() else { continue };
            if let Some(text) = resolved(&value, field, &file.path, surroundings)?.filter(|text| is_secret(text)) {
                return Ok(Some((Secret(text), format!("`{}`", file.path.display()))));
            }
        }
        for name in TOKEN_VARIABLES {
            if let Some(value) = surroundings.dotenv(name)?.filter(|value| is_secret(value)) {
                return Ok(Some((Secret(value), format!("`{}`", surroundings.state_folder().join(".env").display()))));
            }
        }
        Ok(None)
    }
}

fn is_secret(text: &str) -> bool {
    !text.trim().is_empty() && text != REDACTED
}

/// A secret as openclaw.json writes it: plain, `${NAME}`, `$NAME`, or `{source: "env", id: NAME}`.
fn resolved(
    value: &Value,
    field: &'static str,
    path: &FilePath,
    surroundings: &Surroundings<'_>,
) -> Result<Option<String>, GatewayError> {
    let problem = |problem: String| GatewayError::TokenSource { field, path: path.into(), problem };
    let name = match value {
        Value::String(text) => match text.strip_prefix('$') {
            Some(rest) => rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(rest),
            None => return Ok(Some(text.clone())),
        },
        Value::Object(reference) => match (reference.get("source").and_then(Value::as_str), reference.get("id")) {
            (Some("env"), Some(Value::String(name))) => name,
            (source, _) => {
                let source = source.unwrap_or("unknown");
                return Err(problem(format!("kept in the source `{source}`, which only OpenClaw itself can open")));
            }
        },
        _ => return Ok(None),
    };
    match surroundings.set(name) {
        Some(text) => Ok(Some(text)),
        None => match surroundings.dotenv(name)? {
            Some(text) => Ok(Some(text)),
            None => {
                Err(problem(format!("the variable `{name}`, which is set neither here nor in the state folder's .env")))
            }
        },
    }
}

struct Address {
    shown: String,
    host: String,
    port: u16,
    is_tls: bool,
}

impl Address {
    fn parse(url: &str) -> Result<Self, GatewayError> {
        // What cannot be taken apart may hold a secret anywhere: not even a part of it is shown.
        let hidden = |problem| GatewayError::Url { url: "..".to_owned(), problem };
        let no_address = |problem| {
            let may_hold_secret = url.contains(['@', '?', '#']);
            let url = if may_hold_secret { "..".to_owned() } else { abridged(url, NAME_CHARS) };
            GatewayError::Url { url, problem }
        };
        let uri: Uri = url.trim().parse().map_err(|_| no_address("it cannot be parsed"))?;
        let authority = uri.authority().ok_or_else(|| no_address("it names no host, or not ws:// or wss://"))?;
        if authority.as_str().contains('@') || uri.query().is_some() || url.contains('#') {
            return Err(hidden("credentials and parameters do not belong into it; pass Gateway(token=...)"));
        }
        let is_tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(no_address("not ws:// or wss://")),
        };
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = match (authority.port(), is_tls) {
            (Some(port), _) => port.as_u16(),
            (None, true) => 443,
            (None, false) => 80,
        };
        let has_odd_port = authority.as_str() != authority.host() && authority.port_u16().is_none();
        if host.is_empty() || port == 0 || has_odd_port {
            return Err(no_address("it names no host or no port"));
        }
        Ok(Self { shown: uri.to_string(), host, port, is_tls })
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Endpoint {
    /// One line for people: which gateway, and from where that is known. Never the token.
    pub fn found(&self) -> String {
        let token = match &self.token_from {
            Some(from) => format!("token from {from}"),
            None => "no token".to_owned(),
        };
        format!("{} (from {}; {token})", self.url, self.url_from)
    }

    /// The same, with these credentials and where they come from.
    #[must_use]
    pub fn with_credentials(self, credentials: Option<(Secret, String)>) -> Self {
        let (token, token_from) = credentials.map_or((None, None), |(token, from)| (Some(token), Some(from)));
        Self { token, token_from, ..self }
    }

    /// Where its token comes from, if it has one.
    pub fn token_from(&self) -> Option<&str> {
        self.token_from.as_deref()
    }

    /// What named its address.
    pub fn found_from(&self) -> &str {
        &self.url_from
    }

    /// Whether something listens there. Waits 300 ms at most, per address of its host.
    pub fn probe(&self) -> bool {
        let Ok(addresses) = (self.host.as_str(), self.port).to_socket_addrs() else { return false };
        addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, PROBE_PATIENCE).is_ok())
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
