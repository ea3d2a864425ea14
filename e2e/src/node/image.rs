//! Images as OCI layouts of one static binary, made without a container engine.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The image of `e2e/node/program.rs`.
pub const PROGRAM: &str = "chaperone.test/program:1";

/// Builds the program that tests run in containers, and its image; returns the packed layout.
pub(super) fn program(folder: &Path) -> Result<PathBuf> {
    let binary = folder.join("program");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/node/program.rs");
    let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
    // The host's own target, named: only then does the linker get the static C library.
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(rustc)
        .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "--target", &host, "-o"])
        .arg(&binary)
        .arg(source)
        .output()?;
    ensure!(output.status.success(), "rustc: {}", String::from_utf8_lossy(&output.stderr));
    layout(folder, PROGRAM, &binary)
}

/// An OCI layout with one image, called `name`, whose only file is `binary`; returns it packed by tar.
///
/// # Errors
/// If `binary` cannot be read, or files cannot be written.
pub fn layout(folder: &Path, name: &str, binary: &Path) -> Result<PathBuf> {
    let file = binary.file_name().and_then(|name| name.to_str()).context("a name")?;
    let root = tempfile::tempdir_in(folder)?;
    let blobs = Blobs(root.path().join("blobs/sha256"));
    fs::create_dir_all(&blobs.0)?;
    let layer = root.path().with_extension("layer");
    tar(&["--owner=0", "--group=0", "--mode=0755"], &layer, binary.parent().context("a folder")?, file)?;
    let bytes = fs::read(&layer)?;
    fs::remove_file(layer)?;
    let config = json!({
        "architecture": if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" }, "os": "linux",
        "config": {"Entrypoint": [format!("/{file}")], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [digest(&bytes)]},
    });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blobs.put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?,
        "layers": [blobs.put("application/vnd.oci.image.layer.v1.tar", &bytes)?],
    });
    let mut described =
        blobs.put("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes())?;
    described["annotations"] = json!({"io.containerd.image.name": name});
    let index = json!({"schemaVersion": 2, "manifests": [described]});
    fs::write(root.path().join("index.json"), index.to_string())?;
    fs::write(root.path().join("oci-layout"), "{\"imageLayoutVersion\": \"1.0.0\"}")?;
    let packed = folder.join(format!("{file}.oci.tar"));
    tar(&[], &packed, root.path(), ".")?;
    Ok(packed)
}

struct Blobs(PathBuf);

impl Blobs {
    /// Stores bytes under their digest; returns their descriptor.
    fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Value> {
        let digest = digest(bytes);
        fs::write(self.0.join(digest.trim_start_matches("sha256:")), bytes)?;
        Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn tar(options: &[&str], target: &Path, folder: &Path, what: &str) -> Result<()> {
    let output =
        Command::new("tar").args(options).arg("-cf").arg(target).arg("-C").arg(folder).arg(what).output()?;
    ensure!(output.status.success(), "tar: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
