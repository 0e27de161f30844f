//! Truth tables of the discovery. No real environment, no real files.

use super::*;

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn resolve(config: &GatewayConfig, variables: Pairs, files: Pairs) -> Result<Endpoint, GatewayError> {
    let lookup =
        |pairs: Pairs, name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    config.resolve_in(&Surroundings {
        variable: &|name| lookup(variables, name),
        file: &|path| Ok(lookup(files, &path.to_string_lossy())),
    })
}

fn with_url(url: &str) -> GatewayConfig {
    GatewayConfig { url: Some(url.to_owned()), ..GatewayConfig::default() }
}

fn token(endpoint: &Endpoint) -> Option<&str> {
    endpoint.token.as_ref().map(Secret::reveal)
}

#[test]
fn the_address_comes_from_the_first_that_names_one() {
    let file: Pairs = &[("/home/u/.openclaw/openclaw.json", "{gateway: {port: 4}}")];
    let all: Pairs =
        &[("HOME", "/home/u"), ("OPENCLAW_GATEWAY_URL", "ws://127.0.0.1:2"), ("OPENCLAW_GATEWAY_PORT", "3")];
    let cases: [(GatewayConfig, Pairs, Pairs, &str); 6] = [
        (with_url("ws://localhost:1"), all, file, "ws://localhost:1/"),
        (GatewayConfig::default(), all, file, "ws://127.0.0.1:2/"),
        (GatewayConfig::default(), &[all[0], all[2]], file, "ws://127.0.0.1:3/"),
        (GatewayConfig::default(), &[all[0]], file, "ws://127.0.0.1:4/"),
        (GatewayConfig::default(), &[all[0]], &[], "ws://127.0.0.1:18789/"),
        (GatewayConfig::default(), &[all[0], ("OPENCLAW_GATEWAY_URL", " ")], file, "ws://127.0.0.1:4/"),
    ];
    for (config, variables, files, expected) in cases {
        assert_eq!(resolve(&config, variables, files).expect("resolves").url, expected);
    }
}

#[test]
fn the_configuration_is_read_where_openclaw_reads_it() {
    let cases: [(Pairs, &str); 4] = [
        (&[("HOME", "/h"), ("OPENCLAW_CONFIG_PATH", "/x.json"), ("OPENCLAW_STATE_DIR", "/s")], "/x.json"),
        (&[("HOME", "/h"), ("OPENCLAW_STATE_DIR", "/s"), ("OPENCLAW_HOME", "/o")], "/s/openclaw.json"),
        (&[("HOME", "/h"), ("OPENCLAW_HOME", "/o")], "/o/.openclaw/openclaw.json"),
        (&[("HOME", "/h")], "/h/.openclaw/openclaw.json"),
    ];
    for (variables, path) in cases {
        let files = [(path, "{ // JSON5\n gateway: {port: 7, auth: {token: 'tok'}},}")];
        let endpoint = resolve(&GatewayConfig::default(), variables, &files).expect("resolves");
        assert_eq!((endpoint.url.as_str(), token(&endpoint)), ("ws://127.0.0.1:7/", Some("tok")), "{path}");
    }
}

