//! Everything that the fuzzers of `tests/fuzz` have kept, played again: their corpus, and what they have found.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

#[path = "fuzz/targets/mod.rs"]
mod targets;

/// How long one input may take in an unoptimised build. None takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn whatever_the_fuzzers_have_kept_is_read_well() {
    for (name, check) in targets::ALL {
        let inputs = inputs(name);
        assert!(inputs.len() > 5, "the corpus of `{name}` is in tests/fuzz/corpus");
        for path in inputs {
            replay(&path, check);
        }
    }
}

/// On a thread of the input's name, which stands in the message of whatever goes wrong, a stack overflow included.
fn replay(path: &Path, check: targets::Target) {
    let data = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = path.strip_prefix(folder()).unwrap_or(path).display().to_string();
    let (sender, receiver) = mpsc::channel();
    let body = move || {
        check(&data);
        // Nobody listens any more after a failure.
        let _ = sender.send(());
    };
    thread::Builder::new().name(name.clone()).spawn(body).expect("a thread");
    match receiver.recv_timeout(PATIENCE) {
        Ok(()) => {}
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{name} is read badly"),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{name} takes longer than {PATIENCE:?}"),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The files of a target's corpus and findings.
fn inputs(target: &str) -> Vec<PathBuf> {
    let of = |kind: &str| fs::read_dir(folder().join(kind).join(target)).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = of("corpus").chain(of("findings")).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
