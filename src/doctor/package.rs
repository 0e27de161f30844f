//! The Python that runs us, and the package in it.

use serde::Deserialize;

use super::Line;
use crate::core::check::Check;

/// The oldest Python that the package runs on.
const PYTHON_MIN: (u32, u32) = (3, 10);

/// What a Python tells of itself and of the package in it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Python {
    /// Its version, such as `3.12.1`.
    pub version: String,
    /// `CPython` or another.
    pub implementation: String,
    /// Whether it was built to run without the global lock.
    pub free_threaded: bool,
    /// The program.
    pub executable: String,
    /// The version that the package itself names.
    pub module: String,
    /// Where it is installed.
    pub folder: String,
    /// The version that the installed distribution names; none if none is installed.
    pub distribution: Option<String>,
    /// The command `parallel-agents` that the path finds.
    pub command: Option<String>,
    /// The Python that this command runs, as far as it says.
    pub command_python: Option<String>,
}

/// `python`: its version and kind.
pub fn python(python: Option<&Python>) -> Line {
    const CHECK: Check = Check::Python;
    let Some(python) = python else { return Line::green(CHECK, "none: this is the library alone") };
    let found = format!("{} {}, {}", python.implementation, python.version, python.executable);
    let numbers: Vec<u32> = python.version.split('.').filter_map(|part| part.parse().ok()).collect();
    if python.free_threaded {
        let fix = "use the usual build of the same Python (3.14, not 3.14t)";
        return Line::red(CHECK, format!("{found}; a free-threaded build, which this release does not support"), fix);
    }
    match numbers[..] {
        [major, minor, ..] if (major, minor) >= PYTHON_MIN => {}
        _ => return Line::red(CHECK, format!("{found}; too old"), "use Python 3.10 or newer"),
    }
    if python.implementation == "CPython" {
        Line::green(CHECK, found)
    } else {
        Line::yellow(CHECK, format!("{found}; the package is tested on CPython alone"), "use CPython 3.10 or newer")
    }
}

/// `package`: that its parts belong together, and whose command the path finds.
pub fn package(python: Option<&Python>) -> Line {
    const CHECK: Check = Check::Package;
    let ours = env!("CARGO_PKG_VERSION");
    let Some(python) = python else { return Line::green(CHECK, format!("{ours}, without Python")) };
    let Python { module, folder, executable, .. } = python;
    let reinstall = format!("install it again: {executable} -m pip install --force-reinstall --no-index WHEEL");
    if module != ours {
        let found = format!("the module in {folder} is {module}, and its compiled part {ours}");
        return Line::red(CHECK, found, reinstall);
    }
    match &python.distribution {
        None => {
            let found = format!("{ours} in {folder}, of no installed distribution");
            return Line::yellow(CHECK, found, "install the wheel, so that the command and upgrades find it");
        }
        Some(version) if version != ours => {
            let found = format!("the distribution says {version}, and the module in {folder} is {ours}");
            return Line::red(CHECK, found, reinstall);
        }
        Some(_) => {}
    }
    match (&python.command, &python.command_python) {
        (None, _) => {
            let found = format!("{ours} in {folder}; its command is not on the path");
            Line::green(CHECK, found)
        }
        (Some(command), Some(other)) if other != executable => {
            let found = format!("{ours} in {folder}; but the command on the path, {command}, runs {other}");
            Line::yellow(CHECK, found, format!("{executable} -m parallel_agents ..., or correct PATH"))
        }
        (Some(command), _) => Line::green(CHECK, format!("{ours} in {folder}, command {command}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn usual() -> Python {
        Python {
            version: "3.12.1".to_owned(),
            implementation: "CPython".to_owned(),
            free_threaded: false,
            executable: "/e/bin/python".to_owned(),
            module: env!("CARGO_PKG_VERSION").to_owned(),
            folder: "/e/lib/parallel_agents".to_owned(),
            distribution: Some(env!("CARGO_PKG_VERSION").to_owned()),
            command: Some("/e/bin/parallel-agents".to_owned()),
            command_python: Some("/e/bin/python".to_owned()),
        }
    }

    #[test]
    fn a_python_is_judged_by_its_version_and_kind() {
        let level = |change: &dyn Fn(&mut Python)| {
            let mut changed = usual();
            change(&mut changed);
            python(Some(&changed)).level
        };
        assert_eq!(level(&|_| {}), Level::Green);
        assert_eq!(level(&|python| python.version = "3.9.18".to_owned()), Level::Red);
        assert_eq!(level(&|python| python.version = "3.14.0rc1".to_owned()), Level::Green);
        assert_eq!(level(&|python| python.implementation = "PyPy".to_owned()), Level::Yellow);
        assert_eq!(level(&|python| python.free_threaded = true), Level::Red);
        assert_eq!(python(None).level, Level::Green);
    }

    #[test]
    fn the_parts_of_the_package_must_be_of_one_version_and_place() {
        let judged = |change: &dyn Fn(&mut Python)| {
            let mut changed = usual();
            change(&mut changed);
            package(Some(&changed))
        };
        assert_eq!(judged(&|_| {}).level, Level::Green);
        assert_eq!(judged(&|python| python.module = "9.9.9".to_owned()).level, Level::Red);
        let other = judged(&|python| python.distribution = Some("9.9.9".to_owned()));
        assert_eq!(other.level, Level::Red);
        assert!(other.found.contains("the distribution says 9.9.9"), "{}", other.found);
        assert_eq!(judged(&|python| python.distribution = None).level, Level::Yellow);
        assert_eq!(judged(&|python| python.command = None).level, Level::Green);
        let other = judged(&|python| python.command_python = Some("/usr/bin/python3".to_owned()));
        assert_eq!(other.level, Level::Yellow);
        assert_eq!(judged(&|python| python.command_python = None).level, Level::Green, "it does not say which it runs");
    }
}
