//! The record of a folder: its version, the Python that has the package, and the digest of each file that is ours.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path};

use serde_json::{Value, json};

use super::RECORD;
use super::error::SkillError;

const FORMAT: u64 = 1;
const BYTES_MAX: u64 = 1024 * 1024;

/// Which files of a folder are ours, as they were when they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The version of the skill.
    pub version: String,
    /// The Python that has the package. None in a folder that is packaged for other machines.
    pub python: Option<String>,
    /// SHA-256 of each file but the record, by its name in the folder.
    pub files: BTreeMap<String, String>,
}

impl Record {
    /// The record of `folder`; none if there is none. `flags` name the folder's place in advice.
    pub fn read(folder: &Path, flags: &str) -> Result<Option<Self>, SkillError> {
        let path = folder.join(RECORD);
        let unusable = |reason: String| SkillError::Record { path: path.clone(), reason, flags: flags.to_owned() };
        let read_error = |source| SkillError::Read { path: path.clone(), source };
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read_error(error)),
            Ok(found) if !found.is_file() => return Err(unusable("it is no regular file".to_owned())),
            Ok(found) if found.len() > BYTES_MAX => return Err(unusable(format!("it has {} bytes", found.len()))),
            Ok(_) => {}
        }
        let text = fs::read_to_string(&path).map_err(read_error)?;
        let value: Value = serde_json::from_str(&text).map_err(|error| unusable(format!("no JSON: {error}")))?;
        Self::from_json(&value).map(Some).map_err(unusable)
    }

    fn from_json(value: &Value) -> Result<Self, String> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        if value.get("format").and_then(Value::as_u64) != Some(FORMAT) {
            return Err(format!("its `format` is not {FORMAT}"));
        }
        let version = text(value.get("version")).ok_or("it has no `version`")?;
        let mut files = BTreeMap::new();
        for (name, digest) in value.get("files").and_then(Value::as_object).ok_or("it has no `files`")? {
            // What it names is replaced and removed: nothing outside of the folder, and not the record.
            let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
            if !is_inside || name.is_empty() || name == RECORD {
                return Err(format!("it names the file `{name}`"));
            }
            files.insert(name.clone(), text(Some(digest)).ok_or_else(|| format!("`{name}` has no digest"))?);
        }
        Ok(Self { version, python: text(value.get("python")), files })
    }

    /// Its file's text.
    pub(super) fn to_text(&self) -> String {
        let mut value = json!({"format": FORMAT, "version": self.version});
        if let Some(python) = &self.python {
            value["python"] = json!(python);
        }
        value["files"] = json!(self.files);
        format!("{value:#}\n")
    }
}

/// Whether version `left` comes after `right`: number by number, then by the rest.
pub(super) fn is_after(left: &str, right: &str) -> bool {
    let parts = |version: &str| -> Vec<(u64, String)> {
        let part = |part: &str| {
            let digits = part.chars().take_while(char::is_ascii_digit).count();
            (part[..digits].parse().unwrap_or(0), part[digits..].to_owned())
        };
        version.split(['.', '-', '+']).map(part).collect()
    };
    parts(left) > parts(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record {
            version: "1.2.3".to_owned(),
            python: Some("/usr/bin/python3".to_owned()),
            files: [("examples/a.py".to_owned(), "00".to_owned())].into(),
        };
        let value = serde_json::from_str(&record.to_text()).expect("JSON");
        assert_eq!(Record::from_json(&value), Ok(record));
    }

    #[test]
    fn a_record_names_only_files_of_its_folder() {
        for name in ["../x", "/etc/passwd", "a/../../x", "", RECORD, "./x/.."] {
            let value = json!({"format": 1, "version": "1", "files": {name: "00"}});
            assert_eq!(Record::from_json(&value), Err(format!("it names the file `{name}`")));
        }
    }

    #[test]
    fn versions_are_compared_number_by_number() {
        assert!(is_after("0.10.0", "0.9.9"));
        assert!(is_after("1.0", "0.1.0"));
        assert!(!is_after("0.1.0", "0.1.0"));
        assert!(!is_after("0.1.0", "0.1.1"));
        assert!(is_after("0.1.0.1", "0.1.0"));
    }
}
