//! Real archives of public lists, each with a real storm in it. `QUELL_REAL_MAIL` names the folder that
//! has them in `archives/`; without it nothing is tested, and the test says so.

use super::{blamed, json};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The answer to one archive: the group with this Message-ID, and that nobody is blamed in another.
fn storm_in(file: &str, id: &str) -> Option<Value> {
    let folder = std::env::var_os("QUELL_REAL_MAIL").map(PathBuf::from);
    let Some(path) = folder.map(|folder| folder.join("archives").join(file)).filter(|path| path.is_file())
    else {
        eprintln!("\n*** SKIPPED: QUELL_REAL_MAIL names no folder with archives/{file}\n");
        return None;
    };
    let answer = json(Path::new("/"), &[path.to_str().expect("UTF-8")]);
    assert_eq!((answer["messages"].as_u64(), answer["damaged"].as_u64()), (Some(4_000), Some(0)));
    let groups = answer["groups"].as_array().expect("groups");
    let group = groups.iter().find(|group| group["message_ids"][0] == id).expect("the storm");
    assert_eq!(blamed(&answer).len(), group["culprits"].as_array().expect("culprits").len(), "{answer:#}");
    Some(group.clone())
}

#[test]
fn a_sender_that_tries_again() {
    let id = "<fb0bfe97-41c2-8aeb-f4f2-e8a07c5fda92@maidavale.org>";
    let Some(group) = storm_in("linux-hwmon-window.mbox.xz", id) else { return };
    let culprit = &group["culprits"][0];
    assert_eq!((group["verdict"].as_str(), culprit["class"].as_str()), (Some("retry"), Some("retries")));
    assert_eq!(group["copies"], 4);
    let host = culprit["host"].as_str().expect("a name");
    assert!(host.ends_with("zoho.com"), "{host}");
}

#[test]
fn a_script_that_submits_again() {
    let id = "<2024020516-decipher-unvaried-202a@gregkh>";
    let Some(group) = storm_in("linux-ide-window.mbox.xz", id) else { return };
    let culprit = &group["culprits"][0];
    assert_eq!((group["verdict"].as_str(), culprit["class"].as_str()), (Some("culprit"), Some("injects")));
    assert_eq!((group["copies"].as_u64(), &culprit["host"]), (Some(23), &Value::Null));
}
