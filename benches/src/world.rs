//! The world that `e2e/world.sh` brought up: its keys, and its verbs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Real parts that run.
#[derive(Debug)]
pub(crate) struct World {
    keys: HashMap<String, String>,
    /// Run directory.
    pub(crate) dir: PathBuf,
}

// === impl World ===

impl World {
    /// The one that `E2E_WORLD` names.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let dir = std::env::var_os("E2E_WORLD").context(
            "E2E_WORLD is not set: use `make bench`, or bring a world up as e2e/README.md says",
        )?;
        Self::read(Path::new(&dir))
    }

    fn read(dir: &Path) -> anyhow::Result<Self> {
        let file = dir.join("world.env");
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Ok(Self {
            keys: pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            dir: dir.to_owned(),
        })
    }

    pub(crate) fn get(&self, key: &str) -> anyhow::Result<&str> {
        self.find(key)
            .with_context(|| format!("this world has no {key}"))
    }

    /// A part that not every world has.
    pub(crate) fn find(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// `world.sh WORDS`; what it printed.
    pub(crate) fn sh(&self, words: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(self.get("WORLD_SH")?)
            .args(words)
            .env("E2E_WORLD", &self.dir)
            .output()?;
        if !output.status.success() {
            bail!(
                "world.sh {}: {}",
                words.join(" "),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
