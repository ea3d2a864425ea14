//! Images for the node: our programs as static dev builds, and the tests' own. `scripts/image` makes them, as it makes
//! those that ship. They stand in the target folder, named by their content, so that nothing is made twice.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};

/// Images of a test's node.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// The Dockerfile's stage.
    stage: &'static str,
    /// Where it is, from the workspace's folder.
    dockerfile: &'static str,
    /// The program in it.
    program: &'static str,
    /// What Pods call it.
    pub name: &'static str,
}

impl Image {
    /// Repository and tag, as a chart's values have them.
    #[must_use]
    pub fn reference(&self) -> (&'static str, &'static str) {
        self.name.rsplit_once(':').unwrap_or((self.name, "latest"))
    }
}

/// The image of `e2e/node/program.rs`.
pub const PROGRAM: Image = Image {
    stage: "program",
    dockerfile: "e2e/node/Dockerfile",
    program: "program",
    name: "chaperone.test/program:1",
};

/// The operator, as the chart installs it.
pub const OPERATOR: Image = Image {
    stage: "operator",
    dockerfile: "Dockerfile",
    program: "chaperone-operator",
    name: "chaperone.test/chaperone-operator:dev",
};

/// The sidecar, as it is injected.
pub const SIDECAR: Image = Image {
    stage: "sidecar",
    dockerfile: "Dockerfile",
    program: "chaperone-sidecar",
    name: "chaperone.test/chaperone-sidecar:dev",
};

/// Makes all of them; returns the packed layouts.
///
/// # Errors
/// If a program cannot be built, or its image cannot be made.
pub fn make() -> Result<Vec<PathBuf>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace")?;
    let built = output(Command::new(workspace.join("scripts/static")).args([
        "dev",
        OPERATOR.program,
        SIDECAR.program,
    ]))?;
    let built = Path::new(built.trim());
    compile_program(&built.join(PROGRAM.program))?;
    [PROGRAM, OPERATOR, SIDECAR].iter().map(|image| pack(workspace, built, image)).collect()
}

/// Builds the program that tests run in containers.
fn compile_program(binary: &Path) -> Result<()> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/node/program.rs");
    let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
    // The host's own target, named: only then does the linker get the static C library.
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let flags = ["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "--target", &host, "-o"];
    output(Command::new(rustc).args(flags).arg(binary).arg(source)).map(drop)
}

fn pack(workspace: &Path, built: &Path, image: &Image) -> Result<PathBuf> {
    let (dockerfile, script) = (workspace.join(image.dockerfile), workspace.join("scripts/image"));
    let mut content = Sha256::new();
    for file in [&dockerfile, &script, &built.join(image.program)] {
        content.update(fs::read(file).with_context(|| file.display().to_string())?);
    }
    let hash: String = content.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = built.join("images").join(image.stage);
    let layout = folder.join(format!("{hash}.oci.tar"));
    if !layout.is_file() {
        // Only the last one is of use.
        let _ = fs::remove_dir_all(folder);
        let mut command = Command::new(script);
        command.arg("--dockerfile").arg(dockerfile).args(["--stage", image.stage, "--name", image.name]);
        output(command.arg("--built").arg(built).arg("--to").arg(&layout))?;
    }
    Ok(layout)
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
