//! Writes `crds/yaml/` from the types: `cargo run -p chaperone-crds --example gen`. Running it twice changes nothing.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    fs::create_dir_all(&folder)?;
    for file in chaperone_crds::definition::files() {
        fs::write(folder.join(file.name), file.text)?;
    }
    Ok(())
}
