//! `scripts/draw-demo` draws what `quell demo --json` prints, and says in words why it cannot.

use super::run;
use crate::support::TempDir;
use std::path::Path;
use std::process::{Command, Output};

fn draw(file: &Path, shape: &str) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/draw-demo");
    Command::new(script).arg(file).arg(shape).output().expect("Python")
}

#[test]
fn a_run_is_drawn_and_what_is_none_is_refused_in_a_line() {
    let directory = TempDir::new("demo-picture");
    let output = run(&directory, &["--copies", "100", "--firms", "10", "--shape", "trace", "--json"]);
    let file = directory.join("demo.json");
    std::fs::write(&file, &output.stdout).expect("a file");
    let picture = draw(&file, "trace");
    let drawn = String::from_utf8_lossy(&picture.stdout);
    assert!(picture.status.success(), "{}", String::from_utf8_lossy(&picture.stderr));
    assert_eq!(drawn.matches("demo cut off here").count(), 2, "{drawn}");
    assert!(drawn.contains("A newsletter to 10 people") && drawn.ends_with("</svg>\n"), "{drawn}");

    assert_refused(&draw(&file, "identity"), "no two runs of the shape identity");
    assert_refused(&draw(&file, "round"), "no shape round");
    assert_refused(&draw(&directory.join("nowhere"), "trace"), "No such file");
    for (text, part) in [("{", "is no JSON"), ("[]", "is not what"), (r#"{"runs": [{}]}"#, "is not what")] {
        std::fs::write(&file, text).expect("a file");
        assert_refused(&draw(&file, "trace"), part);
    }
}

fn assert_refused(output: &Output, part: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len(), said.lines().count()), (Some(1), 0, 1), "{said}");
    assert!(said.starts_with("draw-demo: ") && said.contains(part), "{part}: {said}");
}
