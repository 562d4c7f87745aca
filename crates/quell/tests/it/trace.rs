//! `quell trace` as a program: what it reads, what it answers, how it ends.

mod hostile;
mod inputs;
pub(crate) mod made;
mod outputs;
mod owner;
mod real;

use crate::operate::Said;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// `quell trace` with these arguments, away from any configuration.
fn command<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    command.current_dir(folder).arg("trace").args(arguments).env_remove("COLUMNS");
    command
}

fn trace<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Said {
    Said::of(command(folder, arguments))
}

/// The answer as JSON, wanting status 0.
fn json(folder: &Path, arguments: &[&str]) -> Value {
    let said = trace(folder, &[arguments, &["--json", "--quiet"]].concat());
    assert_eq!(said.status, 0, "{arguments:?}: {said:?}");
    serde_json::from_str(&said.out).unwrap_or_else(|why| panic!("{why}: {said:?}"))
}

/// An answer without the places, which differ from file to file.
fn without_places(mut answer: Value) -> Value {
    for group in answer["groups"].as_array_mut().expect("groups") {
        for culprit in group["culprits"].as_array_mut().expect("culprits") {
            for line in culprit["evidence"].as_array_mut().expect("evidence") {
                line["file"] = Value::Null;
                line["offset"] = Value::Null;
            }
        }
    }
    answer
}

/// The names of the servers that are blamed, group by group.
fn blamed(answer: &Value) -> Vec<&str> {
    let groups = answer["groups"].as_array().expect("groups");
    let culprits = groups.iter().flat_map(|group| group["culprits"].as_array().expect("culprits"));
    culprits.map(|culprit| culprit["host"].as_str().unwrap_or("?")).collect()
}
