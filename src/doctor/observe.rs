//! Asks: the gateway on one thread, the disk on another, so that neither keeps the other waiting. Whatever does not answer
//! in time is judged as it then stands. Judges nothing.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use rustix::fs::{Access, access, statvfs};
use serde_json::json;

use super::defaults::Defaults;
use super::files::{Files, Folder, Standing};
use super::gateway::{Said, Seen};
use super::skill::Looked;
use super::{Python, Wishes, work};
use crate::agents::{AgentError, Registry};
use crate::driver::Stopwatch;
use crate::journal::{Examined, JournalError, examine};
use crate::runtime::gateway::interview::interview;
use crate::runtime::gateway::{GatewayConfig, GatewayError, Surroundings};
use crate::workflow::{Waiter, Waker, own_folder, wait_pair};

/// How long each of the gateway's greeting, its answers and the journal's check is waited for.
const PATIENCE: Duration = Duration::from_secs(7);
/// How long all of it is waited for.
const PATIENCE_ALL: Duration = Duration::from_secs(16);
/// How long one model is tried.
const PATIENCE_TRY: Duration = Duration::from_secs(60);

/// All that is judged.
#[derive(Debug)]
pub struct Observed {
    /// The Python around us.
    pub python: Option<Python>,
    /// The gateway.
    pub gateway: Seen,
    /// The disk.
    pub files: Files,
    /// The skill's folders; `None` if looking took too long.
    pub skill: Option<Looked>,
    /// What a run is like of which nothing else is said.
    pub defaults: Defaults,
}

enum Heard {
    Defaults(Box<Defaults>),
    Gateway(Box<Seen>),
    Skill(Box<Looked>),
    Files(Box<Files>),
    Journal(Box<Result<Examined, JournalError>>),
}

/// Looks at everything. `None` once `interrupted` says so.
///
/// # Errors
/// Where not even a thread can be had.
pub fn observe(wishes: &Wishes, interrupted: &dyn Fn() -> bool) -> io::Result<Option<Observed>> {
    let since = Stopwatch::start();
    let (waiter, told) = start(wishes)?;
    let mut patience = PATIENCE_ALL;
    let (mut defaults, mut gateway, mut skill, mut files, mut journal) = (None, None, None, None, None);
    while gateway.is_none() || skill.is_none() || files.is_none() || journal.is_none() {
        match told.try_recv() {
            Ok(Heard::Defaults(found)) => {
                let tries = if wishes.try_models { work::providers(&found.models).len() } else { 0 };
                patience = PATIENCE_ALL + PATIENCE_TRY * u32::try_from(tries).unwrap_or(1);
                defaults = Some(*found);
            }
            Ok(Heard::Gateway(seen)) => gateway = Some(*seen),
            Ok(Heard::Skill(seen)) => skill = Some(*seen),
            Ok(Heard::Files(seen)) => files = Some(*seen),
            Ok(Heard::Journal(seen)) => journal = Some(*seen),
            Err(TryRecvError::Empty) => {
                waiter.wait(None)?;
                if interrupted() {
                    return Ok(None);
                }
                if since.elapsed() > patience {
                    break;
                }
            }
            Err(TryRecvError::Disconnected) => break,
        }
    }
    let gateway = gateway.unwrap_or_else(|| unheard(wishes));
    let mut files = files.unwrap_or_else(|| unseen(wishes));
    files.journal = journal;
    let defaults = defaults.unwrap_or_else(|| Defaults::usual(wishes));
    Ok(Some(Observed { python: wishes.python.clone(), gateway, files, skill, defaults }))
}

fn start(wishes: &Wishes) -> io::Result<(Waiter, Receiver<Heard>)> {
    let (waiter, waker) = wait_pair()?;
    let (teller, told) = channel();
    let waker = Arc::new(waker);
    let (tell, wake, wish) = (teller.clone(), waker.clone(), wishes.clone());
    spawn(move || {
        let defaults = Defaults::find(&wish);
        let (models, config) = (defaults.models.clone(), defaults.gateway.clone());
        send(&tell, &wake, Heard::Defaults(Box::new(defaults)));
        let seen = gateway(&config, &models, wish.try_models);
        let status = seen.said().ok().and_then(|said| said.skills.clone().ok());
        send(&tell, &wake, Heard::Gateway(Box::new(seen)));
        send(&tell, &wake, Heard::Skill(Box::new(Looked::at(status.as_ref()))));
    })?;
    let (tell, wake, wish) = (teller.clone(), waker.clone(), wishes.clone());
    spawn(move || send(&tell, &wake, Heard::Files(Box::new(files(&wish)))))?;
    let path = wishes.journal.clone();
    spawn(move || send(&teller, &waker, Heard::Journal(Box::new(examine(&path, PATIENCE)))))?;
    Ok((waiter, told))
}

fn spawn(body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("parallel-agents-doctor".to_owned()).spawn(body).map(drop)
}

fn send(teller: &Sender<Heard>, waker: &Waker, heard: Heard) {
    // Whoever asked may have gone.
    let _ = teller.send(heard);
    waker.wake();
}

