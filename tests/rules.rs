//! Rules of the design that no compiler holds: read off the sources.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn sources(root: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if root.is_file() {
        found.push(root.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "rs") {
            sources(&path, found)?;
        }
    }
    Ok(())
}

/// The lines of code under the given places that hold one of the words, as `FILE:LINE: WORD`. Comments may hold any word.
fn mentions(places: &[&str], words: &[&str]) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    for place in places {
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(place),
            &mut files,
        )?;
    }
    assert!(files.len() >= places.len(), "no sources under {places:?}");
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let hits = words.iter().filter(|word| code.contains(*word));
            found.extend(hits.map(|word| format!("{}:{}: {word}", file.display(), number + 1)));
        }
    }
    Ok(found)
}

#[test]
fn plan_neither_waits_nor_asks_nor_reads_a_clock_nor_logs() {
    let words = [
        "async ",
        ".await",
        "kube::",
        "tokio",
        "futures::",
        "tracing",
        "Instant::now",
        "SystemTime",
        "Timestamp::now",
        "println!",
        "std::fs",
        "std::net",
        "std::env",
        "fastrand",
    ];
    assert_eq!(
        mentions(&["src/plan.rs", "src/plan"], &words).unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn the_nfs_client_knows_nothing_of_kubernetes() {
    let words = [
        "kube::",
        "kube_",
        "k8s_openapi",
        "PersistentVolume",
        "StorageClass",
    ];
    assert_eq!(
        mentions(&["crates/nfs-export/src"], &words).unwrap(),
        Vec::<String>::new()
    );
    let manifest = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/nfs-export/Cargo.toml"),
    )
    .unwrap();
    assert!(
        !manifest.contains("kube") && !manifest.contains("k8s"),
        "{manifest}"
    );
}

#[test]
fn no_room_of_the_provisioner_has_a_mod_rs_or_a_utils() {
    let mut files = Vec::new();
    for place in ["src", "crates"] {
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(place),
            &mut files,
        )
        .unwrap();
    }
    let bad = |file: &&PathBuf| {
        let name = file.file_name().unwrap_or_default();
        !file.components().any(|part| part.as_os_str() == "target")
            && (name == "mod.rs" || name == "utils.rs")
    };
    assert_eq!(
        files.iter().filter(bad).collect::<Vec<_>>(),
        Vec::<&PathBuf>::new()
    );
}

/// A room that needs more is two rooms.
#[test]
fn no_file_of_the_product_has_300_lines_without_its_tests() {
    let mut files = Vec::new();
    for place in ["src", "crates/nfs-export/src", "crates/testkit/src"] {
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(place),
            &mut files,
        )
        .unwrap();
    }
    let is_of_tests = |file: &PathBuf| file.file_name().is_some_and(|name| name == "tests.rs");
    let long: Vec<_> = files
        .iter()
        .filter(|file| !is_of_tests(file))
        .map(|file| {
            let text = fs::read_to_string(file).unwrap();
            let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
            (lines.count(), file.display().to_string())
        })
        .filter(|(lines, _)| *lines >= 300)
        .collect();
    assert_eq!(long, []);
}
