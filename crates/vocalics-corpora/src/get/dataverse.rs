//! All recordings of a Dataverse dataset, one by one.
//!
//! The bundle a server offers is cut at a size its operators choose, so the files are fetched singly
//! with the size and checksum of the server's own listing.
//!
//! Source: Dataverse guides, *Native API* (list files in a dataset) and *Data Access API*.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;
use vocalics_audio::is_recording;

use super::transfer::{Checksum, Expected, fetch, listing};
use super::{GetError, GetOptions, Progress};

pub(super) fn get(
    agent: &ureq::Agent,
    server: &str,
    doi: &str,
    folder: &Path,
    options: &GetOptions,
    progress: &mut dyn Progress,
) -> Result<u64, GetError> {
    let url = format!(
        "{server}/api/datasets/:persistentId/versions/:latest-published/files?persistentId={doi}"
    );
    let answer = listing(agent, &url, options)?;
    let files = answer["data"].as_array().ok_or_else(|| GetError::Listing {
        url: url.clone(),
        reason: "no list of files under \"data\"".to_owned(),
    })?;
    let mut transferred = 0;
    let mut recordings = 0;
    for file in files {
        let Some((path, id, expected)) = entry(file, &url)? else {
            continue;
        };
        recordings += 1;
        let address = format!("{server}/api/access/datafile/{id}");
        let fetched = fetch(
            agent,
            &address,
            &folder.join(path),
            &expected,
            options,
            progress,
        )?;
        transferred += fetched.transferred;
    }
    if recordings == 0 {
        return Err(GetError::Listing {
            url,
            reason: "no recordings".to_owned(),
        });
    }
    Ok(transferred)
}

/// Path, id and what is known of one listed file; `None` if it is no recording.
fn entry(file: &Value, url: &str) -> Result<Option<(PathBuf, u64, Expected)>, GetError> {
    let bad = |reason: &str| GetError::Listing {
        url: url.to_owned(),
        reason: reason.to_owned(),
    };
    let data = &file["dataFile"];
    let name = file["label"]
        .as_str()
        .or(data["filename"].as_str())
        .ok_or_else(|| bad("a file without a name"))?;
    if !is_recording(Path::new(name)) {
        return Ok(None);
    }
    let path = match file["directoryLabel"].as_str() {
        Some(folder) => Path::new(folder).join(name),
        None => PathBuf::from(name),
    };
    if !path.components().all(|c| matches!(c, Component::Normal(_))) {
        return Err(GetError::UnsafePath {
            archive: url.to_owned(),
            entry: path.display().to_string(),
        });
    }
    let id = data["id"]
        .as_u64()
        .ok_or_else(|| bad("a file without an id"))?;
    let checksum = match (
        data["checksum"]["type"].as_str(),
        data["checksum"]["value"].as_str(),
    ) {
        (Some("MD5"), Some(value)) => Some(Checksum::Md5(value.to_owned())),
        (Some("SHA-1"), Some(value)) => Some(Checksum::Sha1(value.to_owned())),
        (Some("SHA-256"), Some(value)) => Some(Checksum::Sha256(value.to_owned())),
        _ => data["md5"]
            .as_str()
            .map(|md5| Checksum::Md5(md5.to_owned())),
    };
    let checksum = checksum.ok_or_else(|| bad("a file without a checksum"))?;
    let expected = Expected {
        bytes: data["filesize"].as_u64(),
        checksum: Some(checksum),
    };
    Ok(Some((path, id, expected)))
}
