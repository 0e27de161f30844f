//! The folder and the ZIP that registries take, with what their listings show: assets, and checks after an installation.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::content::Content;
use super::error::SkillError;
use super::record::Record;
use super::site::{Site, exists, write_error, write_over};
use super::tree::{folders_of, scan, sha256};
use super::{NAME, RECORD, zip};

/// What registries take at the most, in bytes.
const BYTES_MAX: u64 = 50 * 1024 * 1024;

/// What was packaged.
#[derive(Debug, Clone)]
pub struct Package {
    /// The folder, as `openclaw skills install DIR` takes it.
    pub folder: PathBuf,
    /// The ZIP.
    pub zip: PathBuf,
    /// The version.
    pub version: String,
    /// Name, bytes and SHA-256 of the ZIP, then of each file in it.
    pub assets: Vec<(String, usize, String)>,
}

/// Makes the folder and the ZIP in `to`.
pub fn package(to: &Path, content: &Content) -> Result<Package, SkillError> {
    let to = std::path::absolute(to).map_err(write_error(to))?;
    let (folder, record) = (to.join(NAME), content.record(None));
    fs::create_dir_all(&to).map_err(write_error(&to))?;
    let mut files: BTreeMap<String, Vec<u8>> =
        content.files.iter().map(|(name, bytes)| (format!("{NAME}/{name}"), bytes.clone())).collect();
    files.insert(format!("{NAME}/{RECORD}"), record.to_text().into_bytes());
    let name = format!("{NAME}-{}.zip", content.version);
    let path = to.join(&name);
    let archive = zip::archive(&files).map_err(write_error(&path))?;
    let bytes = archive.len() as u64;
    if bytes > BYTES_MAX {
        return Err(SkillError::TooLarge { bytes, max: BYTES_MAX });
    }
    let site = Site::take(&folder)?;
    refuse_what_is_not_packaged(&folder)?;
    site.stage(content, &record, &[], &BTreeMap::new())?;
    site.swap()?;
    site.discard()?;
    write_over(&path, &archive, false)?;
    let mut assets = vec![(name, archive.len(), sha256(&archive))];
    assets.extend(files.into_iter().map(|(name, bytes)| (name, bytes.len(), sha256(&bytes))));
    Ok(Package { folder, zip: path, version: content.version.clone(), assets })
}

/// Only a folder that was packaged before, and that nobody has touched since, gives way.
fn refuse_what_is_not_packaged(folder: &Path) -> Result<(), SkillError> {
    if !exists(folder)? {
        return Ok(());
    }
    let in_the_way = || SkillError::InTheWay { path: folder.to_owned() };
    let record = if folder.is_dir() { Record::read(folder, "")? } else { None }.ok_or_else(in_the_way)?;
    let mut tree = scan(folder)?;
    let whole = RECORD.to_owned();
    tree.files.remove(RECORD);
    let ours = folders_of(record.files.keys().chain([&whole]));
    let is_untouched = record.python.is_none()
        && tree.folders.keys().all(|name| ours.contains(name.as_str()))
        && tree.files.iter().all(|(name, found)| record.files.get(name).is_some_and(|digest| found.is(digest)));
    if is_untouched { Ok(()) } else { Err(in_the_way()) }
}

impl Package {
    /// What shows that an installation worked: a command, and what it prints.
    pub fn checks(&self) -> Vec<(String, String)> {
        let launch = format!("python3 {NAME}/launch.py");
        [
            (format!("{launch} --version"), format!("parallel-agents {}", self.version)),
            (format!("{launch} skill verify --to {NAME}"), "every line green or yellow, exit code 0".to_owned()),
            (format!("{launch} demo"), "5 of 5 tasks completed, with no AI".to_owned()),
            (format!("openclaw skills info {NAME}"), "ready".to_owned()),
        ]
        .into()
    }

    /// For `--json`.
    pub fn fields(&self) -> Value {
        let asset =
            |(name, bytes, digest): &(String, usize, String)| json!({"name": name, "bytes": bytes, "sha256": digest});
        let check = |(command, expected): (String, String)| json!({"command": command, "expected": expected});
        json!({
            "action": "package", "folder": self.folder, "zip": self.zip, "version": self.version,
            "assets": self.assets.iter().map(asset).collect::<Vec<_>>(),
            "checks": self.checks().into_iter().map(check).collect::<Vec<_>>(),
        })
    }

    /// For people, line by line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.folder.display().to_string(), self.zip.display().to_string()];
        lines.push("Assets:".to_owned());
        let asset = |(name, bytes, digest): &(String, usize, String)| format!("  {digest}  {bytes:>9}  {name}");
        lines.extend(self.assets.iter().map(asset));
        lines.push(
            "Checks after an installation, in the folder around it; the first three need the package:".to_owned(),
        );
        lines.extend(self.checks().into_iter().map(|(command, expected)| format!("  {command}  ->  {expected}")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_registry_takes_is_not_made() {
        let to = std::env::temp_dir().join(format!("pa-package-{}", std::process::id()));
        let mut content = Content::ours();
        content.files.insert("wheels/huge.whl".to_owned(), vec![0; 50 * 1024 * 1024]);
        assert!(matches!(package(&to, &content), Err(SkillError::TooLarge { .. })));
        assert_eq!(fs::read_dir(&to).expect("a folder").count(), 0);
        fs::remove_dir_all(&to).expect("removed");
    }
}
