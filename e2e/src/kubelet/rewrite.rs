//! Makes a container's command fit a process: paths of its mounts, and its addresses. Nothing else is changed.
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Addresses that mean "this Pod" inside one.
const OWN: [&str; 2] = ["127.0.0.1", "0.0.0.0"];

/// What is rewritten in one container.
#[derive(Clone, Debug)]
pub(super) struct Rewrite {
    /// Mount paths, the longest first, and where they are on this machine.
    mounts: Vec<(String, PathBuf)>,
    address: String,
}

impl Rewrite {
    pub(super) fn new(mut mounts: Vec<(String, PathBuf)>, address: Ipv4Addr) -> Self {
        mounts.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Self { mounts, address: address.to_string() }
    }

    /// Rewrites an argument or the value of a variable: a leading mount path, also after `=`, and own addresses.
    pub(super) fn apply(&self, text: &str) -> String {
        let (head, value) = match text.split_once('=') {
            Some((name, value)) if !name.contains('/') => (Some(name), value),
            _ => (None, text),
        };
        let value = self.addresses(&self.path(value));
        head.map_or(value.clone(), |name| format!("{name}={value}"))
    }

    fn path(&self, text: &str) -> String {
        for (mount, here) in &self.mounts {
            match text.strip_prefix(mount.as_str()) {
                Some("") => return here.display().to_string(),
                Some(rest) if rest.starts_with('/') => return format!("{}{rest}", here.display()),
                _ => {}
            }
        }
        text.to_owned()
    }

    fn addresses(&self, text: &str) -> String {
        OWN.iter().fold(text.to_owned(), |text, own| self.address(&text, own))
    }

    /// Replaces `own` where it is a whole address, not a part of another.
    fn address(&self, text: &str, own: &str) -> String {
        let is_part = |letter: Option<char>| letter.is_some_and(|it| it.is_ascii_digit() || it == '.');
        let mut pieces = text.split(own).peekable();
        let mut result = String::new();
        while let Some(piece) = pieces.next() {
            result.push_str(piece);
            let Some(next) = pieces.peek() else { break };
            let stands_alone = !is_part(piece.chars().next_back()) && !is_part(next.chars().next());
            result.push_str(if stands_alone { &self.address } else { own });
        }
        result
    }

    /// Where the folder or file at `path` inside the container is.
    pub(super) fn host_path(&self, path: &str) -> PathBuf {
        Path::new(&self.path(path)).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite() -> Rewrite {
        let mounts = [("/var/run", "/tmp/run"), ("/var/run/token", "/tmp/token"), ("/state", "/tmp/state")];
        let mounts = mounts.map(|(path, here)| (path.to_owned(), PathBuf::from(here)));
        Rewrite::new(mounts.to_vec(), Ipv4Addr::new(127, 5, 0, 1))
    }

    #[test]
    fn the_longest_mount_that_leads_wins() {
        let cases = [
            ("/var/run/token/token", "/tmp/token/token"),
            ("--file=/var/run/other", "--file=/tmp/run/other"),
            ("/var/run", "/tmp/run"),
            ("/var/runner", "/var/runner"),
            ("at /state", "at /state"),
        ];
        assert_eq!(
            cases.map(|(given, _)| rewrite().apply(given)),
            cases.map(|(_, wanted)| wanted.to_owned())
        );
    }

    #[test]
    fn own_addresses_become_the_pods() {
        let cases = [
            ("--listen=127.0.0.1:4141", "--listen=127.5.0.1:4141"),
            ("http://127.0.0.1:4141/v1", "http://127.5.0.1:4141/v1"),
            ("0.0.0.0:4142", "127.5.0.1:4142"),
            ("10.0.0.0.0", "10.0.0.0.0"),
            ("127.0.0.11", "127.0.0.11"),
            ("127.0.0.1,127.0.0.1", "127.5.0.1,127.5.0.1"),
        ];
        assert_eq!(
            cases.map(|(given, _)| rewrite().apply(given)),
            cases.map(|(_, wanted)| wanted.to_owned())
        );
    }
}
