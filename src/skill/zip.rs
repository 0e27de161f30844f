//! ZIP files: the one that registries take, the same bytes from the same content; and wheels, which are ZIP files too.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// What a wheel's name begins with.
const DISTRIBUTION: &str = "openclaw_parallel_agents";

/// A ZIP of these files, in the order of their names. Times, modes and order depend on nothing else.
pub(super) fn archive(files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(name.as_str(), options)?;
        writer.write_all(bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

/// That these bytes are a wheel of our distribution and of this version, or why not.
pub(super) fn is_wheel_of(name: &str, bytes: &[u8], version: &str) -> Result<(), String> {
    let begin = format!("{DISTRIBUTION}-{version}");
    let is_named_so = name.starts_with(&format!("{begin}-")) && name.to_ascii_lowercase().ends_with(".whl");
    if !is_named_so {
        return Err(format!("its name is `{name}`, expected {begin}-....whl"));
    }
    let wheel = ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("it is no ZIP file ({error})"))?;
    for part in ["METADATA", "WHEEL", "RECORD"] {
        let wanted = format!("{begin}.dist-info/{part}");
        if !wheel.file_names().any(|found| found.is_ok_and(|found| found == wanted)) {
            return Err(format!("there is no `{wanted}` in it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_is_known_by_its_name_and_what_is_in_it() {
        let part = |part: &str| (format!("openclaw_parallel_agents-1.2.dist-info/{part}"), Vec::new());
        let wheel = archive(&["METADATA", "WHEEL", "RECORD"].map(part).into()).expect("a wheel");
        let name = "openclaw_parallel_agents-1.2-cp310-abi3-linux_x86_64.whl";
        assert_eq!(is_wheel_of(name, &wheel, "1.2"), Ok(()));
        assert!(is_wheel_of(name, &wheel, "1.3").is_err_and(|reason| reason.contains("-1.3-")));
        assert!(is_wheel_of("other-1.2-py3-none-any.whl", &wheel, "1.2").is_err());
        assert!(is_wheel_of(name, b"no zip", "1.2").is_err_and(|reason| reason.contains("no ZIP")));
        let bare = archive(&[part("METADATA")].into()).expect("a ZIP");
        assert!(is_wheel_of(name, &bare, "1.2").is_err_and(|reason| reason.contains("WHEEL")));
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let files = || [("b/c.md".to_owned(), b"c".to_vec()), ("a.py".to_owned(), b"a".to_vec())].into();
        assert_eq!(archive(&files()).expect("a ZIP"), archive(&files()).expect("a ZIP"));
    }
}
