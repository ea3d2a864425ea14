#![cfg(test)]
//! `scripts/image`: what stands in an image, and what it refuses to make one of. That nodes run them: `node_product.rs`.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A folder of programs that are built, and what is made of them.
struct Workshop(TempDir);

/// Whether a program needs a loader.
#[derive(Clone, Copy)]
enum Linking {
    Static,
    Dynamic,
}

impl Workshop {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    /// Builds a program that does nothing, in place of the sidecar.
    fn build(&self, linking: Linking) -> Result<()> {
        let source = self.0.path().join("main.rs");
        fs::write(&source, "fn main() {}")?;
        let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let linked = match linking {
            Linking::Static => "target-feature=+crt-static",
            Linking::Dynamic => "target-feature=-crt-static",
        };
        let mut rustc = Command::new(Path::new(env!("CARGO")).with_file_name("rustc"));
        rustc.args(["-C", linked, "--target", &host, "-o"]).arg(self.0.path().join("chaperone-sidecar"));
        ensure!(rustc.arg(source).status()?.success(), "rustc failed");
        Ok(())
    }

    fn make(&self, dockerfile: &Path, stage: &str, to: &str) -> Result<Output> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/image");
        let mut command = Command::new(script);
        command.arg("--dockerfile").arg(dockerfile).arg("--built").arg(self.0.path());
        command.args(["--stage", stage, "--name", "chaperone.test/x:7", "--arg", "VERSION=7"]);
        Ok(command.arg("--to").arg(self.0.path().join(to)).output()?)
    }

    fn sidecar(&self, to: &str) -> Result<Output> {
        self.make(&shipped(), "sidecar", to)
    }

    /// The files of a packed layout, by their name.
    fn unpack(&self, packed: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        let folder = self.0.path().join("unpacked");
        fs::create_dir_all(folder.join("blobs/sha256"))?;
        let packed = self.0.path().join(packed);
        let tar = Command::new("tar").arg("-xf").arg(packed).arg("-C").arg(&folder).status()?;
        ensure!(tar.success(), "tar failed");
        let mut files = BTreeMap::new();
        for part in ["", "blobs/sha256"] {
            for entry in fs::read_dir(folder.join(part))? {
                let path = entry?.path();
                if path.is_file() {
                    let name = path.strip_prefix(&folder)?.display().to_string();
                    files.insert(name, fs::read(&path)?);
                }
            }
        }
        Ok(files)
    }
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../Dockerfile")
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The file that a descriptor stands for, if it is the one that it says.
fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Result<&'a [u8]> {
    let digest = descriptor["digest"]
        .as_str()
        .and_then(|digest| digest.strip_prefix("sha256:"))
        .context("a digest")?;
    let content = files.get(&format!("blobs/sha256/{digest}")).context("a blob of that digest")?;
    let actual: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(actual == digest && descriptor["size"] == content.len(), "{descriptor} describes other bytes");
    Ok(content)
}

#[test]
fn an_image_is_one_program_for_a_user_without_a_name() -> Result<()> {
    let workshop = Workshop::new()?;
    workshop.build(Linking::Static)?;
    let output = workshop.sidecar("x.oci.tar")?;
    ensure!(output.status.success(), "{}", complaint(&output));

    let files = workshop.unpack("x.oci.tar")?;
    let index: Value = serde_json::from_slice(&files["index.json"])?;
    let described = &index["manifests"][0];
    assert_eq!(described["annotations"]["io.containerd.image.name"], "chaperone.test/x:7");
    let printed = String::from_utf8(output.stdout)?;
    assert!(printed.contains(described["digest"].as_str().context("a digest")?), "{printed}");
    let manifest: Value = serde_json::from_slice(blob(&files, described)?)?;
    let config: Value = serde_json::from_slice(blob(&files, &manifest["config"])?)?;
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/chaperone-sidecar"]));
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], "7");

    let layer = workshop.0.path().join("layer.tar.gz");
    fs::write(&layer, blob(&files, &manifest["layers"][0])?)?;
    let listed = Command::new("tar").arg("-tvf").arg(layer).arg("--numeric-owner").output()?;
    let listed = String::from_utf8(listed.stdout)?;
    let [licence, program] = listed.lines().collect::<Vec<_>>()[..] else { panic!("{listed}") };
    assert!(licence.starts_with("-rw-r--r-- 0/0 ") && licence.ends_with(" LICENSE"), "{licence}");
    assert!(program.starts_with("-rwxr-xr-x 0/0 ") && program.ends_with(" chaperone-sidecar"), "{program}");
    Ok(())
}

#[test]
fn the_same_program_gives_the_same_image_at_any_time() -> Result<()> {
    let workshop = Workshop::new()?;
    workshop.build(Linking::Static)?;
    workshop.sidecar("first")?;
    let program = fs::File::options().append(true).open(workshop.0.path().join("chaperone-sidecar"))?;
    program.set_modified(std::time::UNIX_EPOCH)?;
    workshop.sidecar("second")?;
    let read = |name| fs::read(workshop.0.path().join(name));
    assert!(read("first")? == read("second")?, "two images of one program");
    Ok(())
}

#[test]
fn a_program_that_needs_a_loader_is_refused() -> Result<()> {
    let workshop = Workshop::new()?;
    workshop.build(Linking::Dynamic)?;
    let output = workshop.sidecar("x.oci.tar")?;
    assert!(
        !output.status.success() && complaint(&output).contains("needs a loader"),
        "{}",
        complaint(&output)
    );
    Ok(())
}

#[test]
fn what_needs_an_engine_is_refused_by_name() -> Result<()> {
    let workshop = Workshop::new()?;
    let dockerfile = workshop.0.path().join("Dockerfile");
    let cases = [
        ("FROM scratch AS x\nRUN make\n", "RUN cannot be done"),
        ("FROM debian AS x\nRUN make\n", "no stage x on scratch"),
    ];
    for (written, wanted) in cases {
        fs::write(&dockerfile, written)?;
        let output = workshop.make(&dockerfile, "x", "x.oci.tar")?;
        assert!(complaint(&output).contains(wanted), "{}", complaint(&output));
    }
    Ok(())
}