#[test]
fn the_token_comes_from_the_first_that_has_one() {
    let given = GatewayConfig { token: Some(Secret::new("arg")), ..GatewayConfig::default() };
    let redacted = GatewayConfig { token: Some(Secret::new(REDACTED)), ..GatewayConfig::default() };
    let none = GatewayConfig::default();
    let state = ("OPENCLAW_STATE_DIR", "/s");
    let config = "/s/openclaw.json";
    let env_token = ("OPENCLAW_GATEWAY_TOKEN", "env");
    let plain = (config, r#"{"gateway":{"auth":{"token":"plain","password":"pw"}}}"#);
    let password = (config, r#"{"gateway":{"auth":{"password":"pw"}}}"#);
    let braces = (config, r#"{"gateway":{"auth":{"token":"${TOK}"}}}"#);
    let dollar = (config, r#"{"gateway":{"auth":{"token":"$TOK"}}}"#);
    let reference = (config, r#"{"gateway":{"auth":{"token":{"source":"env","provider":"default","id":"TOK"}}}}"#);
    let hidden = (config, r#"{"gateway":{"auth":{"token":"__OPENCLAW_REDACTED__"}}}"#);
    let dotenv = ("/s/.env", "# x\nexport TOK=\"from-dotenv\"\nOPENCLAW_GATEWAY_TOKEN='last'\n");
    let cases: [(&GatewayConfig, Pairs, Pairs, Option<&str>); 13] = [
        (&given, &[state, env_token], &[plain], Some("arg")),
        (&redacted, &[state, env_token], &[plain], Some("env")),
        (&none, &[state, env_token], &[plain], Some("env")),
        (&none, &[state, ("OPENCLAW_GATEWAY_PASSWORD", "envpw")], &[plain], Some("envpw")),
        (&none, &[state], &[plain], Some("plain")),
        (&none, &[state], &[password], Some("pw")),
        (&none, &[state, ("TOK", "var")], &[braces, dotenv], Some("var")),
        (&none, &[state, ("TOK", "var")], &[dollar], Some("var")),
        (&none, &[state, ("TOK", "var")], &[reference], Some("var")),
        (&none, &[state], &[braces, dotenv], Some("from-dotenv")),
        (&none, &[state], &[reference, dotenv], Some("from-dotenv")),
        (&none, &[state], &[hidden, dotenv], Some("last")),
        (&none, &[state], &[hidden], None),
    ];
    for (case, (config, variables, files, expected)) in cases.into_iter().enumerate() {
        let endpoint = resolve(config, variables, files).expect("resolves");
        assert_eq!(token(&endpoint), expected, "case {case}");
    }
}

#[test]
fn a_token_out_of_reach_is_an_error_that_says_so() {
    for source in [r#"{"source":"exec","id":"x"}"#, r#"{"source":"file","id":"/k"}"#, r#""${MISSING}""#, "{}"] {
        let text = format!(r#"{{"gateway":{{"auth":{{"token":{source}}}}}}}"#);
        let error = resolve(&GatewayConfig::default(), &[("HOME", "/h")], &[("/h/.openclaw/openclaw.json", &text)]);
        assert!(matches!(error, Err(GatewayError::TokenSource { .. })), "{source}");
    }
}

#[test]
fn a_token_of_this_machine_is_never_sent_to_another() {
    let files = [("/h/.openclaw/openclaw.json", "{gateway: {auth: {token: 'mine'}}}")];
    let endpoint = resolve(&with_url("wss://gate.example"), &[("HOME", "/h")], &files).expect("resolves");
    assert_eq!(token(&endpoint), None);
}

#[test]
fn only_loopback_may_go_unencrypted() {
    for url in ["ws://127.0.0.1:1", "ws://127.9.9.9:1", "ws://[::1]:1", "ws://localhost:1", "wss://gate.example"] {
        assert!(resolve(&with_url(url), &[], &[]).is_ok(), "{url}");
    }
    for url in ["ws://gate.example", "ws://10.0.0.1:18789", "ws://0.0.0.0:1", "ws://localhost.evil.example:1"] {
        assert!(matches!(resolve(&with_url(url), &[], &[]), Err(GatewayError::Insecure { .. })), "{url}");
        let insecure = GatewayConfig { allow_insecure: true, ..with_url(url) };
        assert!(resolve(&insecure, &[], &[]).is_ok(), "{url}");
    }
}

#[test]
fn an_unusable_address_is_refused_and_shows_no_credentials() {
    for url in ["", "http://127.0.0.1:1", "127.0.0.1:1", "ws://", "ws://127.0.0.1:notaport", "ws://h:99999", "ws:///x"]
    {
        assert!(matches!(resolve(&with_url(url), &[], &[]), Err(GatewayError::Url { .. })), "{url}");
    }
    for url in
        ["ws://u:hunter2@127.0.0.1:1", "ws://127.0.0.1:1/?token=hunter2", "ws://127.0.0.1:1/#hunter2", "x@hunter2 "]
    {
        let error = resolve(&with_url(url), &[], &[]).expect_err("refused");
        assert!(
            matches!(error, GatewayError::Url { .. }) && !format!("{error} {error:?}").contains("hunter2"),
            "{url}"
        );
    }
}

#[test]
fn a_broken_configuration_is_an_error_without_its_content_and_only_if_needed() {
    let files = [("/h/.openclaw/openclaw.json", "{gateway: {auth: {token: 'hunter2' oops")];
    let error = resolve(&GatewayConfig::default(), &[("HOME", "/h")], &files).expect_err("not JSON5");
    assert!(matches!(error, GatewayError::Config { .. }));
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let config = GatewayConfig { token: Some(Secret::new("t")), ..with_url("ws://127.0.0.1:1") };
    assert!(resolve(&config, &[("HOME", "/h")], &files).is_ok());
}

#[test]
fn what_was_found_is_told_without_the_token() {
    let files = [("/h/.openclaw/openclaw.json", "{gateway: {port: 5, auth: {token: 'hunter2'}}}")];
    let endpoint = resolve(&GatewayConfig::default(), &[("HOME", "/h")], &files).expect("resolves");
    let path = "`/h/.openclaw/openclaw.json`";
    assert_eq!(endpoint.found(), format!("ws://127.0.0.1:5/ (from {path}; token from {path})"));
    assert!(!format!("{endpoint:?}").contains("hunter2"));
    let bare = resolve(&with_url("ws://127.0.0.1:1"), &[], &[]).expect("resolves");
    assert_eq!(bare.found(), "ws://127.0.0.1:1/ (from the `url` argument; no token)");
}

#[test]
fn a_probe_tells_whether_something_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("ws://{}", listener.local_addr().expect("has an address"));
    let endpoint = resolve(&with_url(&url), &[], &[]).expect("resolves");
    assert!(endpoint.probe());
    drop(listener);
    assert!(!endpoint.probe());
}

#[test]
fn a_configuration_without_a_bottom_is_an_error() {
    let text = format!("{{gateway: {{port: {}", "[".repeat(200_000));
    let error = resolve(&GatewayConfig::default(), &[("HOME", "/h")], &[("/h/.openclaw/openclaw.json", &text)]);
    let message = error.expect_err("no configuration").to_string();
    assert!(message.contains("it nests deeper than 500 levels"), "{message}");
    let text = format!("{{other: {}{}}}", "[".repeat(490), "]".repeat(490));
    resolve(&GatewayConfig::default(), &[("HOME", "/h")], &[("/h/.openclaw/openclaw.json", &text)]).expect("resolves");
}