fn gateway(config: &GatewayConfig, models: &[String], try_models: bool) -> Seen {
    let surroundings = Surroundings::real();
    let mut seen = Seen {
        address: Err(GatewayError::Url { url: String::new(), problem: "not looked for" }),
        token_from: Ok(None),
        token_places: vec![
            "OPENCLAW_GATEWAY_TOKEN".to_owned(),
            surroundings.config_path().display().to_string(),
            surroundings.state_folder().join(".env").display().to_string(),
        ],
        said: None,
        probes: Vec::new(),
    };
    let (endpoint, credentials) = match config.locate_in(&surroundings) {
        Ok(located) => located,
        Err(error) => {
            seen.address = Err(error);
            return seen;
        }
    };
    seen.address = Ok((endpoint.url.clone(), endpoint.found_from().to_owned()));
    let endpoint = match credentials {
        Err(error @ GatewayError::Config { .. }) => {
            seen.token_from = Err(error);
            return seen;
        }
        // Whether anything answers there can be seen without a token, too.
        Err(error) => {
            seen.token_from = Err(error);
            endpoint
        }
        Ok(credentials) => endpoint.with_credentials(credentials),
    };
    if seen.token_from.is_ok() {
        seen.token_from = Ok(endpoint.token_from().map(str::to_owned));
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return seen };
    let said = runtime.block_on(interview(&endpoint, &Said::questions(), PATIENCE));
    if try_models && said.is_ok() {
        for provider in work::providers(models) {
            let question = [("models.probe", json!({ "provider": provider }))];
            let tried = runtime.block_on(interview(&endpoint, &question, PATIENCE_TRY));
            let answer = match tried {
                Ok(interview) => interview.answers.into_iter().next().unwrap_or_else(|| Err("no answer".to_owned())),
                Err(error) => Err(error.to_string()),
            };
            seen.probes.push((provider.to_owned(), answer));
        }
    }
    seen.said = Some(said.map(Said::of));
    seen
}

/// A gateway of which nothing was heard at all, such as one whose name takes for ever to be resolved.
fn unheard(wishes: &Wishes) -> Seen {
    let url = wishes.gateway.url.clone().unwrap_or_else(|| "its address".to_owned());
    let reason = format!("nothing was heard for {} s", PATIENCE_ALL.as_secs());
    Seen {
        address: Ok((url.clone(), "what is configured".to_owned())),
        token_from: Ok(None),
        token_places: Vec::new(),
        said: Some(Err(GatewayError::Greeting { url, reason })),
        probes: Vec::new(),
    }
}

fn files(wishes: &Wishes) -> Files {
    let own = own_folder();
    let state = own.as_ref().map(|_| Surroundings::real().state_folder());
    let room = state.as_deref().and_then(room);
    Files {
        own: own.as_deref().and_then(Path::parent).map(folder),
        state: state.as_deref().map(folder),
        room,
        journal_path: wishes.journal.clone(),
        is_own_journal: wishes.is_own_journal,
        journal_folder: std::path::absolute(&wishes.journal).ok().as_deref().and_then(Path::parent).map(folder),
        journal: None,
        agents: agents(own.as_deref(), &wishes.agents),
    }
}

/// How many types there are in the user's own folder and in further files, and what is passed over.
fn agents(own: Option<&Path>, further: &[PathBuf]) -> Result<(usize, Vec<AgentError>), AgentError> {
    let mut registry = Registry::builtin();
    let (mut count, mut passed_over) = (0, Vec::new());
    if let Some(folder) = own {
        let (loaded, refused) = registry.load_kept(folder)?;
        (count, passed_over) = (loaded.len(), refused);
    }
    for path in further {
        match registry.load(path, false) {
            Ok(loaded) => count += loaded.len(),
            Err(error) => passed_over.push(error),
        }
    }
    Ok((count, passed_over))
}

/// A disk that did not answer.
fn unseen(wishes: &Wishes) -> Files {
    let path = Surroundings::real().state_folder();
    let problem = Some("its disk does not answer".to_owned());
    Files {
        state: Some(Folder { path, standing: Standing::There { problem, open_to_others: false } }),
        own: None,
        room: None,
        journal_path: wishes.journal.clone(),
        is_own_journal: wishes.is_own_journal,
        journal_folder: None,
        journal: None,
        agents: Ok((0, Vec::new())),
    }
}

fn folder(path: &Path) -> Folder {
    let standing = match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Standing::NoFolder,
        Ok(found) => {
            Standing::There { problem: writing_problem(path), open_to_others: found.permissions().mode() & 0o077 != 0 }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Standing::Missing { problem: making_problem(path) },
        Err(error) => Standing::Missing { problem: Some(error.to_string()) },
    };
    Folder { path: path.to_owned(), standing }
}

fn writing_problem(path: &Path) -> Option<String> {
    access(path, Access::WRITE_OK | Access::EXEC_OK).err().map(|error| io::Error::from(error).to_string())
}

/// Why a folder cannot be made where there is none.
fn making_problem(path: &Path) -> Option<String> {
    let above = nearest(path)?;
    if above.is_dir() { writing_problem(above) } else { Some(format!("{} is no folder", above.display())) }
}

/// The nearest folder above that is there.
fn nearest(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|above| above.exists())
}

fn room(path: &Path) -> Option<u64> {
    let there = if path.exists() { path } else { nearest(path)? };
    let room = statvfs(there).ok()?;
    Some(room.f_bavail.saturating_mul(room.f_frsize))
}
